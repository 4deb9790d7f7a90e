/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steering decision over plain lists and a clock that stands still: the twin of the maps.
 */
#ifndef TESTS_LIB_STEER_NAIVE_H
#define TESTS_LIB_STEER_NAIVE_H

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "lib/net/addr.h"
#include "lib/net/steer_verdict.h"
#include "tests/lib/steer_rows.h"

#define STEER_NAIVE_ROWS 4096

struct steer_naive {
	uint64_t now;
	unsigned n_prefixes, n_addresses, n_known, n_fragments, n_buckets;
	struct {
		struct addr address;
		uint32_t flags;
	} addresses[32];
	struct {
		struct prefix prefix;
		uint32_t action;
	} prefixes[32];
	struct steer_source known[64];
	struct steer_fragment fragments[64];
	struct {
		struct steer_source source;
		__u64 bucket;
	} buckets[STEER_NAIVE_ROWS]; // full: begins anew
	__u64 totals[STEER_N_CLASSES];
};

static inline struct addr
steer_naive_addr(const struct steer_addr *a)
{
	struct addr out = { .family = (uint8_t)a->family };

	memcpy(out.bytes, a->bytes, a->family == 4 ? 4 : 16);
	return out;
}

STEER_INLINE __u32
steer_address_flags(void *tables, const struct steer_addr *a)
{
	const struct steer_naive *t = (const struct steer_naive *)tables;
	const struct addr wanted = steer_naive_addr(a);

	for (unsigned i = 0; i < t->n_addresses; i++) {
		if (addr_equal(&t->addresses[i].address, &wanted))
			return t->addresses[i].flags;
	}
	return 0;
}

STEER_INLINE __u32
steer_prefix_of(void *tables, const struct steer_addr *a)
{
	const struct steer_naive *t = (const struct steer_naive *)tables;
	const struct addr wanted = steer_naive_addr(a);
	uint32_t action = STEER_PREFIX_NONE;
	int longest = -1;

	for (unsigned i = 0; i < t->n_prefixes; i++) {
		const struct prefix *p = &t->prefixes[i].prefix;

		if (p->len > longest && prefix_contains(p, &wanted)) {
			longest = p->len;
			action = t->prefixes[i].action;
		}
	}
	return action;
}

STEER_INLINE _Bool
steer_knows_source(void *tables, const struct steer_source *s)
{
	const struct steer_naive *t = (const struct steer_naive *)tables;

	for (unsigned i = 0; i < t->n_known; i++) {
		if (memcmp(&t->known[i], s, sizeof(*s)) == 0)
			return 1;
	}
	return 0;
}

STEER_INLINE _Bool
steer_knows_fragment(void *tables, const struct steer_fragment *f)
{
	const struct steer_naive *t = (const struct steer_naive *)tables;

	for (unsigned i = 0; i < t->n_fragments; i++) {
		if (memcmp(&t->fragments[i], f, sizeof(*f)) == 0)
			return 1;
	}
	return 0;
}

STEER_INLINE void
steer_remember_fragment(void *tables, const struct steer_fragment *f)
{
	struct steer_naive *t = (struct steer_naive *)tables;

	if (t->n_fragments == 64)
		t->n_fragments = 0;
	t->fragments[t->n_fragments++] = *f;
}

STEER_INLINE __u64 *
steer_source_bucket(void *tables, const struct steer_source *s)
{
	struct steer_naive *t = (struct steer_naive *)tables;

	for (unsigned i = 0; i < t->n_buckets; i++) {
		if (memcmp(&t->buckets[i].source, s, sizeof(*s)) == 0)
			return &t->buckets[i].bucket;
	}
	if (t->n_buckets == STEER_NAIVE_ROWS)
		t->n_buckets = 0;
	t->buckets[t->n_buckets].source = *s;
	t->buckets[t->n_buckets].bucket = 0;
	return &t->buckets[t->n_buckets++].bucket;
}

STEER_INLINE __u64 *
steer_total_bucket(void *tables, __u32 class)
{
	return &((struct steer_naive *)tables)->totals[class];
}

STEER_INLINE __u64
steer_now_ns(void *tables)
{
	return ((const struct steer_naive *)tables)->now;
}

STEER_INLINE __u64
steer_extensions(void *, const __u8 *frame, const __u8 *end, __u32 offset, __u32 protocol)
{
	return steer_walk_extensions(frame, end, offset, protocol);
}

/* Tables with what the rows take for granted. */
static inline void
steer_naive_init(struct steer_naive *t)
{
	int err = 0;

	memset(t, 0, sizeof(*t));
	t->now = 1000000000;
	for (size_t i = 0; i < n_steer_row_addresses; i++) {
		err |= addr_parse(steer_row_addresses[i].text, &t->addresses[i].address);
		t->addresses[i].flags = steer_row_addresses[i].flags;
	}
	for (size_t i = 0; i < n_steer_row_prefixes; i++) {
		err |= prefix_parse(steer_row_prefixes[i].text, &t->prefixes[i].prefix);
		t->prefixes[i].action = steer_row_prefixes[i].action;
	}
	assert(err == 0);
	t->n_addresses = (unsigned)n_steer_row_addresses;
	t->n_prefixes = (unsigned)n_steer_row_prefixes;
}

#endif
