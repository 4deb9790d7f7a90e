/* SPDX-License-Identifier: BSD-3-Clause */

#include <jansson.h>

#include "bench/harness/run.h"
#include "bench/harness/samples.h"
#include "tests/lib/tap.h"

static struct samples s;

static double
number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static void
test_quantiles(void)
{
	// 100, 99 .. 1: as if the first were disturbed and the last not.
	for (int i = 100; i > 0; i--)
		samples_add(&s, i);
	tap_ok(samples_best(&s) == 1, "the best is the lowest");
	tap_ok(samples_median(&s) == 51, "the median has half of them below");
	tap_ok(samples_quantile(&s, 0.9) == 91, "nine tenths are below this");
	tap_ok(samples_quantile(&s, 1) == 100, "all but the highest are below this");
	tap_ok(samples_quantile(&s, 0) == 1, "none is below the lowest");
}

static void
test_spread(void)
{
	json_t *spread = bench_spread(&s);

	tap_ok(number(spread, "best") == 1 && number(spread, "median") == 51 &&
			number(spread, "p10") == 11 && number(spread, "p90") == 91 &&
			number(spread, "n") == 100,
		"a spread says best, median, both tenths and their number");
	tap_int(json_object_size(spread), 5, "and nothing else");
	json_decref(spread);
}

static void
test_limits(void)
{
	static struct samples none, full;
	json_t *spread = bench_spread(&none);

	tap_ok(number(spread, "best") == 0 && number(spread, "n") == 0, "no sample: zero, of none");
	json_decref(spread);
	for (size_t i = 0; i < SAMPLES_MAX + 10; i++)
		samples_add(&full, 1);
	tap_int(full.n, SAMPLES_MAX, "what is too much is not kept");
}

int
main(void)
{
	test_quantiles();
	test_spread();
	test_limits();
	return tap_done();
}
