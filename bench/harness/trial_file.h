/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file of trials: one JSON object a line, each written whole and synced.
 *
 * Owner:  the run; only one process writes a file at a time (it is locked).
 * Thread: one.  Errors are said here.
 */
#ifndef BENCH_HARNESS_TRIAL_FILE_H
#define BENCH_HARNESS_TRIAL_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define TRIAL_SCHEMA "sluice-bench/1"

struct trial_file {
	int fd;
	const char *path;   /* borrowed */
	json_t *old;        /* what was there, in order; owned */
	off_t end;          /* of what is kept */
	bool wants_newline; /* the last line is whole but for its end */
};

/*
 * Opens or makes the file.  With `resume`, reads what is there: a torn last line, as an interrupted
 * write leaves it, is not kept (the file is cut at the first append, not before).  Without, a file
 * that is not empty is refused.  Returns 0 or a negative code; nothing is open then.
 */
[[nodiscard]] int trial_file_open(struct trial_file *f, const char *path, bool resume);

/* Returns 0 when the line is on the disk; else the file is as long as before. */
[[nodiscard]] int trial_file_append(struct trial_file *f, const json_t *trial);

void trial_file_close(struct trial_file *f);

#endif
