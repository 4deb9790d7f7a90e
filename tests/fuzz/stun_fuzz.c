/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any bytes as a STUN request and as a response.  An address that is read can be written, and is
 * then read as the same.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/traversal/stun.h"

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
	uint8_t out[STUN_RESPONSE_MAX_LEN];
	struct endpoint mapped, again;
	struct stun_txid txid, read;

	if (stun_request_read(data, len, &txid) == 0)
		must(stun_is_message(data, len));
	if (stun_response_read(data, len, &txid, &mapped) == 0) {
		size_t out_len = stun_response_write(out, &txid, &mapped);

		must(stun_is_message(data, len) && out_len <= sizeof(out));
		must(stun_response_read(out, out_len, &read, &again) == 0);
		must(endpoint_equal(&mapped, &again) && memcmp(&txid, &read, sizeof(txid)) == 0);
	}
	return 0;
}
