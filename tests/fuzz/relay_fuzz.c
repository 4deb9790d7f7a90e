/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a relay sends to its client.  The first byte says where it begins (0: with the answer to the
 * HTTP request; 1: after a fast start; 2: after the server's proof) and in how large pieces it
 * arrives; between pieces time passes and packets are sent.
 */

#include <stdlib.h>

#include "lib/base/log.h"
#include "tests/lib/relay_site.h"

static void
begin(struct relay_site *site, struct stream *s, unsigned where)
{
	static const char name[] =
		"derpkey358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254";

	if (where == 2)
		relay_site_connect(site, s);
	else
		fake_stream_opened(s, where == 1, where == 1 ? name : NULL, 2);
}

static void
send_something(struct relay_site *site)
{
	static const struct public_key to = { { 3 } };
	static const uint8_t data[1300] = { 4 };

	(void)relays_send(site->relays, 2, &to, data, sizeof(data), site->set->now);
	relays_flush(site->relays);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerInitialize(int *, char ***)
{
	log_init("relay_fuzz", LOG_LEVEL_ERR);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct relay_site *site;
	struct stream *s;
	size_t piece;

	if (len < 1 || (site = malloc(sizeof(*site))) == NULL)
		return 0;
	relay_site_init(site);
	relays_set_home(site->relays, 2, site->set->now);
	s = fake_stream_to(site->set, "c.example");
	begin(site, s, data[0] % 3);
	piece = 1 + (size_t)(data[0] / 3) * (data[0] / 3);
	for (size_t at = 1; at < len && s->is_open; at += piece) {
		fake_stream_feed(s, data + at, len - at < piece ? len - at : piece);
		send_something(site);
		(void)relay_site_pass(site, 100 * NS_PER_MS);
	}
	relay_site_fini(site);
	free(site);
	return 0;
}
