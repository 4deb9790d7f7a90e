/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any bytes as what a router answers.  Only a mapping that went well grants anything.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/traversal/portmap.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct portmap_request request = { .internal_port = 41641,
		.lifetime_s = PORTMAP_LIFETIME_S,
		.nonce = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };
	struct portmap_response r;

	if (portmap_response_read(data, len, &r) != 0)
		return 0;
	must(r.result <= PORTMAP_OTHER_FAILURE && r.kind <= PORTMAP_ANNOUNCE);
	must(r.result == PORTMAP_OK || (r.lifetime_s == 0 && r.external.port == 0));
	if (portmap_answers(&r, &request))
		must(r.result == PORTMAP_OK && r.lifetime_s > 0 && r.external.port != 0);
	(void)portmap_address_is_usable(&r.external.addr);
	return 0;
}
