/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A hash table of pointers: to be found by what the caller compares.  Open addressing; removing
 * leaves no traces.
 *
 * Owner:  the items are the caller's.  item_table_fini() frees the table.
 * Bounds: grows with its items; growing is separate, so that inserting cannot fail.
 */
#ifndef LIB_TAILNET_ITEM_TABLE_H
#define LIB_TAILNET_ITEM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct item_slot {
	uint64_t hash;
	void *item; /* NULL: free */
};

struct item_table { /* zeros: empty */
	struct item_slot *slots;
	size_t n_slots; /* a power of two, or 0 */
	size_t n;
};

typedef bool item_match(const void *item, const void *wanted);

/* Make room for `more` items besides those that are there.  0 or -ENOMEM. */
[[nodiscard]] int item_table_reserve(struct item_table *t, size_t more);

/* Put in an item for which there is room.  The caller sees to it that it is not there yet. */
void item_table_insert(struct item_table *t, uint64_t hash, void *item);

/* The first item with that hash for which match(item, wanted) holds, or NULL. */
void *
item_table_find(const struct item_table *t, uint64_t hash, item_match *match, const void *wanted);

/* Take an item out that was inserted with that hash; if it is not there nothing happens. */
void item_table_remove(struct item_table *t, uint64_t hash, const void *item);

void item_table_fini(struct item_table *t);

/* A hash of len bytes that strangers who do not know the seed cannot aim. */
uint64_t item_hash(uint64_t seed, const void *data, size_t len);

#endif
