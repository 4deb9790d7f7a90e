/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers given as options.
 */
#ifndef BENCH_HARNESS_NUMBER_H
#define BENCH_HARNESS_NUMBER_H

/*
 * The number of --name TEXT, from `least` to `most`, with a suffix k or M (thousands, millions).
 * 0, or -1 after it was said what is wrong.
 */
int number_option(const char *name, const char *text, double least, double most, double *ret);

#endif
