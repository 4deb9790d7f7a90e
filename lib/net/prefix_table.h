/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Longest-prefix match: address -> value, both families, never changed after it was built.
 *
 * Prefixes become the sorted intervals in which the same prefix is the longest, and an address
 * finds its interval in a static search tree whose nodes are cache lines (16 separators of IPv4, 8
 * of IPv6).  So neither depth nor memory depend on how prefixes are nested: n prefixes make at most
 * 2n + 1 intervals, which is five or six lines for 20,000.  IPv6 is searched by its upper 64 bits;
 * where prefixes longer than /64 begin with those, a second tree holds the lower 64.
 *
 * Owner:  whoever created it.  Thread: built by one, then read by any number.
 */
#ifndef LIB_NET_PREFIX_TABLE_H
#define LIB_NET_PREFIX_TABLE_H

#include <assert.h>
#include <emmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/net/addr.h"

#define PREFIX_TABLE_NONE      UINT32_MAX /* no prefix contains the address */
#define PREFIX_TABLE_MAX_VALUE UINT32_C(0x7fffffff)

struct prefix_item {
	struct prefix prefix; /* host bits do not count */
	uint32_t value;       /* at most PREFIX_TABLE_MAX_VALUE */
};

#define PREFIX_V4_FANOUT 16 /* separators in a node: one cache line each */
#define PREFIX_V6_FANOUT 8
#define PREFIX_V4_SIGN   UINT32_C(0x80000000) /* vectors are compared as signed numbers */
#define PREFIX_DEEP      UINT32_C(0x80000000) /* value: number of a tree of lower halves */

static_assert(PREFIX_V4_FANOUT == 16, "compared as four vectors of four");

/*
 * Nodes lie level by level, the children of node k at k * (fanout + 1) + 1 and on; all levels but
 * the last are complete.  A separator is the last address before an interval, so the number of
 * separators below an address is the child to go to.  Unused ones are the highest value, below
 * which everything is.
 */
struct prefix_tree_v4 {
	const uint32_t *separators; /* addresses ^ PREFIX_V4_SIGN */
	const uint32_t *values;     /* one per interval */
	uint32_t first_interval;    /* number that the children of the last level begin with */
	uint32_t levels;            /* 0: a single interval */
};

struct prefix_tree_v6 {
	const uint64_t *separators;
	const uint32_t *values;
	uint32_t first_interval;
	uint32_t levels;
};

/* Lower halves: few as a rule, so without padding and counted one by one unless there are many. */
struct prefix_deep {
	uint32_t separators; /* index into deep_separators */
	uint32_t values;     /* index into deep_values */
	uint32_t shape;      /* levels << 24 | number of separators (only where levels is 0) */
};

struct prefix_table {
	struct prefix_tree_v4 v4;
	struct prefix_tree_v6 v6;
	const struct prefix_deep *deep;
	const uint64_t *deep_separators;
	const uint32_t *deep_values;
	size_t count;      /* prefixes */
	size_t size_bytes; /* of everything */
};

/*
 * Build from n items, in any order.  The items are not kept.  O(n log n).
 *
 * ret_bad: may be NULL; on -EEXIST and ERR_BAD_FORMAT the index of the item at fault (of the same
 *          prefix twice, the later one; the first such).
 * Returns 0, -EEXIST (a prefix twice), ERR_BAD_FORMAT (no family, a length beyond it, a value
 * beyond PREFIX_TABLE_MAX_VALUE), -E2BIG (more than 2^22 items) or -ENOMEM.
 */
[[nodiscard]] int prefix_table_create(const struct prefix_item *items,
	size_t n,
	struct prefix_table **ret_table,
	size_t *ret_bad);
void prefix_table_destroy(struct prefix_table *t);

static inline uint32_t
prefix_table_search_v6(const uint64_t *separators,
	uint32_t levels,
	uint32_t first_interval,
	uint64_t x)
{
	uint32_t k = 0;

	for (uint32_t level = 0; level < levels; level++) {
		const uint64_t *node = separators + (size_t)k * PREFIX_V6_FANOUT;
		uint32_t below = 0;

		for (int i = 0; i < PREFIX_V6_FANOUT; i++)
			below += node[i] < x;
		k = k * (PREFIX_V6_FANOUT + 1) + below + 1;
	}
	return k - first_interval;
}

/* How many separators of a node are below an address.  They are sorted, so the lowest ones are. */
static inline uint32_t
prefix_table_below_v4(const uint32_t *node, __m128i addr)
{
	const __m128i *n = (const __m128i *)node;
	__m128i first = _mm_packs_epi32(_mm_cmpgt_epi32(addr, _mm_loadu_si128(n)),
		_mm_cmpgt_epi32(addr, _mm_loadu_si128(n + 1)));
	__m128i second = _mm_packs_epi32(_mm_cmpgt_epi32(addr, _mm_loadu_si128(n + 2)),
		_mm_cmpgt_epi32(addr, _mm_loadu_si128(n + 3)));

	return (uint32_t)__builtin_ctz(
		~(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(first, second)));
}

/* An IPv4 address in host order. */
static inline uint32_t
prefix_table_lookup_v4(const struct prefix_table *t, uint32_t addr)
{
	const __m128i wanted = _mm_set1_epi32((int)(addr ^ PREFIX_V4_SIGN));
	uint32_t k = 0;

	for (uint32_t level = 0; level < t->v4.levels; level++) {
		const uint32_t *node = t->v4.separators + (size_t)k * PREFIX_V4_FANOUT;

		k = k * (PREFIX_V4_FANOUT + 1) + prefix_table_below_v4(node, wanted) + 1;
	}
	return t->v4.values[k - t->v4.first_interval];
}

/* The rest of a look-up where prefixes longer than /64 are about. */
uint32_t prefix_table_lookup_deep(const struct prefix_table *t, uint32_t deep, uint64_t low);

/* An IPv6 address: sixteen bytes. */
static inline uint32_t
prefix_table_lookup_v6(const struct prefix_table *t, const uint8_t *addr)
{
	uint32_t i = prefix_table_search_v6(
		t->v6.separators, t->v6.levels, t->v6.first_interval, load_be64(addr));
	uint32_t value = t->v6.values[i];

	if (__builtin_expect((value & PREFIX_DEEP) == 0 || value == PREFIX_TABLE_NONE, 1))
		return value;
	return prefix_table_lookup_deep(t, value & ~PREFIX_DEEP, load_be64(addr + 8));
}

/* For either family, the address's bytes as they are in a packet; NONE for ADDR_NONE. */
static inline uint32_t
prefix_table_lookup(const struct prefix_table *t, uint8_t family, const uint8_t *addr)
{
	if (family == ADDR_V4)
		return prefix_table_lookup_v4(t, load_be32(addr));
	if (family == ADDR_V6)
		return prefix_table_lookup_v6(t, addr);
	return PREFIX_TABLE_NONE;
}

#endif
