/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One run of a command: its trials, each kept the moment it is done; progress; interruption.
 *
 * A trial is one measurement under one setting of the axes.  It is written as one JSON object,
 * which says everything needed to read it alone:
 *
 *     { "schema": "sluice-bench/1", "tier": "T0", "kind": "crypto", "key": "ipsec-mb/seal/64/32",
 *       "at": "2026-11-22T18:40:00Z", "command": ["sluice-bench", "crypto", ...],
 *       "machine": {...}, "build": {...},          (harness/machine.h)
 *       "axes": {...},                             what was set: strings and numbers
 *       "result": {...} }                          what came out: numbers, or objects
 *                                                  {"best","median","p10","p90","n"} of a spread
 *
 * --out FILE keeps trials as lines of FILE (one object a line, each written whole and synced), so
 * that what was measured survives whatever ends the run; --resume skips those whose kind and key
 * are there already (of the same machine and build, else it refuses), so a key names every axis.
 * A file may hold trials of several kinds: one after the other goes into it with --resume.  A torn
 * last line is dropped, and said.  --json prints all trials as one array at the end.  Without, the
 * command prints its table.
 *
 * Thread: one, the command's.  SIGINT and SIGTERM only set what bench_run_is_stopped() tells, and
 * end a system call that waits (EINTR); the second one ends the program.
 */
#ifndef BENCH_HARNESS_RUN_H
#define BENCH_HARNESS_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "bench/harness/clock.h"
#include "bench/harness/error.h"

struct bench_run_options { /* filled by bench_run_option() */
	bool json;
	bool resume;
	bool quiet; /* no progress */
	const char *out;
};

/*
 * The long options that every measuring command has, to be put into its own getopt_long table:
 * values from BENCH_RUN_OPTIONS upwards; give those to bench_run_option().
 */
#define BENCH_RUN_OPTIONS 1000
#define BENCH_RUN_LONG_OPTIONS                                          \
	{ "json", no_argument, NULL, BENCH_RUN_OPTIONS },               \
		{ "resume", no_argument, NULL, BENCH_RUN_OPTIONS + 1 }, \
		{ "quiet", no_argument, NULL, BENCH_RUN_OPTIONS + 2 },  \
	{                                                               \
		"out", required_argument, NULL, BENCH_RUN_OPTIONS + 3   \
	}
/* True: it was one of them. */
bool bench_run_option(struct bench_run_options *o, int value, const char *argument);
/* Their lines of a command's --help. */
extern const char bench_run_help[];

struct bench_run;

/*
 * tier, kind: as above.  n_trials: how many there will be, for progress (0: unknown); seconds_each:
 * a guess.  argv[0] is the command's name.  Opens --out, reads what is there, catches the signals,
 * measures the clock (50 ms).  All pointers are kept until bench_run_end().  On error it has said
 * what is wrong, and returns NULL.
 */
struct bench_run *bench_run_begin(const struct bench_run_options *options,
	const char *tier,
	const char *kind,
	int argc,
	char **argv,
	size_t n_trials,
	double seconds_each);

/*
 * Is this trial still to be done?  False: it is in the file already (and now among
 * bench_run_trials()), or the run is stopped.
 */
bool bench_run_wants(struct bench_run *run, const char *key);

/* On a terminal: "3/40  inbound 64 B, 1,000 peers  1.2 Mpps  2 min left", redrawn in place;
 * elsewhere a line every ten seconds, so that a log shows life.  `detail` (may be NULL): the rate
 * of now. */
void bench_run_progress(struct bench_run *run, const char *what, const char *detail);

/* Takes both references.  Returns 0, or an error that it has said: the run should end. */
[[nodiscard]] int
bench_run_record(struct bench_run *run, const char *key, json_t *axes, json_t *result);

bool bench_run_is_stopped(const struct bench_run *run);
/* The trials of this run, those found by --resume included, in order.  Borrowed array. */
const json_t *bench_run_trials(const struct bench_run *run);
/* The core's clock and the TSC's, as in `machine` of each trial. */
const struct bench_clock *bench_run_clock(const struct bench_run *run);

/*
 * Prints the array (--json), frees.  Returns enum bench_exit: BENCH_INTERRUPTED if it was stopped
 * (it says how to go on), BENCH_FAILED if something could not be written.
 */
int bench_run_end(struct bench_run *run);

/* An object of a spread: best (lowest), median, p10, p90, n.  NULL only without memory. */
struct samples;
json_t *bench_spread(struct samples *s);

#endif
