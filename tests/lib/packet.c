/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/packet.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/addr.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

#define ID_AT 20 // bytes behind the IP header: beyond a SYN's fixed header is its option

static struct addr
parse(const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		abort(); // a mistake in the test
	return a;
}

static void
write_v4(uint8_t *p, size_t len, const struct packet_make *what, uint8_t protocol)
{
	struct addr src = parse(what->src), dst = parse(what->dst);

	memset(p, 0, IPV4_HEADER_LEN);
	p[0] = 0x45;
	p[1] = what->ecn;
	store_be16(p + 2, (uint16_t)len);
	store_be16(p + 4, what->id);
	if (what->dont_fragment)
		p[6] = 0x40;
	p[8] = what->ttl != 0 ? what->ttl : 64;
	p[9] = protocol;
	memcpy(p + 12, src.bytes, 4);
	memcpy(p + 16, dst.bytes, 4);
	checksum_fill_ipv4(p, IPV4_HEADER_LEN);
}

static void
write_v6(uint8_t *p, size_t len, const struct packet_make *what, uint8_t protocol)
{
	struct addr src = parse(what->src), dst = parse(what->dst);

	memset(p, 0, IPV6_HEADER_LEN);
	p[0] = 0x60;
	p[1] = (uint8_t)(what->ecn << 4);
	store_be16(p + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	p[6] = protocol;
	p[7] = what->ttl != 0 ? what->ttl : 64;
	memcpy(p + 8, src.bytes, 16);
	memcpy(p + 24, dst.bytes, 16);
}

static void
write_transport(uint8_t *l4, size_t len, const struct packet_make *what)
{
	uint8_t header[28] = {};

	for (size_t i = 0; i < len; i++)
		l4[i] = (uint8_t)(i * 7 + what->id);
	if (what->mss != 0) {
		header[12] = 0x60; // 24 bytes
		header[13] = 0x02; // SYN
		header[20] = 2;    // MSS
		header[21] = 4;
		store_be16(header + 22, what->mss);
		memcpy(l4, header, len < 24 ? len : 24);
		return;
	}
	store_be16(header, 7);
	store_be16(header + 2, 9);
	store_be16(header + 4, (uint16_t)len);
	memcpy(l4, header, len < UDP_HEADER_LEN ? len : UDP_HEADER_LEN);
	if (len >= ID_AT + 2)
		store_be16(l4 + ID_AT, what->id);
}

size_t
packet_make(uint8_t *buf, size_t len, const struct packet_make *what)
{
	bool v6 = strchr(what->src, ':') != NULL;
	uint32_t header_len = v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;
	uint8_t protocol = what->mss != 0        ? IP_PROTOCOL_TCP
	                   : what->protocol != 0 ? what->protocol
	                                         : IP_PROTOCOL_UDP;
	struct ip_view v;

	if (v6)
		write_v6(buf, len, what, protocol);
	else
		write_v4(buf, len, what, protocol);
	write_transport(buf + header_len, len - header_len, what);
	if (ip_parse(buf, (uint32_t)len, &v))
		(void)checksum_fill_packet(buf, &v);
	return len;
}

bool
packet_is_sound(const uint8_t *p, size_t len)
{
	static uint8_t copy[65536];
	struct ip_view v;

	if (len > sizeof(copy) || !ip_parse(p, (uint32_t)len, &v) || v.total_len != len)
		return false;
	if (v.family == ADDR_V4 && !checksum_is_valid_ipv4(p, v.header_len))
		return false;
	memcpy(copy, p, len);
	(void)ip_parse(copy, (uint32_t)len, &v);
	return !checksum_fill_packet(copy, &v) || memcmp(copy, p, len) == 0;
}

int
packet_id(const uint8_t *p, size_t len)
{
	struct ip_view v;

	if (!ip_parse(p, (uint32_t)len, &v) || v.total_len < v.header_len + ID_AT + 2u)
		return -1;
	return load_be16(p + v.header_len + ID_AT);
}
