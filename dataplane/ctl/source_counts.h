/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Endpoints and how many peers have each: a hash table that grows.
 *
 * Thread: one.
 */
#ifndef DATAPLANE_CTL_SOURCE_COUNTS_H
#define DATAPLANE_CTL_SOURCE_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counted_source {
	uint8_t bytes[16]; /* an IPv4 address in the first four, the rest zero */
	uint8_t family;    /* 4 or 6; 0: the place is free */
	uint16_t port;     /* host order; 0: any */
	uint32_t count;
};

/* All zero but `seed`: empty. */
struct source_counts {
	struct counted_source *places;
	size_t n_places; /* a power of two, or 0 */
	size_t n_used;
	uint64_t seed; /* random, so that nobody can choose addresses that collide */
};

void source_counts_fini(struct source_counts *c);

/*
 * The entry of an endpoint, made with count 0 if there is none.  NULL: no memory.  Valid until the
 * next call of any of these.
 */
struct counted_source *
source_counts_get(struct source_counts *c, uint8_t family, const uint8_t *bytes, uint16_t port);
/* NULL: there is none. */
struct counted_source *source_counts_find(const struct source_counts *c,
	uint8_t family,
	const uint8_t *bytes,
	uint16_t port);
void source_counts_remove(struct source_counts *c, struct counted_source *entry);

#endif
