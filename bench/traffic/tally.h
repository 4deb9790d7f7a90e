/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What became of the packets of a run: the receiver's books, per flow and in all.
 *
 * Source: RFC 4737 (a packet is reordered if its number is lower than one seen before, section 3;
 *         only first copies count, section 3.3; reordering extent, section 4.2); RFC 2544 for loss.
 * Owner:  memory is taken at the beginning (tally_create), never per packet.
 * Thread: one.
 *
 * Lost is what was sent (as the sender says) and never came; a duplicate counts beside the first
 * copy; a corrupted packet is neither received nor identified, so it also leaves a lost number:
 * what the receiver says is lost = sent - received, and corrupted tells how many of those arrived
 * broken.
 *
 * A number is remembered by a bit each, so a duplicate is known however late it comes.  For extents
 * each flow remembers its newest gaps (4096 with one flow, 16 with 65536): a packet that fills an
 * older one is reordered all the same, and its extent is taken from the oldest gap known, a lower
 * bound (extent_unknown counts these).
 */
#ifndef BENCH_TRAFFIC_TALLY_H
#define BENCH_TRAFFIC_TALLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/flow.h"
#include "bench/traffic/latency.h"

struct tally; /* per flow: next expected number, a bit for each number, the newest gaps */

/* Extents 1 to 16 each, then up to 32, 64, .. 2^20, and beyond. */
#define TALLY_EXTENTS 33
unsigned tally_extent_class(uint64_t extent); /* 0 to TALLY_EXTENTS - 1 */

struct tally_sum {
	uint64_t sent;     /* as told by tally_finish() */
	uint64_t received; /* each number once */
	uint64_t bytes;    /* inner bytes of those */
	uint64_t lost;
	uint64_t duplicated;
	uint64_t reordered; /* RFC 4737 type-P-reordered, singleton per packet; duplicates are not
	                       counted */
	uint64_t reorder_extent_max; /* packets of its flow */
	uint64_t extent_unknown;     /* reordered packets whose extent is a lower bound */
	uint64_t corrupted;
	uint64_t foreign;
	uint64_t unexpected;             /* a number that was never sent */
	uint64_t extents[TALLY_EXTENTS]; /* how many reordered packets by their extent */
	uint32_t flows_seen;
};

/*
 * plan: copied.  expect_per_flow: how many numbers a flow will have at most; memory is a bit for
 * each.  0 or -ENOMEM.
 */
[[nodiscard]] int
tally_create(const struct flow_plan *plan, uint64_t expect_per_flow, struct tally **ret_tally);
void tally_destroy(struct tally *t); /* NULL is allowed */

/* A packet arrived at arrived_ns since the trial's start. */
void tally_packet(struct tally *t, const uint8_t *packet, size_t len, int64_t arrived_ns);
void tally_payload(struct tally *t, const uint8_t *payload, size_t len, int64_t arrived_ns);

/* It could not even be opened, or it came where none of ours should: counts as corrupted; foreign.
 */
void tally_corrupted(struct tally *t);
void tally_foreign(struct tally *t);

/* How many have been received so far, each number once: all of them?  Then nobody need wait. */
uint64_t tally_received(const struct tally *t);

/*
 * sent[n_flows]: how many numbers of each flow were really sent.  What came with a higher one is
 * then unexpected and not received (its bytes, extent and latency stay in the books).
 */
void tally_finish(struct tally *t, const uint64_t *sent, struct tally_sum *ret_sum);
const struct latency *tally_latency(const struct tally *t);

/* Add the books of another tally: sums, but the greatest extent of both. */
void tally_sum_add(struct tally_sum *into, const struct tally_sum *from);
/*
 * All fields of the sum, by their names, loss_ratio, and the extents that occurred as
 * {"1": n, "17-32": n, ...}.  A new reference.
 */
json_t *tally_json(const struct tally_sum *sum);

#endif
