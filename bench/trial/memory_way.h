/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One direction of a trial in memory: the generator at one port of the device, the sink at the
 * other.
 *
 * Ahead of the clock, where that is asked for, inbound messages are sealed into a store and copied
 * from there when they are due; outbound ones are copied into a store as they come and opened when
 * the clock has stopped: so the core beside the device does not do the device's work over again.
 * A store is limited; the trial goes in rounds that fit.
 *
 * Owner: whoever created it.  Thread: one, the network around the device.
 */
#ifndef BENCH_TRIAL_MEMORY_WAY_H
#define BENCH_TRIAL_MEMORY_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/pace.h"
#include "bench/traffic/sizes.h"
#include "bench/traffic/tally.h"
#include "bench/trial/memory_world.h"

struct memory_way_config {
	bool is_inbound;
	bool is_ahead;
	const struct sizes *sizes; /* borrowed */
	uint32_t run;              /* a number of this trial alone */
	uint32_t n_flows;          /* flow n is of peer n modulo the world's */
	double rate_pps;           /* 0: as fast as possible */
	double seconds;
	uint64_t most_packets; /* of the trial, where the rate does not say it */
};

struct memory_way; /* opaque */

/*
 * world: borrowed, as long as the way is there.  store, store_len: memory for messages, borrowed;
 * NULL and 0 unless is_ahead.  0 or -ENOMEM.
 */
[[nodiscard]] int memory_way_create(struct memory_world *world,
	const struct memory_way_config *config,
	uint8_t *store,
	size_t store_len,
	struct memory_way **ret_way);
void memory_way_destroy(struct memory_way *way); /* NULL is allowed */

/* Bytes of store that the whole trial would need; at least what one period of sizes does. */
size_t memory_way_store_len(const struct memory_world *world,
	const struct memory_way_config *config);

/* Before a round, the clock stopped: seal, and decide how far the round goes. */
void memory_way_prepare(struct memory_way *way);
/* Send what is due, a burst at most; packets that the device's full ring refuses are its loss. */
void memory_way_send(struct memory_way *way, uint64_t now_ns);
/* Take what came, a burst at most.  Returns how many. */
uint32_t memory_way_receive(struct memory_way *way, uint64_t now_ns);
/* After a round, the clock stopped and nothing under way: open what was kept. */
void memory_way_settle(struct memory_way *way);

/* When the next packet is due; UINT64_MAX: none in this trial. */
uint64_t memory_way_next_ns(const struct memory_way *way);
bool memory_way_round_is_done(const struct memory_way *way); /* all sent that was prepared */
bool memory_way_is_done(const struct memory_way *way);       /* all of the trial */
/* Packets sent so far, taken or refused, and taken from the device. */
uint64_t memory_way_sent(const struct memory_way *way);
uint64_t memory_way_arrived(const struct memory_way *way);
uint64_t memory_way_late(const struct memory_way *way);

void memory_way_finish(struct memory_way *way, struct tally_sum *ret_sum);
const struct latency *memory_way_latency(const struct memory_way *way);

#endif
