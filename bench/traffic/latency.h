/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A histogram of times with a fixed relative error, after HdrHistogram: 1 ns to 2^40 ns (18
 * minutes; longer counts as that), 64 linear steps per power of two, so at most 1.6 % wide.
 * Recording is a shift and an addition.
 *
 * Owner: the caller, all zero at the beginning.  Thread: one.
 */
#ifndef BENCH_TRAFFIC_LATENCY_H
#define BENCH_TRAFFIC_LATENCY_H

#include <jansson.h>
#include <stdint.h>

#define LATENCY_STEPS 64
#define LATENCY_BINS  ((40 - 6 + 2) * LATENCY_STEPS)

struct latency {
	uint64_t n, min_ns, max_ns; /* exact */
	double sum_ns;
	uint64_t bin[LATENCY_BINS];
};

void latency_add(struct latency *l, int64_t ns); /* negative counts as 0 */
void latency_merge(struct latency *into, const struct latency *from);
/*
 * The time that a share (0 to 1) of all is not above; 0 without any.  Not below the exact one, and
 * at most 1.6 % above.
 */
uint64_t latency_quantile_ns(const struct latency *l, double share);
double latency_mean_ns(const struct latency *l); /* exact; 0 without any */
/*
 * {"n","min_ns","mean_ns","p50_ns","p90_ns","p99_ns","p99_9_ns","max_ns","curve":[[share,ns],...]}
 * with the curve's points as far out as n gives them sense.  Without any time: {"n":0}.  A new
 * reference; NULL without memory.
 */
json_t *latency_json(const struct latency *l);

#endif
