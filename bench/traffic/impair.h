/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A bad line between a generator and a receiver, for tests: it loses, copies, delays and damages
 * packets by a seed or by an exact list, and tells exactly what it did, in the words of tally.h.
 *
 * To be exact, it holds back only one original of each flow at a time, so that everything that
 * overtakes it has a higher number; and a damaged packet is neither copied nor held.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_TRAFFIC_IMPAIR_H
#define BENCH_TRAFFIC_IMPAIR_H

#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/tally.h"

enum impair_kind {
	IMPAIR_LOSE,
	IMPAIR_CORRUPT,   /* one byte */
	IMPAIR_REORDER,   /* overtaken by `extent` packets of its flow */
	IMPAIR_DUPLICATE, /* the copy comes after `extent` more packets of its flow */
};

struct impair_step {
	uint64_t packet; /* number of the call of impair_packet(), from 0 */
	enum impair_kind kind;
	uint32_t extent;
};

struct impair_config {
	uint64_t seed;
	/* Shares, 0 to 1.  Drawn in this order; the first that hits is what happens. */
	double lose, corrupt, reorder, duplicate;
	uint32_t most_extent; /* extents are drawn from 1 (copies: 0) to this */
	uint32_t keep_len;    /* bytes at the beginning of a packet that are never damaged */
	/* Or, if not NULL, exactly this and nothing by chance.  Ascending; borrowed. */
	const struct impair_step *steps;
	size_t n_steps;
};

struct impair_done {
	uint64_t packets; /* that came */
	uint64_t emitted;
	uint64_t lost, corrupted, duplicated;
	uint64_t reordered, reorder_extent_max;
	uint64_t extents[TALLY_EXTENTS];
};

typedef void (*impair_emit)(void *context, uint32_t flow, const uint8_t *packet, size_t len);

struct impair; /* opaque */

/* 0 or -ENOMEM.  emit is called inside impair_packet() and impair_flush() only. */
[[nodiscard]] int impair_create(const struct impair_config *config,
	impair_emit emit,
	void *context,
	struct impair **ret_impair);
void impair_destroy(struct impair *im); /* NULL is allowed */

/* The next packet, in the order of its flow's numbers; len: 1 to FLOW_MAX_LEN.  Borrowed. */
void impair_packet(struct impair *im, uint32_t flow, const uint8_t *packet, size_t len);
/* At the end: what is held back goes on.  What nothing has overtaken was not reordered. */
void impair_flush(struct impair *im);

const struct impair_done *impair_done(const struct impair *im);

#endif
