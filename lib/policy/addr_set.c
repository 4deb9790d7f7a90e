/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/addr_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

// The address one further; false at the last of the family.
static bool
step_up(struct addr *a)
{
	for (unsigned i = addr_bits(a->family) / 8; i-- > 0;)
		if (++a->bytes[i] != 0)
			return true;
	return false;
}

static void
step_down(struct addr *a)
{
	for (unsigned i = addr_bits(a->family) / 8; i-- > 0;)
		if (a->bytes[i]-- != 0)
			return;
}

static bool
is_sound(const struct filter_range *r)
{
	return addr_bits(r->first.family) != 0 && r->first.family == r->last.family &&
	       addr_compare(&r->first, &r->last) <= 0;
}

// Entirely below, with at least one address between.
static bool
is_apart_below(const struct filter_range *a, const struct filter_range *b)
{
	struct addr next = a->last;

	if (a->first.family != b->first.family)
		return a->first.family < b->first.family;
	return step_up(&next) && addr_compare(&next, &b->first) < 0;
}

static bool
overlap(const struct filter_range *a, const struct filter_range *b)
{
	return a->first.family == b->first.family && addr_compare(&a->first, &b->last) <= 0 &&
	       addr_compare(&b->first, &a->last) <= 0;
}

// The first range that is not apart below r.
static size_t
find_first(const struct addr_set *s, const struct filter_range *r)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (is_apart_below(&s->ranges[middle], r))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
make_room(struct addr_set *s)
{
	size_t room = s->room < 8 ? 8 : 2 * s->room;
	struct filter_range *grown;

	if (s->n < s->room)
		return 0;
	if (s->n >= ADDR_SET_MAX_RANGES)
		return -E2BIG;
	grown = realloc(s->ranges, room * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	s->ranges = grown;
	s->room = room;
	return 0;
}

// Replace `count` ranges from i on by n others, for which there is room.
static void
replace(struct addr_set *s, size_t i, size_t count, const struct filter_range *others, size_t n)
{
	memmove(s->ranges + i + n, s->ranges + i + count, (s->n - i - count) * sizeof(*s->ranges));
	if (n > 0)
		memcpy(s->ranges + i, others, n * sizeof(*others));
	s->n = s->n - count + n;
}

int
addr_set_add(struct addr_set *s, const struct filter_range *r)
{
	struct filter_range merged = *r;
	size_t i = find_first(s, r), count = 0;
	int err;

	if (!is_sound(r))
		return ERR_BAD_FORMAT;
	err = make_room(s);
	if (err < 0)
		return err;
	while (i + count < s->n && !is_apart_below(r, &s->ranges[i + count]))
		count++;
	if (count > 0) {
		const struct filter_range *low = &s->ranges[i], *high = &s->ranges[i + count - 1];

		if (addr_compare(&low->first, &merged.first) < 0)
			merged.first = low->first;
		if (addr_compare(&high->last, &merged.last) > 0)
			merged.last = high->last;
	}
	replace(s, i, count, &merged, 1);
	return 0;
}

int
addr_set_remove(struct addr_set *s, const struct filter_range *r)
{
	struct filter_range rest[2];
	size_t i = find_first(s, r), count = 0, n_rest = 0;
	int err;

	if (!is_sound(r))
		return ERR_BAD_FORMAT;
	err = make_room(s);
	if (err < 0)
		return err;
	if (i < s->n && !overlap(&s->ranges[i], r))
		i++; // it only touches
	while (i + count < s->n && overlap(&s->ranges[i + count], r))
		count++;
	if (count == 0)
		return 0;
	if (addr_compare(&s->ranges[i].first, &r->first) < 0) {
		rest[n_rest] = (struct filter_range){ s->ranges[i].first, r->first };
		step_down(&rest[n_rest++].last);
	}
	if (addr_compare(&s->ranges[i + count - 1].last, &r->last) > 0) {
		rest[n_rest] = (struct filter_range){ r->last, s->ranges[i + count - 1].last };
		step_up(&rest[n_rest++].first);
	}
	replace(s, i, count, rest, n_rest);
	return 0;
}

int
addr_set_add_prefix(struct addr_set *s, const struct prefix *p)
{
	struct filter_range r = filter_range_of_prefix(p);

	return addr_set_add(s, &r);
}

int
addr_set_remove_prefix(struct addr_set *s, const struct prefix *p)
{
	struct filter_range r = filter_range_of_prefix(p);

	return addr_set_remove(s, &r);
}

int
addr_set_add_set(struct addr_set *s, const struct addr_set *other)
{
	for (size_t i = 0; i < other->n; i++) {
		int err = addr_set_add(s, &other->ranges[i]);

		if (err < 0)
			return err;
	}
	return 0;
}

bool
addr_set_contains(const struct addr_set *s, const struct addr *a)
{
	for (size_t i = 0; i < s->n; i++)
		if (filter_range_contains(&s->ranges[i], a))
			return true;
	return false;
}

bool
addr_set_overlaps(const struct addr_set *s, const struct filter_range *r)
{
	size_t i = find_first(s, r);

	if (i < s->n && !overlap(&s->ranges[i], r))
		i++; // it only touches
	return i < s->n && overlap(&s->ranges[i], r);
}

void
addr_set_fini(struct addr_set *s)
{
	if (s == NULL)
		return;
	free(s->ranges);
	*s = (struct addr_set){};
}
