/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/popularity.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

static struct popularity *
make(enum popularity_kind kind, uint32_t n_peers, uint32_t n_active)
{
	struct popularity *p;

	if (popularity_create(kind, n_peers, n_active, 7, &p) < 0)
		abort();
	return p;
}

static uint32_t *
count(const struct popularity *p)
{
	uint32_t *n = calloc(p->n_peers, sizeof(*n));

	if (n == NULL)
		abort();
	for (uint32_t i = 0; i < POPULARITY_DRAWS; i++)
		n[popularity_at(p, i)]++;
	return n;
}

static int
falling(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return a < b ? 1 : a > b ? -1 : 0;
}

static void
test_uniform(void)
{
	struct popularity *p = make(POPULARITY_UNIFORM, 100, 100);
	uint32_t *n = count(p);
	double expected = POPULARITY_DRAWS / 100.0;
	bool even = true;

	for (unsigned i = 0; i < 100; i++) // five standard deviations
		even = even && fabs(n[i] - expected) < 5 * sqrt(expected);
	tap_ok(even, "uniform: each of 100 peers is drawn as often as the others");
	free(n);
	free(p);
}

static void
test_zipf(void)
{
	struct popularity *p = make(POPULARITY_ZIPF, 1000, 1000);
	uint32_t *n = count(p);
	double harmonic = 0, first;
	bool follows = true;

	for (unsigned i = 1; i <= 1000; i++)
		harmonic += 1.0 / i;
	first = POPULARITY_DRAWS / harmonic;
	qsort(n, 1000, sizeof(*n), falling);
	for (unsigned rank = 1; rank <= 20; rank++)
		follows = follows && fabs(n[rank - 1] - first / rank) < 6 * sqrt(first / rank);
	tap_ok(follows,
		"zipf: the k-th most popular of 1,000 peers has 1/k of the first one's packets");
	free(n);
	free(p);
}

static void
test_active(void)
{
	struct popularity *p = make(POPULARITY_UNIFORM, 1000, 10);
	uint32_t *n = count(p), met = 0, apart = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		met += n[i] > 0;
		apart += n[i] > 0 && i % 100 == 0;
	}
	tap_int(met, 10, "10 of 1,000 peers are active");
	tap_int(apart, 10, "and lie evenly among them");
	free(n);
	free(p);
}

static void
test_repeats(void)
{
	struct popularity *one = make(POPULARITY_ZIPF, 50, 50),
			  *two = make(POPULARITY_ZIPF, 50, 50);

	tap_ok(memcmp(one->order, two->order, sizeof(one->order)) == 0,
		"the same arguments make the same sequence");
	tap_int(popularity_at(one, POPULARITY_DRAWS + 3), popularity_at(one, 3),
		"which begins again at its end");
	free(one);
	free(two);
	one = make(POPULARITY_ZIPF, 1, 1);
	tap_int(popularity_at(one, 12345), 0, "a lone peer gets everything");
	free(one);
}

int
main(void)
{
	test_uniform();
	test_zipf();
	test_active();
	test_repeats();
	return tap_done();
}
