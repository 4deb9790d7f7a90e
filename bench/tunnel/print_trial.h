/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A trial's outcome in a few lines, for people.
 */
#ifndef BENCH_TUNNEL_PRINT_TRIAL_H
#define BENCH_TUNNEL_PRINT_TRIAL_H

#include "bench/trial/trial.h"

/* On stdout. */
void print_trial(const struct trial_request *request, const struct trial_result *result);
/* Of the sending end alone. */
void print_sending(const struct trial_request *request, const struct trial_result *result);
/* The books alone. */
void print_sum(const char *title, const struct tally_sum *sum, double seconds);
void print_latency(const struct latency *latency);

#endif
