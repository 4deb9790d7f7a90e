/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/latency.h"

#include <assert.h>
#include <math.h>

#define STEP_BITS 6
#define MOST_NS   ((UINT64_C(1) << 40) - 1)

static_assert(LATENCY_STEPS == 1 << STEP_BITS, "a bin is found by shifting");

// Times below 64 have a bin each; above, the six bits behind the leading one choose a bin.
static inline unsigned
bin_of(uint64_t ns)
{
	unsigned exponent;

	if (ns < LATENCY_STEPS)
		return (unsigned)ns;
	exponent = 63 - (unsigned)__builtin_clzll(ns) - STEP_BITS;
	return exponent * LATENCY_STEPS + (unsigned)(ns >> exponent);
}

// The longest time of a bin.
static uint64_t
bin_end(unsigned bin)
{
	unsigned exponent = bin < 2 * LATENCY_STEPS ? 0 : bin / LATENCY_STEPS - 1;
	uint64_t steps = bin - exponent * LATENCY_STEPS;

	return ((steps + 1) << exponent) - 1;
}

static_assert((40 - STEP_BITS - 1) * LATENCY_STEPS + 2 * LATENCY_STEPS <= LATENCY_BINS,
	"the longest time has a bin");

void
latency_add(struct latency *l, int64_t ns)
{
	uint64_t t = ns > 0 ? (uint64_t)ns : 0;

	if (t > MOST_NS)
		t = MOST_NS;
	if (l->n == 0 || t < l->min_ns)
		l->min_ns = t;
	if (t > l->max_ns)
		l->max_ns = t;
	l->n++;
	l->sum_ns += (double)t;
	l->bin[bin_of(t)]++;
}

void
latency_merge(struct latency *into, const struct latency *from)
{
	if (from->n == 0)
		return;
	if (into->n == 0 || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->n += from->n;
	into->sum_ns += from->sum_ns;
	for (unsigned i = 0; i < LATENCY_BINS; i++)
		into->bin[i] += from->bin[i];
}

uint64_t
latency_quantile_ns(const struct latency *l, double share)
{
	double wanted = ceil(share * (double)l->n - 1e-9); // 0.9 x 10 is nine, whatever doubles say
	uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted, seen = 0;

	for (unsigned i = 0; i < LATENCY_BINS; i++) {
		seen += l->bin[i];
		if (l->bin[i] > 0 && seen >= rank) {
			uint64_t ns = bin_end(i);

			return ns < l->max_ns ? ns : l->max_ns;
		}
	}
	return l->max_ns;
}

double
latency_mean_ns(const struct latency *l)
{
	return l->n > 0 ? l->sum_ns / (double)l->n : 0;
}

static json_t *
curve_json(const struct latency *l)
{
	static const double shares[] = { 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8,
		0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 0.99995,
		0.99999, 0.999999 };
	json_t *curve = json_array();

	for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		if ((1 - shares[i]) * (double)l->n >= 1 - 1e-9)
			json_array_append_new(
				curve, json_pack("[f,I]", shares[i],
					       (json_int_t)latency_quantile_ns(l, shares[i])));
	json_array_append_new(curve, json_pack("[f,I]", 1.0, (json_int_t)l->max_ns));
	return curve;
}

json_t *
latency_json(const struct latency *l)
{
	if (l->n == 0)
		return json_pack("{s:i}", "n", 0);
	return json_pack("{s:I,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:o}", "n", (json_int_t)l->n, "min_ns",
		(json_int_t)l->min_ns, "mean_ns", latency_mean_ns(l), "p50_ns",
		(json_int_t)latency_quantile_ns(l, 0.5), "p90_ns",
		(json_int_t)latency_quantile_ns(l, 0.9), "p99_ns",
		(json_int_t)latency_quantile_ns(l, 0.99), "p99_9_ns",
		(json_int_t)latency_quantile_ns(l, 0.999), "max_ns", (json_int_t)l->max_ns, "curve",
		curve_json(l));
}
