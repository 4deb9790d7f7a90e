/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/crypto_plan.h"

#include "tests/lib/tap.h"

static const struct {
	const char *text;
	uint32_t n; // 0: refused
} lists[] = {
	{ "64", 1 },
	{ "64,128,9216", 3 },
	{ "64,64", 2 },
	{ "", 0 },
	{ ",64", 0 },
	{ "64,", 0 },
	{ "64 128", 0 },
	{ "0", 0 },
	{ "9217", 0 },
	{ "-1", 0 },
	{ "99999999999999999999", 0 },
	{ "64x", 0 },
	{ "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", 32 },
	{ "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", 0 },
};

static struct crypto_plan plan;
static struct crypto_cell cell;

static void
test_lists(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct crypto_list list = { .n = 77 };
		bool good = crypto_plan_list(lists[i].text, 1, 9216, &list);

		tap_ok(good == (lists[i].n > 0) && list.n == (good ? lists[i].n : 77),
			"the list \"%s\"", lists[i].text);
	}
}

static struct sizes
mix_of(const char *text)
{
	struct sizes mix = {};
	const char *why;

	tap_int(sizes_parse(text, 9216, 1, &mix, &why), 0, text);
	return mix;
}

static size_t
count(uint32_t burst, bool in_turn)
{
	size_t n = 0;

	for (size_t i = 0; i < plan.n_cells; i++)
		n += plan.row[i].burst == burst && (plan.row[i].working_set_bytes > 0) == in_turn;
	return n;
}

static void
test_default(void)
{
	struct sizes mix = mix_of("7x64,4x528,1x1408");
	struct crypto_plan_options o = { .mix = &mix, .working_set_bytes = 8 << 20 };

	crypto_plan_make(&plan, &o);
	tap_int(plan.n_cells, 8 * 5 + 2 + 3, "sizes by bursts, the mix twice, three in turn");
	tap_int(count(1, false), 8, "a burst of one is no mixture");
	tap_int(count(32, false), 9, "in a burst of 32 there is one");
	tap_int(count(32, true), 3, "in turn, only in bursts of 32");
	o.mix = NULL;
	o.working_set_bytes = 0;
	crypto_plan_make(&plan, &o);
	tap_int(plan.n_cells, 40, "both can be left out");
}

static void
test_chosen(void)
{
	struct sizes mix = mix_of("7x64,4x528,1x1408");
	struct crypto_plan_options o = {
		.mix = &mix,
		.working_set_bytes = 8 << 20,
		.sizes = { .n = 2, .value = { 64, 100 } },
		.bursts = { .n = 2, .value = { 1, 8 } },
	};

	crypto_plan_make(&plan, &o);
	tap_int(plan.n_cells, 4 + 1 + 4, "what is chosen holds for warm ones and ones in turn");
	o.bursts.n = 0;
	crypto_plan_make(&plan, &o);
	tap_int(count(32, true), 2, "sizes alone: in turn they come in bursts of 32");
	tap_int(plan.n_cells, 2 * 5 + 2 + 2, "and else in all of them");
}

static void
test_mix(void)
{
	struct sizes mix = mix_of("7x64,4x528,1x1408");
	struct crypto_plan_options o = {
		.mix = &mix,
		.sizes = { .n = 1, .value = { 64 } },
		.bursts = { .n = 1, .value = { 8 } },
	};
	bool seen[3] = {};

	crypto_plan_make(&plan, &o);
	crypto_plan_cell(&plan, 0, &cell);
	tap_ok(!cell.is_mix && cell.n_loads == 1 && cell.loads[0].mean == 64, "a size is one load");
	crypto_plan_cell(&plan, 1, &cell);
	tap_ok(cell.is_mix && cell.n_loads == 4, "a mix brings each of its sizes, once");
	for (uint32_t i = 1; i < cell.n_loads; i++) {
		seen[0] |= cell.loads[i].most == 64;
		seen[1] |= cell.loads[i].most == 528;
		seen[2] |= cell.loads[i].most == 1408;
	}
	tap_ok(seen[0] && seen[1] && seen[2], "namely these");
	tap_ok(crypto_plan_weight(&plan, 1) > crypto_plan_weight(&plan, 0),
		"and gets more time than a single size");
}

static void
test_largest(void)
{
	struct sizes mix = mix_of("7x64,4x528,1x1408");
	struct crypto_plan_options o = { .mix = &mix, .working_set_bytes = 1 };

	o.sizes.n = o.bursts.n = PLAN_LIST_MAX;
	for (uint32_t i = 0; i < PLAN_LIST_MAX; i++)
		o.sizes.value[i] = o.bursts.value[i] = i + 2;
	crypto_plan_make(&plan, &o);
	tap_ok(plan.n_cells == 2 * PLAN_LIST_MAX * PLAN_LIST_MAX + PLAN_LIST_MAX &&
			plan.n_cells <= PLAN_CELLS_MAX,
		"the longest lists have room");
}

int
main(void)
{
	test_lists();
	test_default();
	test_chosen();
	test_mix();
	test_largest();
	return tap_done();
}
