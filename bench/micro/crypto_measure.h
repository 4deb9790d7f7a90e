/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The measuring of one cell: all ciphers in turns, in short slices, as often as time allows.
 *
 * Every packet that is sealed is opened by the same cipher: so both directions are measured, and
 * the buffers are what they were.  A sample is the mean of one chunk (load.h) of packets.
 */
#ifndef BENCH_MICRO_CRYPTO_MEASURE_H
#define BENCH_MICRO_CRYPTO_MEASURE_H

#include "bench/harness/run.h"
#include "bench/harness/samples.h"
#include "bench/micro/crypto_plan.h"
#include "bench/micro/load.h"
#include "bench/micro/subject.h"

enum direction {
	SEAL,
	OPEN,
	DIRECTIONS,
};

extern const char *const direction_names[DIRECTIONS];

/* Of one cipher and one load, in core cycles per packet. */
struct crypto_samples {
	struct samples direction[DIRECTIONS];
};

struct crypto_measure {
	const struct subject *subjects;
	size_t n_subjects;
	uint32_t n_keys;
	struct bench_run *run;
	double core_ghz[SUBJECTS_MAX]; /* the fastest seen around this one's slices: out */
};

/*
 * samples[n_subjects * cell->n_loads], subject by subject, all empty.  Returns 0; -EINTR when the
 * run was stopped (samples are then of no use); ERR_BAD_MAC when a cipher is wrong, -ENOMEM: said.
 */
[[nodiscard]] int crypto_measure_cell(struct crypto_measure *m,
	const struct crypto_cell *cell,
	double seconds,
	struct crypto_samples *samples);

#endif
