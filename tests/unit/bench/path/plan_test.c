/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/plan.h"

#include <string.h>

#include "tests/lib/tap.h"

static struct plan plan; // large

static const char *
make(struct plan_axes axes)
{
	const char *why;

	plan.n_rows = 0;
	return plan_make(&plan, &axes, &why) ? NULL : why;
}

static bool
keys_differ(void)
{
	static char keys[PLAN_MAX_ROWS][256];

	for (uint32_t i = 0; i < plan.n_rows; i++) {
		plan_key(&plan.rows[i], keys[i], sizeof(keys[i]));
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(keys[i], keys[k]) == 0)
				return false;
	}
	return true;
}

static double
seconds(void)
{
	double sum = 0;

	for (uint32_t i = 0; i < plan.n_rows; i++)
		sum += plan.rows[i].seconds + 0.3;
	return sum;
}

static void
test_sets(void)
{
	const char *why;

	memset(&plan, 0, sizeof(plan));
	tap_ok(make((struct plan_axes){}) == NULL && plan.n_rows > 10, "the default set has rows");
	tap_ok(seconds() < 60, "and ends within a minute");
	tap_ok(keys_differ(), "no row twice");

	memset(&plan, 0, sizeof(plan));
	tap_ok(make((struct plan_axes){ .set = PLAN_GROWTH }) == NULL, "the growth set");
	tap_int(plan.n_rows, 16, "has two ways, two distributions, four numbers of peers");
	tap_ok(keys_differ(), "no row twice");

	memset(&plan, 0, sizeof(plan));
	tap_ok(make((struct plan_axes){ .set = PLAN_FULL }) == NULL && plan.n_rows > 80,
		"the full set has many rows");
	tap_ok(keys_differ(), "no row twice");

	memset(&plan, 0, sizeof(plan));
	tap_int(plan_size(&plan, "1420", &why), 0, "a size");
	tap_int(plan_size(&plan, "none", &why), -1, "and what is none");
	tap_ok(why != NULL, "with a reason");
}

static void
test_axes(void)
{
	struct plan_axes a = {
		.directions = { MEASURE_PEER_TO_PEER },
		.n_directions = 1,
		.peers = { 1, 50 },
		.n_peers = 2,
		.active_percent = { 10 },
		.n_active = 1,
		.bursts = { 1, 64 },
		.n_bursts = 2,
		.in_flight = 3000,
	};
	const struct measure_row *row = plan.rows;

	memset(&plan, 0, sizeof(plan));
	tap_ok(make(a) == NULL, "axes that are given");
	tap_int(plan.n_rows, 4, "make all their combinations and no other row");
	tap_int(row->world.n_peers, 2, "peer to peer takes two");
	tap_int(row->n_active, 1, "one at least is active");
	tap_int(plan.rows[1].n_active, 5, "10 % of 50 are 5");
	tap_ok(row->world.ring >= 2 * row->in_flight, "the ring is long enough for all in flight");

	memset(&plan, 0, sizeof(plan));
	a.active_percent[1] = 1;
	a.n_active = 2;
	tap_ok(make(a) == NULL && plan.n_rows == 6, "1 and 10 percent of two peers are one row");

	memset(&plan, 0, sizeof(plan));
	a.in_flight = 0;
	a.working_set = 32 << 20;
	tap_ok(make(a) == NULL && row->world.ring * 300ull >= 32 << 20 &&
			row->world.ring <= NIC_RING_MAX,
		"a working set makes the ring long");
	tap_ok(row->in_flight == row->world.ring / 2, "and the volleys");
}

static void
test_wrong(void)
{
	memset(&plan, 0, sizeof(plan));
	tap_ok(make((struct plan_axes){ .peers = { 200000 }, .n_peers = 1 }) != NULL,
		"too many peers are refused");
	tap_ok(make((struct plan_axes){
		       .peers = { 1000 }, .n_peers = 1, .prefixes = { 1000 }, .n_prefixes = 1 }) !=
			NULL,
		"too many prefixes");
	tap_ok(make((struct plan_axes){ .bursts = { 65 }, .n_bursts = 1 }) != NULL,
		"too long a burst");
}

int
main(void)
{
	test_sets();
	test_axes();
	test_wrong();
	return tap_done();
}
