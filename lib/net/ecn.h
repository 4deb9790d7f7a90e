/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Explicit congestion notification across the tunnel, normal mode: the outer header starts with the
 * inner one's mark, and congestion met on the way is carried into the inner header.
 *
 * Source: RFC 6040 section 4.1 (normal mode) and figure 4; RFC 3168 for the code points.
 */
#ifndef LIB_NET_ECN_H
#define LIB_NET_ECN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/checksum.h"

enum ecn {
	ECN_NOT_ECT = 0,
	ECN_ECT_1 = 1,
	ECN_ECT_0 = 2,
	ECN_CE = 3,
	ECN_DROP = 4, /* no code point: ecn_decapsulate() says that the packet must not go on */
};

/* The outer header's code point for an inner one. */
static inline uint8_t
ecn_encapsulate(uint8_t inner)
{
	return inner & 3;
}

/*
 * The inner header's code point after the tunnel, or ECN_DROP: congestion experienced by a packet
 * whose sender would not understand it.
 */
static inline uint8_t
ecn_decapsulate(uint8_t inner, uint8_t outer)
{
	static const uint8_t result[4][4] = {
		/* by outer:       Not-ECT      ECT(1)       ECT(0)       CE */
		[ECN_NOT_ECT] = { ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP },
		[ECN_ECT_1] = { ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE },
		[ECN_ECT_0] = { ECN_ECT_0, ECN_ECT_1, ECN_ECT_0, ECN_CE },
		[ECN_CE] = { ECN_CE, ECN_CE, ECN_CE, ECN_CE },
	};

	return result[inner & 3][outer & 3];
}

/*
 * Write a code point into the first header of a packet that ip_parse() has accepted, IPv4 with its
 * checksum brought up to date.
 */
static inline void
ip_set_ecn(uint8_t *p, uint8_t ecn)
{
	uint16_t old_word = load_be16(p), new_word;

	if (p[0] >> 4 == 6) {
		p[1] = (uint8_t)((p[1] & 0xcf) | (ecn & 3) << 4);
		return;
	}
	new_word = (uint16_t)((old_word & 0xfffc) | (ecn & 3));
	if (new_word == old_word)
		return;
	store_be16(p, new_word);
	checksum_update16(p + 10, old_word, new_word);
}

/*
 * Congestion met by the outer packet is carried into the inner one, of which p is the header and
 * `inner` the code point.  False: it must be dropped, and is as it was.
 */
[[nodiscard]] static inline bool
ip_carry_ecn(uint8_t *p, uint8_t inner, uint8_t outer)
{
	uint8_t ecn = ecn_decapsulate(inner, outer);

	if (ecn == ECN_DROP)
		return false;
	if (ecn != inner)
		ip_set_ecn(p, ecn);
	return true;
}

#endif
