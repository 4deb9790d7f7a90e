/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/checksum.h"

static uint32_t
load_native32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

// Words of 32 bits into 64: carries need no care, and the compiler makes vectors of the loop.
uint64_t
checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t words = len / 4;
	uint8_t tail[4] = {};

	for (size_t i = 0; i < words; i++)
		sum += load_native32(p + 4 * i);
	if (len % 4 != 0) {
		memcpy(tail, p + 4 * words,
			len % 4); // an odd byte is the first of a word (RFC 1071)
		sum += load_native32(tail);
	}
	return sum;
}

uint64_t
checksum_add_pseudo(uint64_t sum,
	enum addr_family family,
	const uint8_t *src,
	const uint8_t *dst,
	uint8_t protocol,
	uint32_t l4_len)
{
	size_t addr_len = family == ADDR_V6 ? IPV6_ADDR_LEN : IPV4_ADDR_LEN;
	uint8_t rest[8];

	store_be32(rest, l4_len); // IPv4 has sixteen bits for it, and a sum that is the same
	store_be32(rest + 4, protocol);
	sum = checksum_add(sum, src, addr_len);
	sum = checksum_add(sum, dst, addr_len);
	return checksum_add(sum, rest, sizeof(rest));
}

void
checksum_fill_ipv4(uint8_t *header, uint32_t header_len)
{
	store_be16(header + 10, 0);
	checksum_store(header + 10, checksum_finish(checksum_add(0, header, header_len)));
}

bool
checksum_is_valid_ipv4(const uint8_t *header, uint32_t header_len)
{
	return checksum_fold(checksum_add(0, header, header_len)) == 0xffff;
}

// Offset of the checksum in a transport header, and how long that header is at least.
struct checksum_place {
	uint32_t offset;
	uint32_t header_len;
	bool has_pseudo_header;
};

static bool
find_place(enum addr_family family, uint8_t protocol, struct checksum_place *ret_place)
{
	switch (protocol) {
	case IP_PROTOCOL_TCP:
		*ret_place = (struct checksum_place){ 16, TCP_HEADER_LEN, true };
		return true;
	case IP_PROTOCOL_UDP:
		*ret_place = (struct checksum_place){ 6, UDP_HEADER_LEN, true };
		return true;
	case IP_PROTOCOL_ICMP:
		*ret_place = (struct checksum_place){ 2, 8, false };
		return family == ADDR_V4;
	case IP_PROTOCOL_IPV6_ICMP:
		*ret_place = (struct checksum_place){ 2, 4, true };
		return family == ADDR_V6;
	default:
		return false;
	}
}

bool
checksum_fill_transport(enum addr_family family,
	const uint8_t *src,
	const uint8_t *dst,
	uint8_t protocol,
	uint8_t *l4,
	uint32_t l4_len)
{
	struct checksum_place place;
	uint16_t checksum;
	uint64_t sum = 0;

	if (!find_place(family, protocol, &place) || l4_len < place.header_len)
		return false;

	store_be16(l4 + place.offset, 0);
	if (place.has_pseudo_header)
		sum = checksum_add_pseudo(sum, family, src, dst, protocol, l4_len);
	checksum = checksum_finish(checksum_add(sum, l4, l4_len));
	if (checksum == 0 && protocol == IP_PROTOCOL_UDP)
		checksum = 0xffff; // RFC 768: 0 says that there is none
	checksum_store(l4 + place.offset, checksum);
	return true;
}

bool
checksum_fill_packet(uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;

	if (ip_find_transport(p, v, &t) < 0 || t.is_fragment)
		return false;
	return checksum_fill_transport(
		v->family, v->src, v->dst, t.protocol, p + t.offset, v->total_len - t.offset);
}
