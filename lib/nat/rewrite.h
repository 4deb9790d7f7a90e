/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Changing addresses and ports in a packet, with all checksums that cover them.
 *
 * A delta is what a change adds to a sum in ones' complement (RFC 1624 equation 3), in the order of
 * the machine; its complement undoes it.
 */
#ifndef LIB_NAT_REWRITE_H
#define LIB_NAT_REWRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/checksum.h"
#include "lib/net/headers.h"

/* The delta of replacing `len` bytes (even) at an even place. */
static inline uint16_t
rewrite_delta(const void *from, const void *to, uint32_t len)
{
	uint64_t sum = checksum_add(0, to, len);

	return checksum_fold(sum + (uint16_t)~checksum_fold(checksum_add(0, from, len)));
}

static inline uint16_t
rewrite_delta_add(uint16_t a, uint16_t b)
{
	return checksum_fold((uint64_t)a + b);
}

static inline uint16_t
rewrite_delta_port(uint16_t from, uint16_t to)
{
	return checksum_fold((uint64_t)htobe16(to) + (uint16_t)~htobe16(from));
}

/* Bring a checksum that covers what has changed up to date. */
static inline void
rewrite_checksum(uint8_t *field, uint16_t delta)
{
	uint16_t old;

	memcpy(&old, field, sizeof(old));
	checksum_store(field, checksum_finish((uint64_t)(uint16_t)~old + delta));
}

/* The same for UDP: 0 says that there is none and stays, and is never the result. */
static inline void
rewrite_udp_checksum(uint8_t *field, uint16_t delta)
{
	uint16_t old;

	memcpy(&old, field, sizeof(old));
	if (old == 0)
		return;
	old = checksum_finish((uint64_t)(uint16_t)~old + delta);
	checksum_store(field, old == 0 ? 0xffff : old);
}

/* Offset of the checksum in a transport header. */
static inline uint32_t
rewrite_checksum_at(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP ? 16 : protocol == IP_PROTOCOL_UDP ? 6 : 2;
}

static inline void
rewrite_transport(uint8_t *l4, uint8_t protocol, uint32_t port_at, uint16_t port, uint16_t delta)
{
	store_be16(l4 + port_at, port);
	if (protocol == IP_PROTOCOL_UDP)
		rewrite_udp_checksum(l4 + 6, delta);
	else
		rewrite_checksum(l4 + rewrite_checksum_at(protocol), delta);
}

/* An address of a header that ip_parse() has accepted; `at`: v->src or v->dst, inside the packet.
 */
static inline void
rewrite_address(uint8_t *p, uint8_t family, uint32_t at, const void *addr, uint16_t address_delta)
{
	if (family == ADDR_V4) {
		memcpy(p + at, addr, IPV4_ADDR_LEN);
		rewrite_checksum(p + 10, address_delta);
	} else {
		memcpy(p + at, addr, IPV6_ADDR_LEN);
	}
}

/* Offsets of the addresses in a header. */
static inline uint32_t
rewrite_src_at(uint8_t family)
{
	return family == ADDR_V4 ? 12 : 8;
}

static inline uint32_t
rewrite_dst_at(uint8_t family)
{
	return family == ADDR_V4 ? 16 : 24;
}

static inline bool
rewrite_is_icmp(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_ICMP || protocol == IP_PROTOCOL_IPV6_ICMP;
}

/* Offsets of the ports, or the identifier, in a transport header. */
static inline uint32_t
rewrite_src_port_at(uint8_t protocol)
{
	return rewrite_is_icmp(protocol) ? 4 : 0;
}

static inline uint32_t
rewrite_dst_port_at(uint8_t protocol)
{
	return rewrite_is_icmp(protocol) ? 4 : 2;
}

/* An address, with a delta that is made for this packet. */
static inline void
rewrite_address_now(uint8_t *p, uint8_t family, uint32_t at, const uint64_t addr[static 2])
{
	uint32_t len = family == ADDR_V4 ? 4 : 16;

	rewrite_address(p, family, at, addr, rewrite_delta(p + at, addr, len));
}

/* The destination, its port too, with deltas that are made for this packet. */
static inline void
rewrite_destination(const uint64_t inside[static 2],
	uint16_t port,
	uint8_t protocol,
	uint32_t l4,
	uint8_t *p,
	uint8_t family)
{
	uint32_t at = rewrite_dst_at(family), len = family == ADDR_V4 ? 4 : 16;
	uint16_t address_delta = rewrite_delta(p + at, inside, len);
	uint16_t delta =
		rewrite_delta_port(load_be16(p + l4 + rewrite_dst_port_at(protocol)), port);

	if (protocol != IP_PROTOCOL_ICMP)
		delta = rewrite_delta_add(delta, address_delta);
	rewrite_address(p, family, at, inside, address_delta);
	rewrite_transport(p + l4, protocol, rewrite_dst_port_at(protocol), port, delta);
}

/* The identification of an IPv4 header. */
static inline void
rewrite_id(uint8_t *p, uint16_t id)
{
	checksum_update16(p + 10, load_be16(p + 4), id);
	store_be16(p + 4, id);
}

#endif
