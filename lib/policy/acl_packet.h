/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the packet filter looks at: an IP packet, read once into a structure of fixed size.
 *
 * Source: ../shared/protocol/peer.md section 9.2.  One difference, recommended there: an IPv4
 * header of less than 20 bytes makes a packet unknown, as ip_parse() refuses it.
 */
#ifndef LIB_POLICY_ACL_PACKET_H
#define LIB_POLICY_ACL_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/headers.h"

/* Protocols that the filter knows beyond those of headers.h. */
#define ACL_PROTOCOL_IGMP 2
#define ACL_PROTOCOL_TSMP 99
#define ACL_PROTOCOL_SCTP 132
#define ACL_PROTOCOL_NONE 255 /* reserved by IANA: unknown to the reference */

#define ACL_MIN_PACKET_LEN     20
#define ACL_MIN_LATER_FRAGMENT 10 /* in blocks of 8 bytes: behind any transport header */

/* An address as a number: IPv4 in the lower 32 bits of `low`. */
struct acl_addr {
	uint64_t high, low;
};

enum acl_kind {
	ACL_KIND_EMPTY,    /* no bytes: a WireGuard keepalive */
	ACL_KIND_SHORT,    /* less than ACL_MIN_PACKET_LEN */
	ACL_KIND_UNKNOWN,  /* no IP packet, or one whose transport header is not whole */
	ACL_KIND_FRAGMENT, /* a later one: no transport header */
	ACL_KIND_WHOLE,    /* with its transport header, or of a protocol that has none for us */
};

struct acl_packet {
	struct acl_addr src, dst;
	uint16_t src_port, dst_port; /* TCP, UDP, SCTP; else 0 */
	uint8_t family;              /* enum addr_family; ADDR_NONE: unknown, the rest is 0 */
	uint8_t protocol;
	uint8_t kind;        /* enum acl_kind */
	bool opens_tcp;      /* SYN without ACK */
	bool is_icmp_answer; /* echo reply or error */
};

static inline bool
acl_addr_equal(const struct acl_addr *a, const struct acl_addr *b)
{
	return ((a->high ^ b->high) | (a->low ^ b->low)) == 0;
}

static inline bool
acl_addr_less(const struct acl_addr *a, const struct acl_addr *b)
{
	return a->high < b->high || (a->high == b->high && a->low < b->low);
}

/* From the bytes of an address of this family. */
static inline struct acl_addr
acl_addr_load(uint8_t family, const uint8_t *bytes)
{
	if (family == ADDR_V4)
		return (struct acl_addr){ 0, load_be32(bytes) };
	return (struct acl_addr){ load_be64(bytes), load_be64(bytes + 8) };
}

/* UDP and SCTP: an outbound packet opens the way for answers. */
static inline bool
acl_is_flow_protocol(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_UDP || protocol == ACL_PROTOCOL_SCTP;
}

/* The reference lets type 18 pass for 12 by a slip, and the recorded verdicts have it so. */
static inline bool
acl_is_answer_v4(uint8_t type, uint8_t code)
{
	return (type == 0 && code == 0) || type == 3 || type == 11 || type == 18;
}

static inline bool
acl_is_answer_v6(uint8_t type, uint8_t code)
{
	return (type == 129 && code == 0) || (type >= 1 && type <= 4);
}

static inline void
acl_read_ports(struct acl_packet *k, const uint8_t *transport)
{
	k->src_port = load_be16(transport);
	k->dst_port = load_be16(transport + 2);
}

/* The least bytes of transport header with which a protocol of the family is known; 0: any. */
static inline uint32_t
acl_least_transport(uint8_t family, uint8_t protocol)
{
	switch (protocol) {
	case IP_PROTOCOL_ICMP:
		return family == ADDR_V4 ? 4 : 0;
	case IP_PROTOCOL_IPV6_ICMP:
		return family == ADDR_V6 ? 4 : 0;
	case ACL_PROTOCOL_IGMP:
		return family == ADDR_V4 ? 8 : 0;
	case IP_PROTOCOL_TCP:
		return 20;
	case IP_PROTOCOL_UDP:
		return 8;
	case ACL_PROTOCOL_SCTP:
		return 12;
	case ACL_PROTOCOL_TSMP:
		return 7;
	default:
		return 0;
	}
}

/* The transport header of a first fragment or a whole packet; `len` bytes are there. */
static inline void
acl_read_transport(struct acl_packet *k, const uint8_t *transport, uint32_t len)
{
	k->kind = ACL_KIND_UNKNOWN;
	if (k->protocol == 0 || k->protocol == ACL_PROTOCOL_NONE)
		return;
	if (len < acl_least_transport(k->family, k->protocol))
		return;
	k->kind = ACL_KIND_WHOLE;
	if (k->protocol == IP_PROTOCOL_TCP) {
		acl_read_ports(k, transport);
		k->opens_tcp = (transport[13] & 0x12) == 0x02;
	} else if (acl_is_flow_protocol(k->protocol)) {
		acl_read_ports(k, transport);
	} else if (k->protocol == IP_PROTOCOL_ICMP && k->family == ADDR_V4) {
		k->is_icmp_answer = len >= 8 && acl_is_answer_v4(transport[0], transport[1]);
	} else if (k->protocol == IP_PROTOCOL_IPV6_ICMP && k->family == ADDR_V6) {
		k->is_icmp_answer = len >= 8 && acl_is_answer_v6(transport[0], transport[1]);
	}
}

static inline void
acl_read_later_fragment(struct acl_packet *k, uint32_t offset_blocks)
{
	k->kind = offset_blocks < ACL_MIN_LATER_FRAGMENT ? ACL_KIND_UNKNOWN : ACL_KIND_FRAGMENT;
}

static inline void
acl_read_v4(struct acl_packet *k, const uint8_t *p, uint32_t len, const struct ip_view *v)
{
	if (ip_is_later_fragment(v)) {
		acl_read_later_fragment(k, v->fragment & IPV4_OFFSET_MASK);
		return;
	}
	if (k->protocol == ACL_PROTOCOL_TSMP && (v->fragment & IPV4_MORE_FRAGMENTS) != 0) {
		k->kind = ACL_KIND_UNKNOWN;
		return;
	}
	acl_read_transport(k, p + v->header_len, len - v->header_len);
}

/* Of the extension headers only a fragment header right behind the fixed one is stepped over. */
static inline void
acl_read_v6(struct acl_packet *k, const uint8_t *p, uint32_t len, const struct ip_view *v)
{
	uint32_t at = v->header_len;
	uint32_t offset_blocks;

	if (k->protocol == IP_PROTOCOL_IPV6_FRAG) {
		if (len - at < 8) {
			k->kind = ACL_KIND_UNKNOWN;
			return;
		}
		offset_blocks = load_be16(p + at + 2) >> 3;
		if (offset_blocks != 0) {
			acl_read_later_fragment(k, offset_blocks);
			return;
		}
		k->protocol = p[at];
		at += 8;
	}
	acl_read_transport(k, p + at, len - at);
}

/*
 * Read a packet of which ip_parse() has made a view.
 *
 * len: bytes in the buffer, at least v->total_len.  What lies beyond total_len counts as transport
 *      header, as in the reference; behind WireGuard there is nothing.
 */
static inline void
acl_packet_of_view(const uint8_t *p,
	uint32_t len,
	const struct ip_view *v,
	struct acl_packet *ret_packet)
{
	struct acl_packet k = {
		.src = acl_addr_load(v->family, v->src),
		.dst = acl_addr_load(v->family, v->dst),
		.family = v->family,
		.protocol = v->protocol,
	};

	if (v->family == ADDR_V4)
		acl_read_v4(&k, p, len, v);
	else
		acl_read_v6(&k, p, len, v);
	*ret_packet = k;
}

/* Read any bytes. */
static inline void
acl_packet_read(const uint8_t *p, uint32_t len, struct acl_packet *ret_packet)
{
	struct ip_view v;

	if (len == 0)
		*ret_packet = (struct acl_packet){ .kind = ACL_KIND_EMPTY };
	else if (len < ACL_MIN_PACKET_LEN)
		*ret_packet = (struct acl_packet){ .kind = ACL_KIND_SHORT };
	else if (!ip_parse(p, len, &v))
		*ret_packet = (struct acl_packet){ .kind = ACL_KIND_UNKNOWN };
	else
		acl_packet_of_view(p, len, &v, ret_packet);
}

#endif
