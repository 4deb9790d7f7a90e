/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The options of generate and search that say what load is offered.
 *
 * Owner: the caller.  Strings are argv's.
 */
#ifndef BENCH_TRIAL_LOAD_OPTIONS_H
#define BENCH_TRIAL_LOAD_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "bench/trial/trial.h"

struct load_options {
	/* As given. */
	const char *direction, *size;
	double drain_s, n_flows;
	bool encrypt_ahead, is_in_memory;

	struct sizes sizes; /* what load_options_read() makes of it */
};

#define LOAD_OPTIONS 3000
#define LOAD_LONG_OPTIONS                                               \
	{ "direction", required_argument, NULL, LOAD_OPTIONS },         \
		{ "size", required_argument, NULL, LOAD_OPTIONS + 1 },  \
		{ "flows", required_argument, NULL, LOAD_OPTIONS + 2 }, \
		{ "drain", required_argument, NULL, LOAD_OPTIONS + 3 }, \
		{ "ahead", no_argument, NULL, LOAD_OPTIONS + 4 },       \
	{                                                               \
		"in-memory", no_argument, NULL, LOAD_OPTIONS + 5        \
	}

void load_options_init(struct load_options *o);
/* 1: it was one of them; 0: it was not; -1: it was, and what is wrong with it has been said. */
int load_option(struct load_options *o, int value, const char *argument);
/* Their lines of --help. */
extern const char load_options_help[];

/*
 * The request for a trial, but for its rate and seconds.  mtu: of the inner packets, 0: as long as
 * they like.  n_peers: every one gets a flow at least.  Returns enum bench_exit, said already.
 * The request points into `o`.
 */
int load_options_read(struct load_options *o,
	uint32_t mtu,
	bool is_v6,
	uint32_t n_peers,
	struct trial_request *ret_request);

#endif
