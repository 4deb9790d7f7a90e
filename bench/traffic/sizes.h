/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Inner packet sizes: one size, or a mix with its genome (RFC 6985), always the same sequence.
 *
 *   "64"                  every packet 64 bytes
 *   "imix"                WG-IMIX of ../shared/design/performance.md 1.7: 28 x 64, 16 x 570 and
 *                         4 x 1438 byte frames, i.e. inner 46, 552 and 1420 (less Ethernet header
 *                         and FCS).  (The usual IMIX has frames of 1518, too long for a tunnel.)
 *   "tcp"                 2 x 1420 : 1 x 52
 *   "7x64,4x528,1x1408"   any mix of up to SIZES_MAX entries
 *
 * Of the named mixes, what is above the MTU is cut to it and what is below `least` raised, and
 * `text` says the sizes really used; of others it is an error.
 *
 * The order is shuffled once, from a fixed seed, over one period, so that a burst holds a mixture.
 */
#ifndef BENCH_TRAFFIC_SIZES_H
#define BENCH_TRAFFIC_SIZES_H

#include <stddef.h>
#include <stdint.h>

#define SIZES_MAX    16
#define SIZES_PERIOD 1024

struct sizes {
	char text[256]; /* "64", "imix (28x46,16x552,4x1420)": for tables and JSON */
	uint32_t n;     /* of order[] in use: the period */
	uint16_t order[SIZES_PERIOD];
	double mean; /* bytes of an inner packet */
	uint16_t least, most;
};

/*
 * mtu: what no packet may exceed; least: what none may be below (flow_min_len()).  Borrowed for the
 * call.  Returns 0; ERR_BAD_FORMAT or -ERANGE with *ret_why a sentence (static), *ret untouched.
 */
[[nodiscard]] int sizes_parse(const char *text,
	uint32_t mtu,
	uint32_t least,
	struct sizes *ret,
	const char **ret_why);

static inline uint16_t
sizes_at(const struct sizes *s, uint64_t i)
{
	return s->order[i % s->n];
}

#endif
