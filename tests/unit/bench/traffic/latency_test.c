/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/latency.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

#define N 20000

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
unit(void)
{
	return (double)rand() / RAND_MAX;
}

static uint64_t
some_time(unsigned kind)
{
	switch (kind) {
	case 0:
		return (uint64_t)(unit() * 100); // some ns: exact
	case 1:
		return (uint64_t)(unit() * 1e6);
	case 2:
		return (uint64_t)exp2(unit() * 39.9); // any magnitude
	default:
		return (uint64_t)(-log(1 - unit() * 0.999999) * 20000) + 3000;
	}
}

static void
test_quantiles(void)
{
	static const double shares[] = { 0, 0.0001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999,
		0.9999, 1 };
	static uint64_t times[N];

	srand(5);
	for (unsigned kind = 0; kind < 4; kind++) {
		struct latency l = {};
		unsigned wrong = 0;
		double sum = 0;

		for (unsigned i = 0; i < N; i++) {
			times[i] = some_time(kind);
			sum += (double)times[i];
			latency_add(&l, (int64_t)times[i]);
		}
		qsort(times, N, sizeof(times[0]), by_value);
		for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
			size_t rank = (size_t)ceil(shares[i] * N - 1e-9);
			uint64_t exact = times[rank > 0 ? rank - 1 : 0];
			uint64_t got = latency_quantile_ns(&l, shares[i]);

			wrong += got < exact || (double)got > (double)exact * 1.016;
		}
		tap_int(wrong, 0,
			"quantiles are not below the exact ones, and at most 1.6 % above");
		tap_ok(l.n == N && l.min_ns == times[0] && l.max_ns == times[N - 1] &&
				fabs(latency_mean_ns(&l) - sum / N) < sum / N * 1e-9,
			"number, least, most and mean are exact");
	}
}

static void
test_each_magnitude(void)
{
	unsigned wrong = 0;

	for (unsigned bits = 0; bits < 40; bits++)
		for (int off = -2; off <= 2; off++) {
			int64_t t = (INT64_C(1) << bits) + off;
			struct latency l = {};

			if (t < 0)
				continue;
			latency_add(&l, t);
			latency_add(&l, INT64_C(1) << 39);
			wrong += latency_quantile_ns(&l, 0.5) < (uint64_t)t ||
			         (double)latency_quantile_ns(&l, 0.5) > (double)t * 1.016;
		}
	tap_int(wrong, 0, "the edges of every power of two are in the right bin");
}

static void
test_extremes(void)
{
	struct latency l = {};

	tap_ok(latency_quantile_ns(&l, 0.5) == 0 && latency_mean_ns(&l) == 0, "without any: 0");
	latency_add(&l, -5);
	tap_ok(l.n == 1 && l.min_ns == 0 && l.max_ns == 0, "negative counts as 0");
	latency_add(&l, INT64_MAX);
	tap_ok(l.max_ns == (UINT64_C(1) << 40) - 1 && latency_quantile_ns(&l, 1) == l.max_ns,
		"too long counts as 18 minutes");
}

static void
test_merge(void)
{
	struct latency all = {}, part[3] = {}, merged = {};
	bool same;

	for (unsigned i = 0; i < 5000; i++) {
		uint64_t t = some_time(2);

		latency_add(&all, (int64_t)t);
		latency_add(&part[i % 2], (int64_t)t);
	}
	latency_add(&all, 0); // the shortest is in the part that comes last
	latency_add(&part[1], 0);
	latency_merge(&merged, &part[2]);
	latency_merge(&merged, &part[0]);
	latency_merge(&merged, &part[1]);
	latency_merge(&merged, &part[2]);
	same = merged.n == all.n && merged.min_ns == all.min_ns && merged.max_ns == all.max_ns &&
	       fabs(merged.sum_ns - all.sum_ns) < all.sum_ns * 1e-9;
	for (unsigned i = 0; i < LATENCY_BINS; i++)
		same = same && merged.bin[i] == all.bin[i];
	tap_ok(same, "merging parts is as adding all");
}

static void
test_json(void)
{
	struct latency l = {};
	json_t *json = latency_json(&l), *curve;
	double before = 0;
	bool rising = true;

	tap_ok(json_integer_value(json_object_get(json, "n")) == 0 && json_object_size(json) == 1,
		"JSON of nothing says so");
	json_decref(json);
	for (unsigned i = 1; i <= 1000; i++)
		latency_add(&l, i * 1000);
	json = latency_json(&l);
	curve = json_object_get(json, "curve");
	for (size_t i = 0; i < json_array_size(curve); i++) {
		double ns = json_number_value(json_array_get(json_array_get(curve, i), 1));

		rising = rising && ns >= before;
		before = ns;
	}
	tap_ok(rising && before == 1000000 &&
			json_real_value(json_array_get(
				json_array_get(curve, json_array_size(curve) - 2), 0)) == 0.999,
		"the curve rises to the longest, with no point that too few times stand behind");
	tap_ok(json_integer_value(json_object_get(json, "p50_ns")) >= 500000 &&
			json_integer_value(json_object_get(json, "p50_ns")) <= 508000 &&
			json_integer_value(json_object_get(json, "p99_9_ns")) >= 999000,
		"and the usual quantiles are there");
	json_decref(json);
}

int
main(void)
{
	test_quantiles();
	test_each_magnitude();
	test_extremes();
	test_merge();
	test_json();
	return tap_done();
}
