/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Inner packet sizes: one size, or a mix with its genome (RFC 6985), always the same sequence.
 *
 *   "64"         every packet 64 bytes
 *   "imix"       WG-IMIX of ../shared/design/performance.md 1.7: 28 x 64, 16 x 570, 4 x 1438
 * frames, i.e. inner 50 (not below FLOW_MIN_LEN), 556, 1424 limited to the inner MTU; said in
 * `text` "tcp"        2 x 1420 : 1 x 52 "7x64,4x528,1x1408"  any mix of up to SIZES_MAX entries
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
	char text[128]; /* "64", "imix (28x50,16x556,4x1424)": for tables and JSON */
	uint32_t n;     /* of order[] in use: the period */
	uint16_t order[SIZES_PERIOD];
	double mean; /* bytes of an inner packet */
	uint16_t least, most;
};

/* mtu: what no packet may exceed.  0, or ERR_BAD_FORMAT / ERR_OUT_OF_RANGE with *ret_why a
 * sentence. */
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
