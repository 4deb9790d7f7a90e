/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One row of T1: volleys through a world for a while, and what they cost, step by step.
 *
 * Every other volley runs as in production (nobody reads the TSC inside): `whole`.  The volleys in
 * between keep each step's ticks, from which the cost of reading the TSC is taken off: everything
 * else.  So what the measuring itself changes can be seen: marked against whole.
 */
#ifndef BENCH_PATH_MEASURE_H
#define BENCH_PATH_MEASURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/harness/clock.h"
#include "bench/harness/samples.h"
#include "bench/path/popularity.h"
#include "bench/path/world.h"
#include "bench/traffic/sizes.h"

enum measure_direction {
	MEASURE_INBOUND,
	MEASURE_OUTBOUND,
	MEASURE_BOTH,         /* half of the packets each way, in the same rounds */
	MEASURE_PEER_TO_PEER, /* inbound, and outbound again to another peer */
};

#define MEASURE_DIRECTIONS 4

extern const char *const measure_direction_names[MEASURE_DIRECTIONS];

struct measure_row {
	enum measure_direction direction;
	struct world_config world;
	uint32_t in_flight; /* packets of a volley */
	uint32_t n_active;  /* peers */
	enum popularity_kind popularity;
	uint32_t lan_hosts;
	const struct sizes *sizes;
	double rekeys_per_s;
	double seconds; /* of measuring; setting up comes on top */
};

/* Core cycles per packet. */
struct measure_result {
	struct samples whole;  /* a round, everything in it, nobody measuring */
	struct samples marked; /* the same with every step's end noted, its cost included */
	struct samples path;   /* the stages and the round, without cipher and cards */
	struct samples aead;
	struct samples ports; /* the cards' drivers: receive and send */
	struct samples steps[N_PATH_STEPS];
	double mark_cycles; /* one reading of the TSC */
	double core_ghz;
	uint64_t sent, received, wrong;
	uint64_t drops[N_DROP_REASONS];
	uint64_t rekeys;
	double tables_seconds, load_seconds;
};

/*
 * Run a row.  stop is asked between volleys (where other work can be done, too).  clock: its core
 * rate is measured anew, unless it is the TSC's: then cycles are ticks.  ret_result is large: the
 * caller's.  On error it has said what is wrong: set-up failed, or packets were lost or came out
 * wrong.
 */
[[nodiscard]] int measure_run(const struct measure_row *row,
	struct bench_clock *clock,
	bool (*stop)(void *context),
	void *context,
	struct measure_result *ret_result);

/* "result" and "axes" of a trial. */
json_t *measure_json(struct measure_result *r, enum measure_direction direction, bool has_link);
json_t *measure_axes(const struct measure_row *row);

/* Whether a step takes part in this direction, and its name.  has_link: the LAN is behind a port
   that carries frames. */
bool measure_has_step(enum measure_direction direction, bool has_link, enum path_step step);
extern const char *const measure_step_names[N_PATH_STEPS];

#endif
