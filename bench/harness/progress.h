/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How far a run is, on stderr: on a terminal one line, redrawn; else a line every ten seconds.
 *
 * Thread: one; there is one terminal, so there is one line.
 */
#ifndef BENCH_HARNESS_PROGRESS_H
#define BENCH_HARNESS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/clock.h"

struct progress {
	size_t n_total;      /* 0: unknown */
	size_t n_found;      /* done by an earlier run */
	size_t n_done;       /* by this one */
	double seconds_each; /* a guess, until one is done */
	struct mono began, last_done, last_shown;
	bool is_terminal, is_quiet;
};

void progress_init(struct progress *p, size_t n_total, double seconds_each, bool is_quiet);
void progress_done(struct progress *p);
/* detail may be NULL. */
void progress_show(struct progress *p, const char *what, const char *detail);
/* Seconds; negative: nothing is known. */
double progress_left(const struct progress *p, struct mono now);
/* "40 s", "3 min", "1 h 5 min" */
void progress_format_time(char *text, size_t size, double seconds);
/* Before anything else is written to a terminal. */
void progress_clear(void);

#endif
