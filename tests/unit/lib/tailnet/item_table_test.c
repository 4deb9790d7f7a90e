/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The hash table against a plain array, with hashes that collide.
 */

#include "lib/tailnet/item_table.h"

#include <string.h>

#include "tests/lib/tap.h"

#define ITEMS 200

static int items[ITEMS];
static bool is_in[ITEMS];
static uint32_t state = 1;

static unsigned
next_random(unsigned below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static bool
is_item(const void *item, const void *wanted)
{
	return item == wanted;
}

// Few homes, at the end of the table too: long probes that wrap.
static uint64_t
hash_of(size_t i)
{
	return i % 7 == 0 ? UINT64_MAX - i % 3 : i % 5;
}

static int
count_differences(const struct item_table *t)
{
	int wrong = 0;

	for (size_t i = 0; i < ITEMS; i++)
		wrong += (item_table_find(t, hash_of(i), is_item, &items[i]) != NULL) != is_in[i];
	return wrong;
}

static void
test_random(void)
{
	struct item_table t = {};
	size_t n = 0;
	int wrong = 0;

	for (int step = 0; step < 20000; step++) {
		size_t i = next_random(ITEMS);

		if (is_in[i]) {
			item_table_remove(&t, hash_of(i), &items[i]);
			n--;
		} else {
			if (item_table_reserve(&t, 1) != 0)
				break;
			item_table_insert(&t, hash_of(i), &items[i]);
			n++;
		}
		is_in[i] = !is_in[i];
		wrong += t.n != n;
		if (step % 50 == 0)
			wrong += count_differences(&t);
	}
	tap_int(wrong + count_differences(&t), 0, "differences to the plain array");
	item_table_remove(&t, 99, &items[0]);
	tap_int((long long)t.n, (long long)n, "removing what is not there changes nothing");
	item_table_fini(&t);
}

static void
test_empty(void)
{
	struct item_table t = {};

	tap_ok(item_table_find(&t, 1, is_item, &items[0]) == NULL, "nothing in an empty table");
	item_table_remove(&t, 1, &items[0]);
	tap_int(item_table_reserve(&t, 1000), 0, "room for a thousand");
	tap_ok(t.n_slots * 3 / 4 >= 1000, "at three quarters");
	tap_ok(item_hash(1, "abcdefghi", 9) != item_hash(2, "abcdefghi", 9), "the seed counts");
	tap_ok(item_hash(1, "abcdefghi", 9) != item_hash(1, "abcdefghj", 9),
		"the last byte counts");
	item_table_fini(&t);
}

int
main(void)
{
	test_empty();
	test_random();
	return tap_done();
}
