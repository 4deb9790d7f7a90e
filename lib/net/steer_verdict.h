/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 *
 * Whose frame is it: the decision that the XDP program takes for each one, as plain code over
 * bounded bytes, so that the same rows test the same lines in user space and in the kernel.
 *
 * Source: ../shared/design/architecture.md, sections 3.1, 3.2 and 11; WireGuard's message sizes:
 *         ../shared/protocol/peer.md section 3.5.  Transport data has no other rule than its
 *         least length: padding to sixteen bytes ends at the sender's MTU.
 * Both sides: no C library, no helper of the kernel, no global state, bounded loops.  The including
 *         file defines the look-ups below.
 * Thread: pure, but for the buckets of the sieve, which several processors may take from at once.
 *
 * What cannot be read (truncated, other version, no transport header) is the kernel's, which drops
 * it; behind a tailnet prefix it goes to a worker all the same, because nothing of that passes.
 */
#ifndef LIB_NET_STEER_VERDICT_H
#define LIB_NET_STEER_VERDICT_H

#include "lib/net/steer.h"

#define STEER_INLINE static inline __attribute__((always_inline))

/* --- defined by the including file; `tables` is what steer_verdict() was called with -----------
 */

STEER_INLINE __u32 steer_address_flags(void *tables, const struct steer_addr *a);
STEER_INLINE __u32 steer_prefix_of(void *tables, const struct steer_addr *a); /* its action */
STEER_INLINE _Bool steer_knows_source(void *tables, const struct steer_source *s);
STEER_INLINE _Bool steer_knows_fragment(void *tables, const struct steer_fragment *f);
STEER_INLINE void steer_remember_fragment(void *tables, const struct steer_fragment *f);
/* Made if it is not there, with value 0; NULL: there is no room. */
STEER_INLINE __u64 *steer_source_bucket(void *tables, const struct steer_source *s);
STEER_INLINE __u64 *steer_total_bucket(void *tables, __u32 class);
STEER_INLINE __u64 steer_now_ns(void *tables); /* never goes back */
/* steer_walk_extensions(), as it is or behind a call: the kernel's verifier follows each of its
 * ways through all that comes after. */
STEER_INLINE __u64
steer_extensions(void *tables, const __u8 *frame, const __u8 *end, __u32 offset, __u32 protocol);

/* Offsets in a frame are below this: the verifier wants a bound. */
#define STEER_OFFSET_MASK 0x3fffu

/* --- bytes -------------------------------------------------------------------------------------
 */

STEER_INLINE __u16
steer_be16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

STEER_INLINE __u32
steer_be32(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

/* The compiler for BPF copies byte by byte what it does not know to be aligned; the kernel does not
 * mind. */
STEER_INLINE void
steer_copy4(__u8 *to, const __u8 *from)
{
#ifdef __bpf__
	*(__u32 *)to = *(const __u32 *)from;
#else
	__builtin_memcpy(to, from, 4);
#endif
}

STEER_INLINE void
steer_copy16(__u8 *to, const __u8 *from)
{
	steer_copy4(to, from);
	steer_copy4(to + 4, from + 4);
	steer_copy4(to + 8, from + 8);
	steer_copy4(to + 12, from + 12);
}

STEER_INLINE _Bool
steer_equal16(const __u8 *a, const __u8 *b)
{
	__u8 differ = 0;

	for (int i = 0; i < 16; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

/*
 * A place in the frame.  The bound is set where it is used: between, the compiler keeps the offset
 * on the stack, and the kernel's verifier forgets what it knew.
 */
STEER_INLINE const __u8 *
steer_at(const __u8 *frame, __u32 offset)
{
	__asm__ volatile("" : "+r"(offset)); // or the compiler, which forgets nothing, takes it out
	return frame + (offset & STEER_OFFSET_MASK);
}

/* --- headers -----------------------------------------------------------------------------------
 */

#define STEER_ETHERNET_LEN   14
#define STEER_ETHERTYPE_IP4  0x0800
#define STEER_ETHERTYPE_IP6  0x86dd
#define STEER_ETHERTYPE_VLAN 0x8100 /* IEEE 802.1Q */
#define STEER_ETHERTYPE_QINQ 0x88a8 /* 802.1ad */

#define STEER_MAX_EXTENSIONS 6

enum steer_protocol { /* IANA's numbers */
	STEER_HOPOPT = 0,
	STEER_ICMP = 1,
	STEER_TCP = 6,
	STEER_UDP = 17,
	STEER_ROUTING = 43,
	STEER_FRAGMENT = 44,
	STEER_AH = 51,
	STEER_ICMP6 = 58,
	STEER_NO_NEXT = 59,
	STEER_OPTIONS = 60,
};

struct steer_ip {
	__u32 l4;     /* the transport header's offset in the frame; what is there is still to be
	                 checked */
	__u32 l4_len; /* bytes from there on, by the packet's length field */
	__u32 fragment_id;
	struct steer_addr src;
	struct steer_addr dst;
	__u8 protocol;    /* STEER_NO_NEXT: no transport header could be found */
	__u8 is_fragment; /* a cut datagram */
	__u8 is_later;    /* not its first piece: no transport header */
};

STEER_INLINE _Bool
steer_parse_ip4(const __u8 *frame, const __u8 *end, __u32 offset, struct steer_ip *ip)
{
	const __u8 *p = steer_at(frame, offset);
	__u32 header_len, total_len, fragment;

	if (p + 20 > end)
		return 0;
	header_len = (__u32)(p[0] & 15) * 4;
	total_len = steer_be16(p + 2);
	if (p[0] >> 4 != 4 || header_len < 20 || total_len < header_len)
		return 0;
	fragment = steer_be16(p + 6);

	ip->l4 = offset + header_len;
	ip->l4_len = total_len - header_len;
	ip->fragment_id = steer_be16(p + 4);
	ip->protocol = p[9];
	ip->is_later = (fragment & 0x1fff) != 0;
	ip->is_fragment = (fragment & 0x3fff) != 0;
	ip->src.family = 4;
	ip->dst.family = 4;
	steer_copy4(ip->src.bytes, p + 12);
	steer_copy4(ip->dst.bytes, p + 16);
	return 1;
}

/* A step along extension headers, in a register: fragment id, offset, protocol, and these. */
#define STEER_WALK_FRAGMENT          1u
#define STEER_WALK_LATER             2u
#define STEER_WALK_ENDED             4u
#define STEER_WALK(offset, protocol) ((__u64)(offset) << 16 | (__u64)(protocol) << 8)

STEER_INLINE __u64
steer_step_extension(const __u8 *frame, const __u8 *end, __u64 walk)
{
	__u32 protocol = walk >> 8 & 255, offset = walk >> 16 & STEER_OFFSET_MASK, word, len;
	const __u8 *p = steer_at(frame, offset);

	if (protocol != STEER_HOPOPT && protocol != STEER_ROUTING && protocol != STEER_OPTIONS &&
		protocol != STEER_FRAGMENT && protocol != STEER_AH)
		return walk | STEER_WALK_ENDED;
	if (p + 8 > end)
		return STEER_WALK(0, STEER_NO_NEXT) | STEER_WALK_ENDED;

	walk &= 0xffffffff000000ffull;
	len = protocol == STEER_AH ? ((__u32)p[1] + 2) * 4 : ((__u32)p[1] + 1) * 8;
	if (protocol == STEER_FRAGMENT) {
		len = 8;
		word = steer_be16(p + 2);
		walk = (walk & 255) | (__u64)steer_be32(p + 4) << 32;
		if (word & 0xfff9)
			walk |= STEER_WALK_FRAGMENT;
		if (word & 0xfff8)
			walk |= STEER_WALK_LATER | STEER_WALK_ENDED;
	}
	return walk | STEER_WALK(offset + len, p[0]);
}

/* From the header of this protocol at `offset` past all extension headers.  One that is still there
 * after the last step is no protocol that anybody asks for. */
STEER_INLINE __u64
steer_walk_extensions(const __u8 *frame, const __u8 *end, __u32 offset, __u32 protocol)
{
	__u64 walk = STEER_WALK(offset, protocol);

	for (int i = 0; i < STEER_MAX_EXTENSIONS; i++) {
		if (walk & STEER_WALK_ENDED)
			break;
		walk = steer_step_extension(frame, end, walk);
	}
	return walk;
}

STEER_INLINE _Bool
steer_parse_ip6(const __u8 *frame, const __u8 *end, __u32 offset, struct steer_ip *ip, void *tables)
{
	const __u8 *p = steer_at(frame, offset);
	__u32 payload_len;
	__u64 walk;

	if (p + 40 > end || p[0] >> 4 != 6)
		return 0;
	payload_len = steer_be16(p + 4);
	ip->src.family = 6;
	ip->dst.family = 6;
	steer_copy16(ip->src.bytes, p + 8);
	steer_copy16(ip->dst.bytes, p + 24);

	walk = steer_extensions(tables, frame, end, offset + 40, p[6]);
	ip->l4 = walk >> 16 & STEER_OFFSET_MASK;
	ip->protocol = walk >> 8 & 255;
	ip->is_later = (walk & STEER_WALK_LATER) != 0;
	ip->is_fragment = (walk & STEER_WALK_FRAGMENT) != 0;
	ip->fragment_id = (__u32)(walk >> 32);
	ip->l4_len = payload_len + offset + 40 - ip->l4;
	// Longer than the packet (the difference went below zero)?
	if (ip->l4_len > 65535)
		ip->protocol = STEER_NO_NEXT;
	return 1;
}

/* --- the sieve ---------------------------------------------------------------------------------
 */

/*
 * Take one token.  A bucket is a time: when it will be full again; more than a burst ahead of now,
 * it is empty.  Whoever meets others at it three times goes without.
 */
STEER_INLINE _Bool
steer_take(__u64 *bucket, const struct steer_limit *limit, __u64 now)
{
	__u64 room = (__u64)limit->interval_ns * limit->burst;

	if (limit->interval_ns == 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		__u64 seen = *(volatile __u64 *)bucket;
		__u64 next = (seen > now ? seen : now) + limit->interval_ns;

		if (next - now > room)
			return 0;
		if (__sync_val_compare_and_swap(bucket, seen, next) == seen)
			return 1;
	}
	return 0;
}

/*
 * A known source is never refused for what others send.  What one source sends does not count in
 * the total beyond that source's own limit, or it alone could starve all others.
 */
STEER_INLINE enum steer_verdict
steer_sieve(const struct steer_settings *settings,
	const struct steer_ip *ip,
	__u16 port,
	enum steer_class class,
	void *tables)
{
	struct steer_source source = { .port = port, .family = (__u8)ip->src.family };
	__u64 now = steer_now_ns(tables);
	_Bool is_known;
	__u64 *bucket;

	steer_copy16(source.bytes, ip->src.bytes);
	is_known = steer_knows_source(tables, &source);
	if (!is_known) {
		source.port = 0;
		is_known = steer_knows_source(tables, &source);
		// Whoever has a v6 network has all its addresses.
		if (!is_known && source.family == 6)
			__builtin_memset(source.bytes + 8, 0, 8);
	}

	source.class = (__u8) class;
	bucket = steer_source_bucket(tables, &source);
	if (bucket && !steer_take(bucket, &settings->source[class], now))
		return STEER_DROP_SOURCE_LIMIT;
	if (is_known)
		return STEER_PASS_WIRE;
	bucket = steer_total_bucket(tables, class);
	if (bucket && !steer_take(bucket, &settings->total[class], now))
		return STEER_DROP_TOTAL_LIMIT;
	return STEER_PASS_WIRE;
}

/* Disco (../shared/protocol/peer.md section 2) or STUN (RFC 8489 section 5)? */
STEER_INLINE _Bool
steer_is_signal(const __u8 *payload, __u32 len, const __u8 *end)
{
	if (len < 20 || payload + 8 > end)
		return 0;
	if (steer_be32(payload) == 0x5453f09f && steer_be16(payload + 4) == 0x92ac)
		return 1;
	return (payload[0] & 0xc0) == 0 && steer_be32(payload + 4) == 0x2112a442;
}

/* A datagram for our own port on an address of ours. */
STEER_INLINE enum steer_verdict
steer_wire(const struct steer_settings *settings,
	const struct steer_ip *ip,
	const __u8 *frame,
	const __u8 *end,
	void *tables)
{
	const __u8 *udp = steer_at(frame, ip->l4);
	const __u8 *payload = udp + 8;
	enum steer_class class = STEER_HANDSHAKE;
	__u32 len, type;

	if (payload > end)
		return STEER_PASS;
	len = steer_be16(udp + 4);
	// Its lengths contradict each other, or the frame: the kernel's checks drop it.
	if (len < 8 || (!ip->is_fragment && (len > ip->l4_len || udp + len > end)))
		return STEER_PASS;
	len -= 8;
	if (len < 4 || payload + 4 > end)
		return STEER_DROP_LENGTH;

	type = steer_be32(payload);
	if (type == 0x04000000) {
		if (len < 32)
			return STEER_DROP_LENGTH;
		return ip->is_fragment ? STEER_PASS_WIRE : STEER_WIRE;
	}
	type >>= 24;
	if (type >= 1 && type <= 3 && (steer_be32(payload) & 0xffffff) == 0) {
		__u32 wanted = type == 1 ? 148 : type == 2 ? 92 : 64;

		if (len != wanted || ip->is_fragment)
			return STEER_DROP_LENGTH;
	} else {
		class = steer_is_signal(payload, len, end) ? STEER_SIGNAL : STEER_OTHER;
	}
	return steer_sieve(settings, ip, steer_be16(udp), class, tables);
}

/* --- answers to translated flows ---------------------------------------------------------------
 */

STEER_INLINE _Bool
steer_in_nat_range(const struct steer_settings *settings, __u16 number)
{
	return number >= settings->nat_first && number <= settings->nat_last;
}

/*
 * An ICMP error: does it quote a packet that we sent from the range?  Errors are the same for both
 * families as far as this goes: eight bytes, then the packet.
 */
STEER_INLINE _Bool
steer_quotes_translated(const struct steer_settings *settings,
	const struct steer_ip *ip,
	const __u8 *frame,
	const __u8 *end,
	void *tables)
{
	struct steer_ip quoted = {};
	const __u8 *l4;

	if (ip->dst.family == 4 ? !steer_parse_ip4(frame, end, ip->l4 + 8, &quoted)
				: !steer_parse_ip6(frame, end, ip->l4 + 8, &quoted, tables))
		return 0;
	l4 = steer_at(frame, quoted.l4);
	if (quoted.is_later || !steer_equal16(quoted.src.bytes, ip->dst.bytes) || l4 + 8 > end)
		return 0;
	if (quoted.protocol == STEER_TCP || quoted.protocol == STEER_UDP)
		return steer_in_nat_range(settings, steer_be16(l4));
	// An echo request's identifier.
	if (ip->dst.family == 4 ? quoted.protocol == STEER_ICMP && l4[0] == 8
				: quoted.protocol == STEER_ICMP6 && l4[0] == 128)
		return steer_in_nat_range(settings, steer_be16(l4 + 4));
	return 0;
}

STEER_INLINE _Bool
steer_is_translated(const struct steer_settings *settings,
	const struct steer_ip *ip,
	const __u8 *frame,
	const __u8 *end,
	void *tables)
{
	const __u8 *l4 = steer_at(frame, ip->l4);
	__u8 type;

	if (settings->nat_last < settings->nat_first || l4 + 8 > end)
		return 0;
	if (ip->protocol == STEER_TCP || ip->protocol == STEER_UDP)
		return steer_in_nat_range(settings, steer_be16(l4 + 2));

	type = l4[0];
	if (ip->protocol == STEER_ICMP && ip->dst.family == 4) {
		if (type == 0)
			return steer_in_nat_range(settings, steer_be16(l4 + 4));
		// Unreachable, time exceeded, parameter problem (RFC 792).
		return (type == 3 || type == 11 || type == 12) &&
		       steer_quotes_translated(settings, ip, frame, end, tables);
	}
	if (ip->protocol == STEER_ICMP6 && ip->dst.family == 6) {
		if (type == 129)
			return steer_in_nat_range(settings, steer_be16(l4 + 4));
		// Unreachable, too big, time exceeded, parameter problem (RFC 4443).
		return type >= 1 && type <= 4 &&
		       steer_quotes_translated(settings, ip, frame, end, tables);
	}
	return 0;
}

/* --- the decision ------------------------------------------------------------------------------
 */

STEER_INLINE struct steer_fragment
steer_fragment_of(const struct steer_ip *ip)
{
	struct steer_fragment f = { .id = ip->fragment_id, .family = (__u8)ip->dst.family };

	// IPv6 has one space of identifiers for each pair of addresses.
	if (ip->dst.family == 4)
		f.protocol = ip->protocol;
	steer_copy16(f.src, ip->src.bytes);
	steer_copy16(f.dst, ip->dst.bytes);
	return f;
}

/* For an address of the box itself. */
STEER_INLINE enum steer_verdict
steer_local(const struct steer_settings *settings,
	const struct steer_ip *ip,
	__u32 flags,
	const __u8 *frame,
	const __u8 *end,
	void *tables)
{
	const __u8 *l4 = steer_at(frame, ip->l4);

	if (ip->is_later) {
		struct steer_fragment f = steer_fragment_of(ip);

		return flags & STEER_ADDRESS_NAT && steer_knows_fragment(tables, &f) ? STEER_INNER
		                                                                     : STEER_PASS;
	}
	if (l4 + 4 > end)
		return STEER_PASS;
	if (ip->protocol == STEER_UDP && settings->listen_port != 0 &&
		steer_be16(l4 + 2) == settings->listen_port)
		return steer_wire(settings, ip, frame, end, tables);
	if (!(flags & STEER_ADDRESS_NAT) || !steer_is_translated(settings, ip, frame, end, tables))
		return STEER_PASS;
	if (ip->is_fragment) {
		struct steer_fragment f = steer_fragment_of(ip);

		steer_remember_fragment(tables, &f);
	}
	return STEER_INNER;
}

/* `frame` to `end`: from the Ethernet header on, as a device received it.  `mac`: the device's. */
STEER_INLINE enum steer_verdict
steer_verdict(const struct steer_settings *settings,
	const __u8 mac[6],
	const __u8 *frame,
	const __u8 *end,
	void *tables)
{
	struct steer_ip ip = {};
	__u32 flags, action;
	__u16 type;

	if (frame + STEER_ETHERNET_LEN > end)
		return STEER_PASS;
	if ((frame[0] ^ mac[0]) | (frame[1] ^ mac[1]) | (frame[2] ^ mac[2]) | (frame[3] ^ mac[3]) |
		(frame[4] ^ mac[4]) | (frame[5] ^ mac[5]))
		return STEER_PASS_OTHER_MAC;

	type = steer_be16(frame + 12);
	if (type == STEER_ETHERTYPE_VLAN || type == STEER_ETHERTYPE_QINQ)
		return STEER_PASS_VLAN;
	if (type == STEER_ETHERTYPE_IP4) {
		if (!steer_parse_ip4(frame, end, STEER_ETHERNET_LEN, &ip))
			return STEER_PASS;
	} else if (type == STEER_ETHERTYPE_IP6) {
		if (!steer_parse_ip6(frame, end, STEER_ETHERNET_LEN, &ip, tables))
			return STEER_PASS;
	} else {
		return STEER_PASS;
	}

	flags = steer_address_flags(tables, &ip.dst);
	if (flags & (STEER_ADDRESS_LOCAL | STEER_ADDRESS_NAT))
		return steer_local(settings, &ip, flags, frame, end, tables);
	if (flags & STEER_ADDRESS_REDIRECT)
		return STEER_INNER;
	if (flags & STEER_ADDRESS_PASS)
		return STEER_PASS;
	action = steer_prefix_of(tables, &ip.dst);
	return action == STEER_PREFIX_REDIRECT ? STEER_INNER : STEER_PASS;
}

#endif
