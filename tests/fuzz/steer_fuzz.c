/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Any frame at the steering decision: it reads nothing beyond its end, what is for another station
 * passes, and nothing for the tunnel ever does.
 */

#include <stdlib.h>

#include "lib/net/headers.h"
#include "tests/lib/steer_naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static bool
is_for_tunnel(const struct steer_naive *t, const uint8_t *packet, size_t len)
{
	struct ip_view v;
	struct steer_addr key = {};

	if (!ip_parse(packet, (uint32_t)len, &v))
		return false;
	key.family = v.family;
	memcpy(key.bytes, v.dst, v.family == ADDR_V4 ? 4 : 16);
	return steer_address_flags((void *)(uintptr_t)t, &key) == 0 &&
	       steer_prefix_of((void *)(uintptr_t)t, &key) == STEER_PREFIX_REDIRECT;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t mac[6] = STEER_ROW_MAC;
	static struct steer_naive tables;
	struct steer_settings settings = steer_row_settings(
		(struct steer_limit){ 1000000, 4 }, (struct steer_limit){ 1000, 100 });
	enum steer_verdict verdict;
	uint8_t *frame;

	if (len > 65535 || len == 0)
		return 0;
	if (tables.n_addresses == 0)
		steer_naive_init(&tables);
	// Nothing of the input before, so that a find can be shown again.
	tables.n_fragments = 0;
	tables.n_buckets = 0;
	memset(tables.totals, 0, sizeof(tables.totals));
	frame = malloc(len); // a block of its own: the sanitizer sees a byte too far
	if (frame == NULL)
		return 0;
	memcpy(frame, data, len);

	// A second time: by now its sender and its fragments are remembered.
	(void)steer_verdict(&settings, mac, frame, frame + len, &tables);
	verdict = steer_verdict(&settings, mac, frame, frame + len, &tables);
	require(verdict < STEER_PASS_UNREAD);
	if (len >= 14 && memcmp(frame, mac, 6) != 0)
		require(verdict == STEER_PASS_OTHER_MAC);
	if (verdict == STEER_WIRE || verdict == STEER_INNER)
		require(len >= 14 + 20);
	if (len > 14 && memcmp(frame, mac, 6) == 0 &&
		(memcmp(frame + 12, "\x08\x00", 2) == 0 ||
			memcmp(frame + 12, "\x86\xdd", 2) == 0) &&
		(frame[12] == 0x08) == (frame[14] >> 4 == 4) &&
		is_for_tunnel(&tables, frame + 14, len - 14))
		require(verdict == STEER_INNER);
	free(frame);
	return 0;
}
