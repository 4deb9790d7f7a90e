/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/clock.h"

#include <stdint.h>
#include <time.h>
#include <x86intrin.h>

#define ADDITIONS UINT64_C(160000) // some 50 us
#define TRIES     4

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
additions_per_ns(void)
{
	uint64_t x = 1, left = ADDITIONS;
	double start = now_s();

	// Register to register: additions of small constants cost nothing on recent Intel cores,
	// which fold them together while renaming.
	__asm__ volatile("1:\n\t"
			 "add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\t"
			 "add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\t"
			 "sub $8, %1\n\t"
			 "jnz 1b"
			 : "+r"(x), "+r"(left)::"cc");
	return (double)ADDITIONS / (now_s() - start) / 1e9;
}

void
bench_clock_again(struct bench_clock *c)
{
	for (int i = 0; i < TRIES; i++) {
		double ghz = additions_per_ns();

		if (ghz > c->core_ghz)
			c->core_ghz = ghz;
	}
}

void
bench_clock_init(struct bench_clock *c)
{
	double start = now_s();
	uint64_t tsc = __rdtsc();

	c->core_ghz = 0;
	while (now_s() - start < 0.05)
		bench_clock_again(c);
	tsc = __rdtsc() - tsc;
	c->tsc_ghz = (double)tsc / (now_s() - start) / 1e9;
}
