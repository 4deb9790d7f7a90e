/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/item_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/bytes.h"

#define MIN_SLOTS 16

// At most three quarters are filled: a probe that fails soon meets a free slot.
static bool
has_room(const struct item_table *t, size_t n)
{
	return n <= t->n_slots / 4 * 3;
}

static size_t
home_of(const struct item_table *t, uint64_t hash)
{
	return (size_t)hash & (t->n_slots - 1);
}

static size_t
next_of(const struct item_table *t, size_t at)
{
	return (at + 1) & (t->n_slots - 1);
}

void
item_table_insert(struct item_table *t, uint64_t hash, void *item)
{
	size_t at;

	assert(has_room(t, t->n + 1));
	for (at = home_of(t, hash); t->slots[at].item != NULL; at = next_of(t, at))
		;
	t->slots[at] = (struct item_slot){ hash, item };
	t->n++;
}

int
item_table_reserve(struct item_table *t, size_t more)
{
	struct item_table bigger = { .n_slots = t->n_slots > 0 ? t->n_slots : MIN_SLOTS };

	if (has_room(t, t->n + more))
		return 0;
	while (!has_room(&bigger, t->n + more))
		bigger.n_slots *= 2;
	bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i].item != NULL)
			item_table_insert(&bigger, t->slots[i].hash, t->slots[i].item);
	free(t->slots);
	*t = bigger;
	return 0;
}

void *
item_table_find(const struct item_table *t, uint64_t hash, item_match *match, const void *wanted)
{
	if (t->n_slots == 0)
		return NULL;
	for (size_t at = home_of(t, hash); t->slots[at].item != NULL; at = next_of(t, at))
		if (t->slots[at].hash == hash && match(t->slots[at].item, wanted))
			return t->slots[at].item;
	return NULL;
}

// Close the gap at `gap`: move what would no longer be found behind it.
static void
close_gap(struct item_table *t, size_t gap)
{
	for (size_t at = next_of(t, gap); t->slots[at].item != NULL; at = next_of(t, at)) {
		size_t home = home_of(t, t->slots[at].hash);
		size_t from_home = (at - home) & (t->n_slots - 1);
		size_t from_gap = (at - gap) & (t->n_slots - 1);

		if (from_home < from_gap) // its home is behind the gap: it is found as it is
			continue;
		t->slots[gap] = t->slots[at];
		gap = at;
	}
	t->slots[gap] = (struct item_slot){};
}

void
item_table_remove(struct item_table *t, uint64_t hash, const void *item)
{
	if (t->n_slots == 0)
		return;
	for (size_t at = home_of(t, hash); t->slots[at].item != NULL; at = next_of(t, at)) {
		if (t->slots[at].item != item)
			continue;
		close_gap(t, at);
		t->n--;
		return;
	}
}

void
item_table_fini(struct item_table *t)
{
	free(t->slots);
	*t = (struct item_table){};
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t
item_hash(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t hash = seed ^ UINT64_C(0x9e3779b97f4a7c15);

	for (; len >= 8; bytes += 8, len -= 8)
		hash = mix(hash ^ load_le64(bytes), seed | 1);
	for (; len > 0; bytes++, len--)
		hash = mix(hash ^ *bytes, seed | 1);
	return mix(hash, UINT64_C(0xd6e8feb86659fd93));
}
