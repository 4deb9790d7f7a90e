/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Verdicts of the rules, by source, destination, protocol and destination port, each for the one
 * acl table whose generation it carries: with another table nothing of it is believed.
 *
 * Owner:  one worker.  Thread: its own.  Its size is fixed; a verdict replaces what lies in its
 *         place.
 */
#ifndef LIB_POLICY_VERDICT_CACHE_H
#define LIB_POLICY_VERDICT_CACHE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/flow_hash.h"
#include "lib/policy/acl_packet.h"
#include "lib/policy/acl_reason.h"

struct verdict_entry {
	struct acl_addr src, dst;
	uint64_t generation; /* 0: empty */
	uint32_t rest;       /* destination port << 16 | protocol << 8 | family */
	uint8_t reason;      /* enum acl_reason */
	uint8_t unused[19];
};

static_assert(sizeof(struct verdict_entry) == 64, "a cache line");

struct verdict_cache {
	struct verdict_entry *entries;
	uint64_t mask; /* entries less one: a power of two */
	uint64_t seed[2];
};

#define VERDICT_MAX_ENTRIES (1u << 20)

/*
 * entries: rounded up to a power of two; at most VERDICT_MAX_ENTRIES.
 * seed:    random, so that nobody outside chooses who shares a place.
 * 0, -E2BIG or -ENOMEM.
 */
[[nodiscard]] int
verdict_cache_create(size_t entries, const uint64_t seed[2], struct verdict_cache **ret_cache);
void verdict_cache_destroy(struct verdict_cache *c);

static inline uint32_t
verdict_rest(const struct acl_packet *k)
{
	return (uint32_t)k->dst_port << 16 | (uint32_t)k->protocol << 8 | k->family;
}

/* The place of a packet's verdict; it is fetched. */
static inline struct verdict_entry *
verdict_cache_place(const struct verdict_cache *c, const struct acl_packet *k)
{
	uint64_t h = flow_hash_mix(c->seed[0] ^ k->src.low, c->seed[1] ^ k->dst.low);
	struct verdict_entry *e;

	h = flow_hash_mix(h ^ k->src.high, c->seed[1] ^ k->dst.high);
	h = flow_hash_mix(h, c->seed[0] ^ verdict_rest(k));
	e = &c->entries[h & c->mask];
	__builtin_prefetch(e);
	return e;
}

/* Whether the entry is this packet's, of this table. */
static inline bool
verdict_is_of(const struct verdict_entry *e, const struct acl_packet *k, uint64_t generation)
{
	return e->generation == generation && e->rest == verdict_rest(k) &&
	       acl_addr_equal(&e->src, &k->src) && acl_addr_equal(&e->dst, &k->dst);
}

static inline void
verdict_store(struct verdict_entry *e,
	const struct acl_packet *k,
	uint64_t generation,
	enum acl_reason reason)
{
	*e = (struct verdict_entry){
		.src = k->src,
		.dst = k->dst,
		.generation = generation,
		.rest = verdict_rest(k),
		.reason = (uint8_t)reason,
	};
}

#endif
