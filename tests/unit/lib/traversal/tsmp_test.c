/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pings inside the tunnel, ../shared/protocol/peer.md 9.7.
 */

#include "lib/traversal/tsmp.h"

#include <string.h>

#include "lib/net/headers.h"
#include "tests/lib/tap.h"

static const uint8_t token[TSMP_TOKEN_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8 };

// Turn a ping into its pong, as who answers does.
static size_t
answer(uint8_t *packet, size_t len, bool is_v4)
{
	uint8_t other[16];
	size_t n = is_v4 ? 4 : 16, src = is_v4 ? 12 : 8, dst = src + n;

	memcpy(other, packet + src, n);
	memcpy(packet + src, packet + dst, n);
	memcpy(packet + dst, other, n);
	packet[len - 1 - TSMP_TOKEN_LEN] = 'o';
	packet[len] = 0x12;
	packet[len + 1] = 0x34;
	return len + 2;
}

static void
test_family(const char *from_text, const char *to_text)
{
	uint8_t packet[TSMP_PING_MAX_LEN + 2];
	struct addr from, to;
	struct tsmp_pong pong;
	struct ip_view v = {};
	size_t len;

	tap_ok(addr_parse(from_text, &from) == 0 && addr_parse(to_text, &to) == 0, "%s", from_text);
	len = tsmp_ping_write(packet, &from, &to, token);
	tap_ok(ip_parse(packet, (uint32_t)len, &v) && v.total_len == len && v.protocol == 99,
		"a ping is an IP packet of protocol 99");
	tap_ok(memcmp(v.dst, to.bytes, from.family == ADDR_V4 ? 4 : 16) == 0, "to the other");
	tap_ok(!tsmp_pong_read(packet, len, &pong), "and no pong");
	len = answer(packet, len, from.family == ADDR_V4);
	tap_ok(tsmp_pong_read(packet, len, &pong), "the answer is one");
	tap_bytes(pong.token, token, sizeof(token), "with the token of the ping");
	tap_int(pong.peer_api_port, 0x1234, "and the port of the peer API");
	tap_ok(addr_equal(&pong.from, &to), "from whom was asked");
	for (size_t n = 0; n < len; n++)
		if (tsmp_pong_read(packet, n, &pong))
			tap_ok(false, "cut after %zu bytes it is none", n);
	packet[from.family == ADDR_V4 ? 9 : 6] = 17;
	tap_ok(!tsmp_pong_read(packet, len, &pong), "another protocol's is none");
}

int
main(void)
{
	test_family("100.64.0.1", "100.64.0.2");
	test_family("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2");
	return tap_done();
}
