/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What went wrong, for a person.
 */
#ifndef BENCH_HARNESS_ERROR_H
#define BENCH_HARNESS_ERROR_H

/*
 * An error in three parts on stderr: "sluice-bench: WHAT: WHY" and "  WHAT TO DO".  printf-like for
 * `what`; why and advice may be NULL.
 */
void bench_error(const char *why, const char *advice, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

#endif
