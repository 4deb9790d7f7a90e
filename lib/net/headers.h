/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Views of the headers of an IP packet: what the packet path asks, read out of bytes at any
 * alignment and bounded by the buffer.  Nothing is copied; a view is valid as long as the bytes.
 *
 * Source: RFC 791, RFC 8200, RFC 9293, RFC 768; what a WireGuard receiver refuses:
 *         ../shared/protocol/peer.md section 3.5.
 */
#ifndef LIB_NET_HEADERS_H
#define LIB_NET_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/net/addr.h"

#define IPV4_HEADER_LEN 20 /* without options */
#define IPV6_HEADER_LEN 40
#define TCP_HEADER_LEN  20 /* without options */
#define UDP_HEADER_LEN  8

#define IPV4_ADDR_LEN 4
#define IPV6_ADDR_LEN 16

/* Of an IPv4 header's word at 6. */
#define IPV4_DONT_FRAGMENT  0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK    0x1fff

/* Values of the protocol and next header fields (IANA's names). */
enum ip_protocol {
	IP_PROTOCOL_HOPOPT = 0,
	IP_PROTOCOL_ICMP = 1,
	IP_PROTOCOL_TCP = 6,
	IP_PROTOCOL_UDP = 17,
	IP_PROTOCOL_IPV6_ROUTE = 43,
	IP_PROTOCOL_IPV6_FRAG = 44,
	IP_PROTOCOL_AH = 51,
	IP_PROTOCOL_IPV6_ICMP = 58,
	IP_PROTOCOL_IPV6_NONXT = 59,
	IP_PROTOCOL_IPV6_OPTS = 60,
	IP_PROTOCOL_MOBILITY = 135,
	IP_PROTOCOL_HIP = 139,
	IP_PROTOCOL_SHIM6 = 140,
};

/* Limits of the walk along IPv6 extension headers. */
#define IP_MAX_EXTENSIONS      8
#define IP_MAX_EXTENSION_BYTES 256

struct ip_view {
	const uint8_t *src; /* in the packet: 4 or 16 bytes */
	const uint8_t *dst;
	uint32_t total_len; /* bytes, by the packet's own length field: header_len to the buffer's
	                       len */
	uint16_t fragment;  /* IPv4's flags and fragment offset: ask the functions below */
	uint8_t family;     /* enum addr_family */
	uint8_t header_len; /* bytes: 20 to 60, or 40 */
	uint8_t protocol;   /* IPv6: of whatever follows the fixed header */
	uint8_t ttl;        /* hop limit */
	uint8_t ecn;        /* two bits: enum ecn of ecn.h */
};

/* Where the transport header of a packet begins. */
struct ip_transport {
	uint32_t offset;          /* bytes from the start of the packet; may be total_len */
	uint16_t fragment_offset; /* bytes */
	uint8_t protocol;
	bool is_fragment;       /* a cut datagram; an atomic fragment (RFC 6946) is none */
	bool is_later_fragment; /* there is no transport header at `offset` */
};

/* Part of a datagram that was cut.  IPv4 only: of IPv6, ip_find_transport() knows. */
static inline bool
ip_is_fragment(const struct ip_view *v)
{
	return (v->fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) != 0;
}

/* Without the header of the protocol.  IPv4 only. */
static inline bool
ip_is_later_fragment(const struct ip_view *v)
{
	return (v->fragment & IPV4_OFFSET_MASK) != 0;
}

/* In bytes.  IPv4 only. */
static inline uint16_t
ip_fragment_offset(const struct ip_view *v)
{
	return (uint16_t)((v->fragment & IPV4_OFFSET_MASK) * 8);
}

/* A router must not cut it; IPv6: always. */
static inline bool
ip_dont_fragment(const struct ip_view *v)
{
	return (v->fragment & IPV4_DONT_FRAGMENT) != 0;
}

static inline bool
ip_parse_v4(const uint8_t *p, uint32_t len, struct ip_view *ret)
{
	uint32_t header_len, total_len;

	if (len < IPV4_HEADER_LEN)
		return false;
	header_len = (uint32_t)(p[0] & 0x0f) * 4;
	total_len = load_be16(p + 2);
	if (header_len < IPV4_HEADER_LEN || header_len > total_len || total_len > len)
		return false;

	*ret = (struct ip_view){
		.src = p + 12,
		.dst = p + 16,
		.total_len = total_len,
		.fragment = load_be16(p + 6),
		.family = ADDR_V4,
		.header_len = (uint8_t)header_len,
		.protocol = p[9],
		.ttl = p[8],
		.ecn = p[1] & 3,
	};
	return true;
}

static inline bool
ip_parse_v6(const uint8_t *p, uint32_t len, struct ip_view *ret)
{
	uint32_t total_len;

	if (len < IPV6_HEADER_LEN)
		return false;
	total_len = IPV6_HEADER_LEN + (uint32_t)load_be16(p + 4);
	if (total_len > len)
		return false;
	*ret = (struct ip_view){
		.src = p + 8,
		.dst = p + 24,
		.total_len = total_len,
		.family = ADDR_V6,
		.header_len = IPV6_HEADER_LEN,
		.protocol = p[6],
		.ttl = p[7],
		.ecn = (uint8_t)(p[1] >> 4 & 3),
		.fragment = IPV4_DONT_FRAGMENT,
	};
	return true;
}

/*
 * Look at the first header of a packet of at most `len` bytes.  False, and *ret untouched: too
 * short, version neither 4 nor 6, longer by its length field than `len`, or (IPv4) a header of
 * less than 20 bytes or beyond the total.  The checksum of an IPv4 header is not looked at.
 * Bytes beyond ret->total_len are padding and no part of the packet.
 */
[[nodiscard]] static inline bool
ip_parse(const uint8_t *p, uint32_t len, struct ip_view *ret)
{
	if (len == 0)
		return false;
	if (p[0] >> 4 == 4)
		return ip_parse_v4(p, len, ret);
	if (p[0] >> 4 == 6)
		return ip_parse_v6(p, len, ret);
	return false;
}

/*
 * Find the transport header of the packet that `v` was parsed from: past the IPv6 extension
 * headers in any order, at most IP_MAX_EXTENSIONS of them and IP_MAX_EXTENSION_BYTES in all.  An
 * unknown next header counts as a transport protocol.  The offset is inside the packet or at its
 * end; whether the transport header is whole is for the caller to check.
 *
 * Returns 0, ERR_TRUNCATED (an extension header runs past the packet), or ERR_BAD_FORMAT (too
 * many or too long, a routing header of type 0, a second fragment header).
 */
[[nodiscard]] int
ip_find_transport(const uint8_t *p, const struct ip_view *v, struct ip_transport *ret_transport);

/* The addresses of a view as values. */
struct addr ip_src(const struct ip_view *v);
struct addr ip_dst(const struct ip_view *v);

#endif
