/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/samples.h"

#include <stdlib.h>

void
samples_add(struct samples *s, double value)
{
	if (s->n < SAMPLES_MAX)
		s->value[s->n++] = value;
}

static int
compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static double
at(struct samples *s, size_t i)
{
	if (s->n == 0)
		return 0;
	qsort(s->value, s->n, sizeof(s->value[0]), compare);
	return s->value[i];
}

double
samples_best(struct samples *s)
{
	return at(s, 0);
}

double
samples_median(struct samples *s)
{
	return at(s, s->n / 2);
}

double
samples_quantile(struct samples *s, double share)
{
	size_t i = (size_t)(share * (double)s->n);

	return at(s, i < s->n ? i : s->n - 1);
}
