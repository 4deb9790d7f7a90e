/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Many measurements of one thing: their best, their median, and what few are beyond.
 */
#ifndef BENCH_HARNESS_SAMPLES_H
#define BENCH_HARNESS_SAMPLES_H

#include <stddef.h>

#define SAMPLES_MAX 65536

struct samples {
	size_t n;
	double value[SAMPLES_MAX];
};

/* Beyond SAMPLES_MAX the rest is not kept. */
void samples_add(struct samples *s, double value);
/* Sorts.  0 without samples. */
double samples_best(struct samples *s);
double samples_median(struct samples *s);
/* The value that this share of them, 0 to 1, is below. */
double samples_quantile(struct samples *s, double share);

#endif
