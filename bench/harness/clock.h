/* SPDX-License-Identifier: BSD-3-Clause
 *
 * TSC ticks and core cycles: the TSC runs at a fixed rate, the core does not.
 *
 * Source: ../shared/design/performance.md section 6.2 point 3.
 */
#ifndef BENCH_HARNESS_CLOCK_H
#define BENCH_HARNESS_CLOCK_H

struct bench_clock {
	double tsc_ghz;
	double core_ghz; /* the fastest that was seen */
};

/*
 * A first measurement of both, some 50 ms; then the core's again whenever asked, some 200 us each:
 * a chain of dependent additions runs at one per cycle, so its best time tells the clock.
 */
void bench_clock_init(struct bench_clock *c);
void bench_clock_again(struct bench_clock *c);

static inline double
bench_clock_cycles_per_tick(const struct bench_clock *c)
{
	return c->core_ghz / c->tsc_ghz;
}

#endif
