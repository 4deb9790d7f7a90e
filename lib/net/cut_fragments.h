/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An IPv4 packet that may be cut, as fragments that fit an MTU.
 *
 * Source: RFC 791 sections 2.3 and 3.1 (the options that every fragment carries), RFC 815 for the
 *         arithmetic; RFC 8200 section 4.5: a router never cuts an IPv6 packet.
 */
#ifndef LIB_NET_CUT_FRAGMENTS_H
#define LIB_NET_CUT_FRAGMENTS_H

#include <stdint.h>

#include "lib/net/headers.h"

#define CUT_FRAGMENTS_MIN_MTU 68 /* every link carries this (RFC 791) */

/*
 * How many fragments of at most `mtu` bytes the packet becomes; 1: it fits as it is.  0: it cannot
 * be cut: IPv6, don't fragment, an MTU below CUT_FRAGMENTS_MIN_MTU, a last fragment that would
 * reach beyond 65,535 bytes.
 */
[[nodiscard]] uint32_t cut_fragments_count(const struct ip_view *v, uint32_t mtu);

/*
 * Write fragment number i, less than the count, into buf[0, size_bytes): header with its checksum,
 * then its share of the data.  A packet that is a fragment itself is cut further.
 *
 * p, v:   the packet, and ip_parse() of it.  Not inside `buf`.
 * Returns the fragment's length in bytes, or 0: it has no room in `buf`, or `i` is no fragment.
 */
[[nodiscard]] uint32_t cut_fragment(const uint8_t *p,
	const struct ip_view *v,
	uint32_t mtu,
	uint32_t i,
	uint8_t *buf,
	uint32_t size_bytes);

#endif
