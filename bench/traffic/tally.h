/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What became of the packets of a run: the receiver's books, per flow and in all.
 *
 * Source: RFC 4737 (a packet is reordered if its number is lower than one seen before, section 3;
 *         reordering extent, section 4.2.1; n-reordering, section 5.4), RFC 5236 only by name; RFC
 * 2544 for loss. Owner:  memory is taken at the beginning (tally_create), never per packet. Thread:
 * one.
 *
 * Lost is what was sent (as the sender says) and never came; a duplicate counts beside the first
 * copy; a corrupted packet is neither received nor identified, so it also leaves a lost number:
 * what the receiver says is lost = sent - received, and corrupted tells how many of those arrived
 * broken.
 */
#ifndef BENCH_TRAFFIC_TALLY_H
#define BENCH_TRAFFIC_TALLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/flow.h"
#include "bench/traffic/latency.h"

struct tally; /* per flow: next expected number, a window of bits for what came late, counters */

struct tally_sum {
	uint64_t sent;     /* as told by tally_finish() */
	uint64_t received; /* each number once */
	uint64_t bytes;    /* inner bytes of those */
	uint64_t lost;
	uint64_t duplicated;
	uint64_t reordered; /* RFC 4737 type-P-reordered, singleton per packet; duplicates are not
	                       counted */
	uint64_t reorder_extent_max; /* packets */
	uint64_t corrupted;
	uint64_t foreign;
	uint64_t unexpected; /* a number that was never sent */
	uint32_t flows_seen;
};

/* expect_per_flow: how many numbers a flow will have at most; memory is a bit for each.  0 or
 * -ENOMEM. */
[[nodiscard]] int
tally_create(const struct flow_plan *plan, uint64_t expect_per_flow, struct tally **ret_tally);
void tally_destroy(struct tally *t);

/* A packet arrived at arrived_ns since the trial's start. */
void tally_packet(struct tally *t, const uint8_t *packet, size_t len, int64_t arrived_ns);
void tally_payload(struct tally *t, const uint8_t *payload, size_t len, int64_t arrived_ns);

/* sent[n_flows]: how many numbers of each flow were really sent. */
void tally_finish(struct tally *t, const uint64_t *sent, struct tally_sum *ret_sum);
const struct latency *tally_latency(const struct tally *t);
/* All fields of the sum, by their names, loss_ratio and the reordering extents' histogram. */
json_t *tally_json(const struct tally *t, const struct tally_sum *sum);

#endif
