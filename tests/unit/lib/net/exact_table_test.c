/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/exact_table.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

static const uint64_t seed[2] = { UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210) };

static uint32_t
look_up_text(const struct exact_table *t, const char *text)
{
	struct addr a = addr_of_text(text);

	return exact_table_lookup(t, a.family, a.bytes);
}

static void
empty(void)
{
	struct exact_table *t;

	if (!tap_ok(exact_table_create(NULL, 0, seed, &t, NULL) == 0, "a table of nothing"))
		return;
	tap_int(look_up_text(t, "10.0.0.1"), EXACT_TABLE_NONE, "has no IPv4 address");
	tap_int(look_up_text(t, "0.0.0.0"), EXACT_TABLE_NONE, "not even 0.0.0.0");
	tap_int(look_up_text(t, "::"), EXACT_TABLE_NONE, "and not ::");
	tap_int(exact_table_lookup(t, ADDR_NONE, NULL), EXACT_TABLE_NONE, "nor no address");
	tap_ok(t->size_bytes <= 1024, "it is small: %zu bytes", t->size_bytes);
	exact_table_destroy(t);
}

static void
story(void)
{
	const struct exact_item items[] = {
		{ addr_of_text("10.99.0.2"), 7 },
		{ addr_of_text("fd99::2"), 7 },
		{ addr_of_text("0.0.0.0"), 8 },
		{ addr_of_text("::"), 0 },
		{ addr_of_text("255.255.255.255"), UINT32_MAX - 1 },
	};
	struct exact_table *t;

	if (!tap_ok(exact_table_create(items, 5, seed, &t, NULL) == 0, "five addresses"))
		return;
	tap_int(t->count, 5, "are counted");
	tap_int(look_up_text(t, "10.99.0.2"), 7, "IPv4");
	tap_int(look_up_text(t, "fd99::2"), 7, "IPv6 with the same value");
	tap_int(look_up_text(t, "0.0.0.0"), 8, "0.0.0.0 is an address as any");
	tap_int(look_up_text(t, "::"), 0, "so is ::, and 0 a value");
	tap_int(look_up_text(t, "255.255.255.255"), UINT32_MAX - 1, "all ones");
	tap_int(look_up_text(t, "10.99.0.3"), EXACT_TABLE_NONE, "a neighbour is not there");
	tap_int(look_up_text(t, "fd99::2:0:0:0"), EXACT_TABLE_NONE, "nor halves exchanged");
	exact_table_destroy(t);
}

static void
refused(void)
{
	struct exact_item items[] = {
		{ addr_of_text("10.0.0.1"), 1 },
		{ addr_of_text("fd00::1"), 2 },
		{ addr_of_text("10.0.0.2"), 3 },
		{ addr_of_text("fd00::1"), 4 },
	};
	struct exact_table *t = NULL;
	size_t bad = 99;

	tap_int(exact_table_create(items, 4, seed, &t, &bad), -EEXIST, "an address twice");
	tap_int(bad, 3, "is named by its index");
	items[3].value = 2;
	tap_int(exact_table_create(items, 4, seed, &t, NULL), -EEXIST, "with the same value too");
	items[3] = (struct exact_item){ addr_of_text("fd00::2"), EXACT_TABLE_NONE };
	tap_int(exact_table_create(items, 4, seed, &t, &bad), ERR_BAD_FORMAT, "a forbidden value");
	items[1].addr.family = 5;
	tap_int(exact_table_create(items, 4, seed, &t, &bad), ERR_BAD_FORMAT, "no family");
	tap_int(bad, 1, "is named by its index");
	tap_ok(t == NULL, "nothing was returned");
}

// Addresses as gateways have them: in a row, with all the difference in few bits.
static struct addr
address_in_a_row(enum addr_family family, uint32_t i, uint32_t step)
{
	struct addr a = { .family = family };

	if (family == ADDR_V4) {
		store_be32(a.bytes, 0x64400000 + i * step);
	} else {
		store_be64(a.bytes, UINT64_C(0xfd7a115ca1e00000));
		store_be32(a.bytes + 12, i * step);
	}
	return a;
}

static size_t
count_spilled(const struct exact_table *t, enum addr_family family)
{
	size_t spilled = 0;

	if (family == ADDR_V4)
		for (size_t i = 0; i <= t->mask_v4; i++)
			spilled += t->v4[i].spilled;
	else
		for (size_t i = 0; i <= t->mask_v6; i++)
			spilled += t->v6[i].spilled;
	return spilled;
}

static void
rows(enum addr_family family, uint32_t step)
{
	const uint32_t n = 10000;
	struct exact_item *items = calloc(n, sizeof(*items));
	struct exact_table *t;
	uint32_t wrong = 0;
	size_t spilled, buckets;

	if (items == NULL)
		abort();
	for (uint32_t i = 0; i < n; i++)
		items[i] = (struct exact_item){ address_in_a_row(family, i, step), i };
	if (!tap_ok(exact_table_create(items, n, seed, &t, NULL) == 0, "10,000 in steps of %u",
		    step))
		abort();
	for (uint32_t i = 0; i < n; i++) {
		struct addr missing = address_in_a_row(family, i + n, step);

		wrong += exact_table_lookup(t, family, items[i].addr.bytes) != i;
		wrong += exact_table_lookup(t, family, missing.bytes) != EXACT_TABLE_NONE;
	}
	tap_int(wrong, 0, "wrong answers, found and not found");

	spilled = count_spilled(t, family);
	buckets = family == ADDR_V4 ? t->mask_v4 + 1 : t->mask_v6 + 1;
	tap_ok(spilled * 10 <= buckets, "at most a tenth of the lines spills: %zu of %zu", spilled,
		buckets);
	tap_ok(t->size_bytes <= (size_t)n * 64, "at most a line per address: %zu", t->size_bytes);
	exact_table_destroy(t);
	free(items);
}

// Random sizes and addresses from a small space, so that hits, misses and spills all occur.
static void
naive_twin(void)
{
	enum {
		MOST = 300,
		SPACE = 400
	};
	struct rng r = { 6 };
	uint32_t wrong = 0, spilled = 0;

	for (int n = 0; n < 300; n++) {
		const uint64_t seeds[2] = { rng_next(&r), rng_next(&r) };
		uint32_t naive[2][SPACE], count = rng_below(&r, MOST);
		struct exact_item items[MOST];
		struct exact_table *t;

		memset(naive, 0xff, sizeof(naive));
		for (uint32_t i = 0; i < count; i++) {
			uint32_t six = rng_below(&r, 2), at = rng_below(&r, SPACE);

			while (naive[six][at] != EXACT_TABLE_NONE)
				at = (at + 1) % SPACE;
			naive[six][at] = (uint32_t)rng_next(&r) >> 1;
			items[i].addr = address_in_a_row(six ? ADDR_V6 : ADDR_V4, at, 1);
			items[i].value = naive[six][at];
		}
		if (exact_table_create(items, count, seeds, &t, NULL) < 0)
			abort();
		for (uint32_t at = 0; at < SPACE; at++) {
			struct addr a = address_in_a_row(ADDR_V4, at, 1);

			wrong += exact_table_lookup(t, ADDR_V4, a.bytes) != naive[0][at];
			a = address_in_a_row(ADDR_V6, at, 1);
			wrong += exact_table_lookup(t, ADDR_V6, a.bytes) != naive[1][at];
		}
		spilled += count_spilled(t, ADDR_V4) > 0;
		spilled += count_spilled(t, ADDR_V6) > 0;
		exact_table_destroy(t);
	}
	tap_int(wrong, 0, "answers that differ from a plain array's");
	tap_ok(spilled > 50, "and lines did spill: in %u tables", spilled);
}

int
main(void)
{
	empty();
	story();
	refused();
	rows(ADDR_V4, 1);
	rows(ADDR_V4, 256);
	rows(ADDR_V6, 1);
	rows(ADDR_V6, 65536);
	naive_twin();
	return tap_done();
}
