/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The timed check of CI: has the packet path become slower?
 *
 * Figures are ratios, of a row's best volley to the best of a calibration loop (calibration.h) that
 * runs in turns with it, so the core's clock cancels out, and noise, which only ever adds, must hit
 * every volley of one and none of the other to matter.  A baseline file holds the ratios of CPU
 * models that were measured:
 *
 *     { "schema": "sluice-bench-gate/1",
 *       "machines": [ { "cpu", "family", "model", "class", "compiler", "aead",
 *                       "rows": { "inbound/64/1": { "path": 1.9, "whole": 6.1 }, ... } }, ... ] }
 *
 * path: the stages without cipher and card; whole: everything.  On a model that is there, with the
 * same compiler, a figure may be GATE_BOUND times the baseline's; on another, the lowest of all
 * entries of the same class (or of all) times GATE_BOUND_FOREIGN: how path and loop compare does
 * depend on the model, so only a gross loss is found there, and it says so.  The cipher is the
 * preferred back end that works, not what timing chooses; where that is another than the entry's,
 * `whole` is left out.
 */
#ifndef BENCH_PATH_GATE_H
#define BENCH_PATH_GATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define GATE_SCHEMA        "sluice-bench-gate/1"
#define GATE_ROWS          4
#define GATE_ATTEMPTS      4
#define GATE_BOUND         1.22
#define GATE_BOUND_FOREIGN 2.5

struct gate_figure {
	char row[32];       /* "inbound/64/1000" */
	double path, whole; /* ratios to the calibration loop */
};

/* Where this runs; strings are borrowed. */
struct gate_place {
	const char *cpu, *class, *compiler, *aead; /* compiler: "gcc 12.2.0" */
	int family, model;
};

/* The entry to compare with, borrowed; NULL: the baseline has none at all.  *ret_is_own: measured
 * on this model with this compiler (its version may differ). */
const json_t *gate_entry(const json_t *baseline, const struct gate_place *place, bool *ret_is_own);

/* Put this place's figures into a baseline, in the place of older ones.  Returns a new reference;
 * NULL without memory.  baseline may be NULL. */
json_t *gate_with_entry(const json_t *baseline,
	const struct gate_place *place,
	const struct gate_figure *figures,
	size_t n);

/*
 * How many figures are beyond their bound; a line for each to `out`, which may be NULL.  What the
 * entry does not have is not judged.
 */
unsigned gate_judge(const json_t *entry,
	bool is_own,
	const struct gate_place *place,
	const struct gate_figure *figures,
	size_t n,
	FILE *out);

/* Run it; aead_init() was called.  file: the baseline; write: measure and put it there instead of
 * judging.  Returns enum bench_exit. */
int gate_run(const char *file, bool write);

#endif
