/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/exact_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"

#define LINE_BYTES 64
#define MAX_ITEMS  (UINT32_C(1) << 26)

/*
 * Items per two buckets: at most half of the slots, so that at most one bucket in 40 (IPv4) or in
 * 15 (IPv6) spills.
 */
#define V4_FILL_OF_TWO 7
#define V6_FILL_OF_TWO 3

static_assert(sizeof(struct exact_bucket_v4) == LINE_BYTES, "a look-up touches one line");
static_assert(sizeof(struct exact_bucket_v6) == LINE_BYTES, "a look-up touches one line");
static_assert(V4_FILL_OF_TWO < 2 * EXACT_V4_SLOTS && V6_FILL_OF_TWO < 2 * EXACT_V6_SLOTS,
	"a bucket with room ends each search");

// A power of two of buckets, at least one, with that many items in two or fewer.
static uint32_t
bucket_count(size_t items, size_t fill_of_two)
{
	uint32_t count = 1;

	while (count * fill_of_two < 2 * items)
		count *= 2;
	return count;
}

static void
count_families(const struct exact_item *items, size_t n, size_t *ret_v4, size_t *ret_v6)
{
	*ret_v4 = *ret_v6 = 0;
	for (size_t i = 0; i < n; i++) {
		*ret_v4 += items[i].addr.family == ADDR_V4;
		*ret_v6 += items[i].addr.family == ADDR_V6;
	}
}

static void
clear_buckets(struct exact_table *t)
{
	memset(t->v4, 0, ((size_t)t->mask_v4 + 1) * sizeof(*t->v4));
	memset(t->v6, 0, ((size_t)t->mask_v6 + 1) * sizeof(*t->v6));
	for (size_t i = 0; i <= t->mask_v4; i++)
		memset(t->v4[i].values, 0xff, sizeof(t->v4[i].values));
	for (size_t i = 0; i <= t->mask_v6; i++)
		memset(t->v6[i].values, 0xff, sizeof(t->v6[i].values));
}

// The first empty slot, or `slots`.
static int
find_empty(const uint32_t *values, int slots)
{
	int slot = 0;

	while (slot < slots && values[slot] != EXACT_TABLE_NONE)
		slot++;
	return slot;
}

static void
insert_v4(struct exact_table *t, const uint8_t *addr, uint32_t value)
{
	uint32_t key, i;
	int slot;

	memcpy(&key, addr, sizeof(key));
	i = exact_table_index_v4(t, key);
	while ((slot = find_empty(t->v4[i].values, EXACT_V4_SLOTS)) == EXACT_V4_SLOTS) {
		t->v4[i].spilled = 1;
		i = (i + 1) & t->mask_v4;
	}
	t->v4[i].keys[slot] = key;
	t->v4[i].values[slot] = value;
}

static void
insert_v6(struct exact_table *t, const uint8_t *addr, uint32_t value)
{
	uint64_t key[2];
	uint32_t i;
	int slot;

	memcpy(key, addr, sizeof(key));
	i = exact_table_index_v6(t, key);
	while ((slot = find_empty(t->v6[i].values, EXACT_V6_SLOTS)) == EXACT_V6_SLOTS) {
		t->v6[i].spilled = 1;
		i = (i + 1) & t->mask_v6;
	}
	memcpy(t->v6[i].keys[slot], key, sizeof(key));
	t->v6[i].values[slot] = value;
}

// 0 or an error about this item.
static int
insert(struct exact_table *t, const struct exact_item *item)
{
	const struct addr *addr = &item->addr;

	if (addr_bits(addr->family) == 0 || item->value == EXACT_TABLE_NONE)
		return ERR_BAD_FORMAT;
	if (exact_table_lookup(t, addr->family, addr->bytes) != EXACT_TABLE_NONE)
		return -EEXIST;
	if (addr->family == ADDR_V4)
		insert_v4(t, addr->bytes, item->value);
	else
		insert_v6(t, addr->bytes, item->value);
	t->count++;
	return 0;
}

static struct exact_table *
allocate(size_t n_v4, size_t n_v6)
{
	uint32_t buckets_v4 = bucket_count(n_v4, V4_FILL_OF_TWO);
	uint32_t buckets_v6 = bucket_count(n_v6, V6_FILL_OF_TWO);
	size_t lines = (size_t)buckets_v4 + buckets_v6;
	struct exact_table *t;
	uint8_t *memory;

	static_assert(sizeof(*t) <= 2 * LINE_BYTES, "the head has two lines");
	memory = aligned_alloc(LINE_BYTES, (lines + 2) * LINE_BYTES);
	if (memory == NULL)
		return NULL;
	t = (struct exact_table *)memory;
	*t = (struct exact_table){
		.v4 = (struct exact_bucket_v4 *)(memory + 2 * LINE_BYTES),
		.v6 = (struct exact_bucket_v6 *)(memory + (2 + (size_t)buckets_v4) * LINE_BYTES),
		.mask_v4 = buckets_v4 - 1,
		.mask_v6 = buckets_v6 - 1,
		.size_bytes = (lines + 2) * LINE_BYTES,
	};
	clear_buckets(t);
	return t;
}

int
exact_table_create(const struct exact_item *items,
	size_t n,
	const uint64_t seed[2],
	struct exact_table **ret_table,
	size_t *ret_bad)
{
	struct exact_table *t;
	size_t n_v4, n_v6;
	int err;

	if (n > MAX_ITEMS)
		return -E2BIG;
	count_families(items, n, &n_v4, &n_v6);
	t = allocate(n_v4, n_v6);
	if (t == NULL)
		return -ENOMEM;
	t->seed[0] = seed[0];
	t->seed[1] = seed[1] | 1; // an IPv4 hash multiplies by it

	for (size_t i = 0; i < n; i++) {
		err = insert(t, &items[i]);
		if (err < 0) {
			if (ret_bad != NULL)
				*ret_bad = i;
			goto destroy;
		}
	}
	*ret_table = t;
	return 0;

destroy:
	exact_table_destroy(t);
	return err;
}

void
exact_table_destroy(struct exact_table *t)
{
	free(t);
}
