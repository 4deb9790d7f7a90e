/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whose packet is next: a fixed sequence of peers, drawn at the beginning.
 *
 *   uniform  every active peer as often as any other, in random order
 *   zipf     the k-th most popular active peer in proportion to 1/k (s = 1)
 *
 * Active peers are spread evenly over all numbers, and popular ones over the active, so that
 * neither lies together in memory.
 *
 * Owner: whoever created it.  Thread: any; no state but the sequence.
 */
#ifndef BENCH_PATH_POPULARITY_H
#define BENCH_PATH_POPULARITY_H

#include <stdint.h>

#define POPULARITY_DRAWS (1u << 18) /* the sequence's length; then it begins again */

enum popularity_kind {
	POPULARITY_UNIFORM,
	POPULARITY_ZIPF,
};

extern const char *const popularity_names[2];

struct popularity {
	uint32_t n_peers, n_active;
	uint32_t order[POPULARITY_DRAWS]; /* peer numbers */
};

/*
 * 1 <= n_active <= n_peers.  The same arguments make the same sequence.  Returns 0 or -ENOMEM;
 * free() the result.
 */
[[nodiscard]] int popularity_create(enum popularity_kind kind,
	uint32_t n_peers,
	uint32_t n_active,
	uint64_t seed,
	struct popularity **ret);

static inline uint32_t
popularity_at(const struct popularity *p, uint64_t i)
{
	return p->order[i % POPULARITY_DRAWS];
}

/* A small generator of random numbers (splitmix64), for bench only. */
static inline uint64_t
popularity_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

#endif
