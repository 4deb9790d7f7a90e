/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Exact-match table: address -> value, both families, never changed after it was built.  A look-up
 * touches one cache line, rarely two.
 *
 * Each line holds seven IPv4 or three IPv6 addresses with their values, and a word that says that
 * an address which belongs here lies in the next line.  Which line is decided by a hash with a
 * secret seed, so nobody can choose addresses that fill one.
 *
 * Owner:  whoever created it.  Thread: built by one, then read by any number.
 */
#ifndef LIB_NET_EXACT_TABLE_H
#define LIB_NET_EXACT_TABLE_H

#include <assert.h>
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/addr.h"

#define EXACT_TABLE_NONE UINT32_MAX /* the value of an address that is not in the table */

struct exact_item {
	struct addr addr;
	uint32_t value; /* anything but EXACT_TABLE_NONE */
};

#define EXACT_V4_SLOTS 7
#define EXACT_V6_SLOTS 3

/* Empty slots hold address 0 and EXACT_TABLE_NONE, and come last. */
struct exact_bucket_v4 {
	uint32_t keys[EXACT_V4_SLOTS]; /* the address's bytes as the machine loads them */
	uint32_t values[EXACT_V4_SLOTS];
	uint32_t spilled; /* 1: go on in the next bucket */
	uint32_t unused;
};

static_assert(EXACT_V4_SLOTS == 7 && offsetof(struct exact_bucket_v4, values) == 28,
	"compared as eight words");

struct exact_bucket_v6 {
	uint64_t keys[EXACT_V6_SLOTS][2];
	uint32_t values[EXACT_V6_SLOTS];
	uint32_t spilled;
};

struct exact_table {
	struct exact_bucket_v4 *v4;
	struct exact_bucket_v6 *v6;
	uint32_t mask_v4; /* buckets less one: a power of two */
	uint32_t mask_v6;
	uint64_t seed[2];
	size_t count;
	size_t size_bytes; /* of everything */
};

/*
 * Build from n items, in any order.  The items are not kept.
 *
 * seed:    two random words of the caller's.
 * ret_bad: may be NULL; on -EEXIST and ERR_BAD_FORMAT the index of the item at fault.
 * Returns 0, -EEXIST (an address twice), ERR_BAD_FORMAT (no family, or value EXACT_TABLE_NONE),
 * -E2BIG (more than 2^26 items) or -ENOMEM.
 */
[[nodiscard]] int exact_table_create(const struct exact_item *items,
	size_t n,
	const uint64_t seed[2],
	struct exact_table **ret_table,
	size_t *ret_bad);
void exact_table_destroy(struct exact_table *t);

static inline uint32_t
exact_table_hash(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);

	// Addresses in a row are still in a row, only with a secret step: stir once more.
	return (uint32_t)(folded * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static inline uint32_t
exact_table_index_v4(const struct exact_table *t, uint32_t key)
{
	return exact_table_hash(key ^ t->seed[0], t->seed[1]) & t->mask_v4;
}

static inline uint32_t
exact_table_index_v6(const struct exact_table *t, const uint64_t key[2])
{
	return exact_table_hash(key[0] ^ t->seed[0], key[1] ^ t->seed[1]) & t->mask_v6;
}

/* A bit for each slot with this key, the first slot's lowest.  Without a branch: which slot it is
 * cannot be predicted. */
static inline uint32_t
exact_table_hits_v4(const struct exact_bucket_v4 *b, uint32_t key)
{
	__m128i wanted = _mm_set1_epi32((int)key);
	__m128i low = _mm_loadu_si128((const __m128i *)&b->keys[0]);
	__m128i high = _mm_loadu_si128((const __m128i *)&b->keys[4]); // and the first value
	int hits = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(low, wanted))) |
	           _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(high, wanted))) << 4;

	return (uint32_t)hits & ((1u << EXACT_V4_SLOTS) - 1);
}

static inline uint32_t
exact_table_lookup_v4(const struct exact_table *t, const uint8_t *addr, uint32_t place)
{
	uint32_t key;

	memcpy(&key, addr, sizeof(key));
	for (;;) {
		const struct exact_bucket_v4 *b = &t->v4[place];
		uint32_t hits = exact_table_hits_v4(b, key);
		// The first hit, so that address 0 in use wins over the empty slots behind it.
		uint32_t value = hits != 0 ? b->values[__builtin_ctz(hits)] : EXACT_TABLE_NONE;

		if (value != EXACT_TABLE_NONE || b->spilled == 0)
			return value;
		// Ends: a bucket with room has not spilled, and one has room.
		place = (place + 1) & t->mask_v4;
	}
}

static inline uint32_t
exact_table_lookup_v6(const struct exact_table *t, const uint8_t *addr, uint32_t place)
{
	uint64_t key[2];

	memcpy(key, addr, sizeof(key));
	for (;;) {
		const struct exact_bucket_v6 *b = &t->v6[place];
		uint32_t value = EXACT_TABLE_NONE;

		for (int slot = EXACT_V6_SLOTS - 1; slot >= 0; slot--)
			value = ((b->keys[slot][0] ^ key[0]) | (b->keys[slot][1] ^ key[1])) == 0
			                ? b->values[slot]
			                : value;
		if (value != EXACT_TABLE_NONE || b->spilled == 0)
			return value;
		place = (place + 1) & t->mask_v6;
	}
}

/*
 * A look-up in two steps, so that others can be begun while memory is fetched: where an address
 * would be (its line is fetched), then what is there.
 *
 * addr: the four or sixteen bytes of an address, as they are in a packet; any for ADDR_NONE.
 */
static inline uint32_t
exact_table_begin(const struct exact_table *t, uint8_t family, const uint8_t *addr)
{
	uint64_t key[2] = {};
	uint32_t place = 0;

	if (family == ADDR_V4) {
		memcpy(key, addr, 4);
		place = exact_table_index_v4(t, (uint32_t)key[0]);
		__builtin_prefetch(&t->v4[place]);
	} else if (family == ADDR_V6) {
		memcpy(key, addr, 16);
		place = exact_table_index_v6(t, key);
		__builtin_prefetch(&t->v6[place]);
	}
	return place;
}

/* place: of exact_table_begin() for the same address.  EXACT_TABLE_NONE for ADDR_NONE. */
static inline uint32_t
exact_table_end(const struct exact_table *t, uint8_t family, const uint8_t *addr, uint32_t place)
{
	if (family == ADDR_V4)
		return exact_table_lookup_v4(t, addr, place);
	if (family == ADDR_V6)
		return exact_table_lookup_v6(t, addr, place);
	return EXACT_TABLE_NONE;
}

/* Both steps. */
static inline uint32_t
exact_table_lookup(const struct exact_table *t, uint8_t family, const uint8_t *addr)
{
	return exact_table_end(t, family, addr, exact_table_begin(t, family, addr));
}

#endif
