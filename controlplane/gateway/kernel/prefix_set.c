/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/prefix_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
compare(const struct prefix *a, const struct prefix *b)
{
	int order = addr_compare(&a->addr, &b->addr);

	return order != 0 ? order : (int)a->len - (int)b->len;
}

static int
compare_items(const void *a, const void *b)
{
	return compare(a, b);
}

int
prefix_set_add(struct prefix_set *set, struct prefix p)
{
	struct prefix *items;
	size_t room;

	if (set->n == set->room) {
		room = set->room > 0 ? 2 * set->room : 64;
		items = reallocarray(set->items, room, sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		set->items = items;
		set->room = room;
	}
	set->items[set->n++] = prefix_mask(p);
	return 0;
}

// The flags of one family's lengths, or NULL.
static bool *
lens_of(struct prefix_set *set, uint8_t family)
{
	return family == ADDR_V4 ? set->v4_lens : family == ADDR_V6 ? set->v6_lens : NULL;
}

void
prefix_set_seal(struct prefix_set *set)
{
	size_t n = 0;

	if (set->n > 1)
		qsort(set->items, set->n, sizeof(*set->items), compare_items);
	for (size_t i = 0; i < set->n; i++)
		if (n == 0 || compare(&set->items[n - 1], &set->items[i]) != 0)
			set->items[n++] = set->items[i];
	set->n = n;

	memset(set->v4_lens, 0, sizeof(set->v4_lens));
	memset(set->v6_lens, 0, sizeof(set->v6_lens));
	for (size_t i = 0; i < set->n; i++) {
		bool *lens = lens_of(set, set->items[i].addr.family);

		if (lens != NULL)
			lens[set->items[i].len] = true;
	}
}

static const struct prefix *
find(const struct prefix_set *set, const struct prefix *masked)
{
	if (set->n == 0)
		return NULL;
	return bsearch(masked, set->items, set->n, sizeof(*set->items), compare_items);
}

bool
prefix_set_has(const struct prefix_set *set, const struct prefix *p)
{
	struct prefix masked = prefix_mask(*p);

	return find(set, &masked) != NULL;
}

const struct prefix *
prefix_set_covering(const struct prefix_set *set, const struct prefix *p)
{
	struct prefix wider = prefix_mask(*p);
	const bool *lens = wider.addr.family == ADDR_V4 ? set->v4_lens : set->v6_lens;
	const struct prefix *found;

	for (int len = wider.len; len >= 0; len--) {
		if (!lens[len])
			continue;
		wider.len = (uint8_t)len;
		wider = prefix_mask(wider);
		found = find(set, &wider);
		if (found != NULL)
			return found;
	}
	return NULL;
}

bool
prefix_set_equal(const struct prefix_set *a, const struct prefix_set *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare(&a->items[i], &b->items[i]) != 0)
			return false;
	return true;
}

int
prefix_set_minus(const struct prefix_set *a,
	const struct prefix_set *b,
	struct prefix_set *ret_only_a)
{
	size_t j = 0;
	int err;

	for (size_t i = 0; i < a->n; i++) {
		while (j < b->n && compare(&b->items[j], &a->items[i]) < 0)
			j++;
		if (j < b->n && compare(&b->items[j], &a->items[i]) == 0)
			continue;
		err = prefix_set_add(ret_only_a, a->items[i]);
		if (err < 0)
			return err;
	}
	prefix_set_seal(ret_only_a);
	return 0;
}

void
prefix_set_move(struct prefix_set *to, struct prefix_set *from)
{
	free(to->items);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

void
prefix_set_fini(struct prefix_set *set)
{
	free(set->items);
	memset(set, 0, sizeof(*set));
}
