/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sorted set against a naive twin: a list that is searched from end to end.
 */

#include "controlplane/gateway/kernel/prefix_set.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

#define ROUNDS 200
#define ITEMS  40

// Few values, so that prefixes repeat and contain one another often.
static struct prefix
random_prefix(void)
{
	struct prefix p = { .addr.family = rand() % 2 ? ADDR_V4 : ADDR_V6 };

	p.addr.bytes[0] = (uint8_t)(rand() % 2 * 0x80);
	p.addr.bytes[1] = (uint8_t)(rand() % 4 * 0x40);
	p.addr.bytes[3] = (uint8_t)(rand() % 2);
	p.len = (uint8_t)(rand() % 3 ? rand() % 12 : rand() % ((int)addr_bits(p.addr.family) + 1));
	return p;
}

static const struct prefix *
naive_covering(const struct prefix *items, size_t n, const struct prefix *p)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (prefix_covers(&items[i], p) && (best == NULL || items[i].len > best->len))
			best = &items[i];
	return best;
}

static bool
naive_has(const struct prefix *items, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(&items[i], p))
			return true;
	return false;
}

static bool
agrees(const struct prefix_set *set, const struct prefix *items, size_t n)
{
	for (int i = 0; i < 50; i++) {
		struct prefix p = random_prefix();
		const struct prefix *wanted = naive_covering(items, n, &p);
		const struct prefix *got = prefix_set_covering(set, &p);

		if ((wanted == NULL) != (got == NULL) ||
			(got != NULL && !prefix_equal(got, wanted)))
			return false;
		if (prefix_set_has(set, &p) != naive_has(items, n, &p))
			return false;
	}
	return true;
}

static bool
minus_agrees(const struct prefix_set *a, const struct prefix_set *b)
{
	struct prefix_set only_a = {};
	bool ok = prefix_set_minus(a, b, &only_a) == 0;
	size_t n = 0;

	for (size_t i = 0; ok && i < a->n; i++) {
		bool wanted = !naive_has(b->items, b->n, &a->items[i]);

		n += wanted;
		ok = prefix_set_has(&only_a, &a->items[i]) == wanted;
	}
	ok = ok && only_a.n == n;
	prefix_set_fini(&only_a);
	return ok;
}

static bool
is_sorted_and_unique(const struct prefix_set *set)
{
	for (size_t i = 1; i < set->n; i++) {
		const struct prefix *a = &set->items[i - 1], *b = &set->items[i];
		int order = addr_compare(&a->addr, &b->addr);

		if (order > 0 || (order == 0 && a->len >= b->len))
			return false;
	}
	return true;
}

static void
fill(struct prefix_set *set, struct prefix items[static ITEMS])
{
	for (int i = 0; i < ITEMS; i++) {
		items[i] = random_prefix();
		if (prefix_set_add(set, items[i]) < 0)
			abort();
	}
	prefix_set_seal(set);
}

int
main(void)
{
	struct prefix a_items[ITEMS], b_items[ITEMS];
	bool sorted = true, found = true, subtracted = true, equal = true;
	struct prefix any = { .addr.family = ADDR_V4 };
	struct prefix_set none = {};

	srand(20260501);
	for (int i = 0; i < ROUNDS; i++) {
		struct prefix_set a = {}, b = {};

		fill(&a, a_items);
		fill(&b, b_items);
		sorted = sorted && is_sorted_and_unique(&a);
		found = found && agrees(&a, a_items, ITEMS);
		subtracted = subtracted && minus_agrees(&a, &b) && minus_agrees(&a, &none);
		equal = equal && prefix_set_equal(&a, &a) && !prefix_set_equal(&a, &b);
		prefix_set_fini(&a);
		prefix_set_fini(&b);
	}
	tap_ok(sorted, "sealing sorts and removes duplicates");
	tap_ok(found, "look-ups agree with a walk over the list");
	tap_ok(subtracted, "the difference agrees with a walk over the list");
	tap_ok(equal, "a set equals itself and no other");

	prefix_set_seal(&none);
	tap_ok(prefix_set_covering(&none, &any) == NULL && !prefix_set_has(&none, &any),
		"nothing is in an empty set");
	prefix_set_fini(&none);
	return tap_done();
}
