/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/tsmp.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

#define PROTOCOL  99
#define HOP_LIMIT 64
#define PING      'p'
#define PONG      'o'
#define PING_LEN  (1 + TSMP_TOKEN_LEN)
#define PONG_LEN  (PING_LEN + 2)

static size_t
write_v4(uint8_t *h, const struct addr *from, const struct addr *to)
{
	memset(h, 0, IPV4_HEADER_LEN);
	h[0] = 0x45;
	store_be16(h + 2, IPV4_HEADER_LEN + PING_LEN);
	h[8] = HOP_LIMIT;
	h[9] = PROTOCOL;
	memcpy(h + 12, from->bytes, 4);
	memcpy(h + 16, to->bytes, 4);
	checksum_fill_ipv4(h, IPV4_HEADER_LEN);
	return IPV4_HEADER_LEN;
}

static size_t
write_v6(uint8_t *h, const struct addr *from, const struct addr *to)
{
	memset(h, 0, IPV6_HEADER_LEN);
	h[0] = 0x60;
	store_be16(h + 4, PING_LEN);
	h[6] = PROTOCOL;
	h[7] = HOP_LIMIT;
	memcpy(h + 8, from->bytes, 16);
	memcpy(h + 24, to->bytes, 16);
	return IPV6_HEADER_LEN;
}

size_t
tsmp_ping_write(uint8_t out[static TSMP_PING_MAX_LEN],
	const struct addr *from,
	const struct addr *to,
	const uint8_t token[static TSMP_TOKEN_LEN])
{
	size_t at = from->family == ADDR_V4 ? write_v4(out, from, to) : write_v6(out, from, to);

	out[at] = PING;
	memcpy(out + at + 1, token, TSMP_TOKEN_LEN);
	return at + PING_LEN;
}

bool
tsmp_pong_read(const uint8_t *packet, size_t len, struct tsmp_pong *ret)
{
	bool is_v4 = len > 0 && packet[0] == 0x45; // no options: peer.md 9.7
	size_t header_len = is_v4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;

	if (len < header_len + PONG_LEN || (!is_v4 && packet[0] >> 4 != 6) ||
		packet[is_v4 ? 9 : 6] != PROTOCOL || packet[header_len] != PONG)
		return false;
	*ret = (struct tsmp_pong){ .from.family = is_v4 ? ADDR_V4 : ADDR_V6 };
	memcpy(ret->from.bytes, packet + (is_v4 ? 12 : 8), is_v4 ? 4 : 16);
	memcpy(ret->token, packet + header_len + 1, TSMP_TOKEN_LEN);
	ret->peer_api_port = load_be16(packet + header_len + PING_LEN);
	return true;
}
