/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/ttl.h"

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

static void
count_down(const char *src, const char *dst, uint32_t ttl_at, const char *what)
{
	struct rng r = { 5 };
	int wrong = 0;

	for (int n = 0; n < 20000; n++) {
		uint8_t ttl = (uint8_t)n;
		bool may_go_on = ttl > 1;
		struct packet k, before;

		packet_begin(&k, src, dst, (uint8_t)rng_next(&r), 8);
		k.bytes[ttl_at] = ttl;
		if (k.view.family == ADDR_V4) {
			store_be16(k.bytes + 4, (uint16_t)rng_next(&r));
			checksum_fill_ipv4(k.bytes, IPV4_HEADER_LEN);
		}
		before = k;

		wrong += ip_decrement_ttl(k.bytes) != may_go_on;
		wrong += k.bytes[ttl_at] != (may_go_on ? ttl - 1 : ttl);
		if (!may_go_on)
			wrong += memcmp(k.bytes, before.bytes, k.len) != 0;
		if (k.view.family == ADDR_V4)
			wrong += !checksum_is_valid_ipv4(k.bytes, IPV4_HEADER_LEN);
	}
	tap_int(wrong, 0, what);
}

int
main(void)
{
	count_down("10.0.0.1", "10.0.0.2", 8, "IPv4: TTL and checksum, any TTL, 0 and 1 refused");
	count_down("fd00::1", "fd00::2", 7, "IPv6: hop limit, any, 0 and 1 refused");
	return tap_done();
}
