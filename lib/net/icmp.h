/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ICMP errors about a packet that cannot go on, and how many of them may leave.
 *
 * Source: RFC 792, RFC 1191, RFC 1812 section 4.3, RFC 4443, RFC 8201;
 *         ../shared/design/reliability.md section 2.8.
 */
#ifndef LIB_NET_ICMP_H
#define LIB_NET_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/net/headers.h"

/* The longest error in bytes, IP header included. */
#define ICMP_ERROR_MAX_V4 576
#define ICMP_ERROR_MAX_V6 1280
#define ICMP_ERROR_MAX    ICMP_ERROR_MAX_V6

enum icmp_error {
	ICMP_ERROR_TOO_BIG,          /* fragmentation needed 3/4, packet too big 2/0 */
	ICMP_ERROR_TTL_EXCEEDED,     /* 11/0, 3/0 */
	ICMP_ERROR_NO_ROUTE,         /* network unreachable 3/0, no route 1/0 */
	ICMP_ERROR_HOST_UNREACHABLE, /* 3/1, address unreachable 1/3 */
	ICMP_ERROR_PROHIBITED,       /* 3/13, 1/1 */
};

/*
 * Whether a packet may be answered by an ICMP error at all.  Not: an ICMP error, redirect or ICMP
 * of unknown or unreadable type; a later fragment; a multicast, broadcast or unspecified
 * destination; a source that is no single host's (0/8, 127/8, 224/3 and above; ::, ::1, multicast,
 * v4-mapped); an IPv6 chain that cannot be followed.  Link broadcast does not exist in a tunnel; a
 * driver that has it must not ask.
 */
[[nodiscard]] bool icmp_error_is_allowed(const uint8_t *p, const struct ip_view *v);

/*
 * Write the error about a packet into buf[0, size_bytes), quoting as much of it as fits, nothing
 * from behind its total_len.  Quote the packet as it came, before its TTL was counted down.
 *
 * p, v:   the packet, and ip_parse() of it.  Not inside `buf`.
 * source: an address of ours of the same family.
 * mtu:    for ICMP_ERROR_TOO_BIG, else 0; IPv6 is never told less than 1280.  Whether an IPv4
 * packet may be fragmented instead (ip_dont_fragment()) is the caller's question. Returns the
 * error's length in bytes, or 0: icmp_error_is_allowed() says no, the family of `source` is
 * another, or size_bytes has no room for the headers and 8 bytes.
 */
[[nodiscard]] uint32_t icmp_error_build(enum icmp_error error,
	const uint8_t *p,
	const struct ip_view *v,
	const struct addr *source,
	uint32_t mtu,
	uint8_t *buf,
	uint32_t size_bytes);

/*
 * A token bucket.  Embedded in a worker and used by it alone.
 */
struct icmp_limiter {
	uint64_t interval_ns;    /* one token's time */
	uint64_t depth_ns;       /* of a full bucket, less the token being taken */
	uint64_t empty_until_ns; /* every token up to this time is spent */
};

/* rate_pps: 1 to 10^9, 0 allows nothing.  burst: at least 1 token, more than that after a pause. */
void icmp_limiter_init(struct icmp_limiter *l, uint32_t rate_pps, uint32_t burst);
/* Take a token.  `now` may stand still; if it goes back, the bucket just does not fill. */
[[nodiscard]] bool icmp_limiter_allow(struct icmp_limiter *l, struct mono now);

#endif
