/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any datagrams as what a router answers in the course of a mapping.  The first byte of each piece
 * says how long it is and how much time passes.  Whatever comes, we do not talk all the time, and
 * what is told as ours can be an address of ours.
 */

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/port_mapping/router_client.h"

static size_t n_sent;

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
on_send(void *context, const uint8_t *data, size_t len)
{
	(void)context;
	must(data != NULL && (len == 2 || len == 12 || len == 24 || len == 60));
	n_sent++;
}

static void
on_random(void *context, void *out, size_t len)
{
	(void)context;
	memset(out, 1, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int64_t pauses_ms[4] = { 0, 10, 300, 200000 };
	static const struct addr self = { ADDR_V4, { 192, 168, 1, 10 } };
	const struct router_client_calls calls = { .send = on_send, .random = on_random };
	struct router_client r = {};
	struct mono now = { 1000 * NS_PER_S }, began = now;
	size_t n_pieces = 0;

	n_sent = 0;
	router_start(&r, &calls, &self, 41641, now);
	while (len > 1) {
		size_t piece = data[0] & 63;
		const struct endpoint *mapped;

		(void)router_tick(&r, now);
		now = mono_add_ns(now, pauses_ms[data[0] >> 6] * NS_PER_MS);
		piece = piece < len - 1 ? piece : len - 1;
		router_receive(&r, data + 1, piece, now);
		mapped = router_mapping(&r);
		must(mapped == NULL ||
			(mapped->port != 0 && portmap_address_is_usable(&mapped->addr)));
		data += piece + 1;
		len -= piece + 1;
		n_pieces++;
	}
	// Retries of one exchange, and what time alone brings.
	must(n_sent <= 16 + 2 * n_pieces + (size_t)(mono_diff_ns(now, began) / (10 * NS_PER_S)));
	router_stop(&r);
	must(router_mapping(&r) == NULL);
	return 0;
}
