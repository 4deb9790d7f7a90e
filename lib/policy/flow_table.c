/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All accesses are relaxed: a tag says all there is to say about its flow, and whether it is seen a
 * moment sooner or later by another worker makes no difference that a network would not make.
 */

#include "lib/policy/flow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// SipHash-1-3 with 128 bits of result (Aumasson and Bernstein, 2012), over whole words: the number
// of words depends on the family alone, which is in the last one.
struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

static inline uint64_t
sip_result(struct sip *s)
{
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline struct sip
sip_begin(const uint64_t key[2])
{
	return (struct sip){
		.v0 = key[0] ^ UINT64_C(0x736f6d6570736575),
		.v1 = key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
		.v2 = key[0] ^ UINT64_C(0x6c7967656e657261),
		.v3 = key[1] ^ UINT64_C(0x7465646279746573),
	};
}

static struct flow_id
make_id(const struct flow_table *t,
	const struct acl_packet *k,
	const struct acl_addr *src,
	const struct acl_addr *dst,
	uint32_t ports)
{
	uint64_t rest = (uint64_t)ports << 16 | (uint64_t)k->protocol << 8 | k->family;
	struct sip s = sip_begin(t->key);
	struct flow_id id;
	uint64_t where;

	if (k->family == ADDR_V4) {
		sip_word(&s, src->low << 32 | dst->low);
	} else {
		sip_word(&s, src->high);
		sip_word(&s, src->low);
		sip_word(&s, dst->high);
		sip_word(&s, dst->low);
	}
	sip_word(&s, rest);
	s.v2 ^= 0xee;
	id.tag = sip_result(&s);
	id.tag += id.tag == 0;
	s.v1 ^= 0xdd;
	where = sip_result(&s);
	id.group = (uint32_t)(where >> 32 & t->mask);
	id.buckets[0] = where % FLOW_BUCKETS;
	id.buckets[1] = (where >> 16) % FLOW_BUCKETS;
	__builtin_prefetch(&t->groups[id.group].tags[id.buckets[0] * FLOW_WAYS]);
	__builtin_prefetch(&t->groups[id.group].tags[id.buckets[1] * FLOW_WAYS]);
	return id;
}

struct flow_id
flow_table_inbound(const struct flow_table *t, const struct acl_packet *k)
{
	return make_id(t, k, &k->src, &k->dst, (uint32_t)k->src_port << 16 | k->dst_port);
}

struct flow_id
flow_table_outbound(const struct flow_table *t, const struct acl_packet *k)
{
	return make_id(t, k, &k->dst, &k->src, (uint32_t)k->dst_port << 16 | k->src_port);
}

static inline uint64_t
tag_at(struct flow_group *g, uint32_t place)
{
	return atomic_load_explicit(&g->tags[place], memory_order_relaxed);
}

static inline uint64_t
used_at(struct flow_group *g, uint32_t place)
{
	return atomic_load_explicit(&g->used[place], memory_order_relaxed);
}

// Put a tag where `old` still is.  Others may have been quicker.
static bool
exchange(struct flow_group *g, uint32_t place, uint64_t old, uint64_t tag)
{
	return atomic_compare_exchange_strong_explicit(
		&g->tags[place], &old, tag, memory_order_relaxed, memory_order_relaxed);
}

static void
use(struct flow_group *g, uint32_t place)
{
	uint64_t now = atomic_fetch_add_explicit(&g->now, 1, memory_order_relaxed) + 1;

	atomic_store_explicit(&g->used[place], now, memory_order_relaxed);
}

// Writes only if it is not the flow used last, so that of a single busy one nothing is written.
static void
touch(struct flow_group *g, uint32_t place)
{
	if (used_at(g, place) != atomic_load_explicit(&g->now, memory_order_relaxed))
		use(g, place);
}

// The place of a tag in either bucket; FLOW_PLACES: none.  Tag 0: a free place.
static uint32_t
find_in(struct flow_group *g, uint32_t bucket, uint64_t tag)
{
	for (uint32_t i = bucket * FLOW_WAYS; i < (bucket + 1) * FLOW_WAYS; i++)
		if (tag_at(g, i) == tag)
			return i;
	return FLOW_PLACES;
}

static uint32_t
find(struct flow_group *g, const struct flow_id *id)
{
	uint32_t place = find_in(g, id->buckets[0], id->tag);

	return place != FLOW_PLACES ? place : find_in(g, id->buckets[1], id->tag);
}

static uint32_t
flows_in(struct flow_group *g, uint32_t bucket)
{
	uint32_t n = 0;

	for (uint32_t i = bucket * FLOW_WAYS; i < (bucket + 1) * FLOW_WAYS; i++)
		n += tag_at(g, i) != 0;
	return n;
}

// Of n places from `first` on, the flow that was unused for longest; FLOW_PLACES: no flow is there.
// A group that is alone is searched for every new flow once it is full, so without a branch for
// each place.
static uint32_t
find_oldest(struct flow_group *g, uint32_t first, uint32_t n)
{
	uint64_t least = UINT64_MAX;
	uint32_t oldest = FLOW_PLACES;

	for (uint32_t i = first; i < first + n; i++) {
		uint64_t used = used_at(g, i) | -(uint64_t)(tag_at(g, i) == 0);

		if (used < least) {
			least = used;
			oldest = i;
		}
	}
	return oldest;
}

static void
forget(struct flow_group *g, uint32_t place)
{
	uint64_t tag = place != FLOW_PLACES ? tag_at(g, place) : 0;

	if (tag != 0 && exchange(g, place, tag, 0))
		atomic_fetch_sub_explicit(&g->count, 1, memory_order_relaxed);
}

static uint32_t
find_oldest_of_two(struct flow_group *g, const struct flow_id *id)
{
	uint32_t first = find_oldest(g, id->buckets[0] * FLOW_WAYS, FLOW_WAYS);
	uint32_t second = find_oldest(g, id->buckets[1] * FLOW_WAYS, FLOW_WAYS);

	if (first == FLOW_PLACES || second == FLOW_PLACES)
		return first != FLOW_PLACES ? first : second;
	return used_at(g, second) < used_at(g, first) ? second : first;
}

static void
make_room(const struct flow_table *t, struct flow_group *g, const struct flow_id *id)
{
	bool is_alone = t->mask == 0;

	if (is_alone && atomic_load_explicit(&g->count, memory_order_relaxed) >= FLOW_GROUP_FLOWS)
		forget(g, find_oldest(g, 0, FLOW_PLACES));
	// In a group that is alone both are twice as full as the mean then: not by chance.
	else if (flows_in(g, id->buckets[0]) == FLOW_WAYS &&
		 flows_in(g, id->buckets[1]) == FLOW_WAYS)
		forget(g, find_oldest_of_two(g, id));
}

bool
flow_table_is_open(struct flow_table *t, const struct flow_id *id)
{
	struct flow_group *g = &t->groups[id->group];
	uint32_t place = find(g, id);

	if (place == FLOW_PLACES)
		return false;
	touch(g, place);
	return true;
}

// Into a free place of the less full bucket.
static bool
insert(struct flow_group *g, const struct flow_id *id)
{
	bool second = flows_in(g, id->buckets[1]) < flows_in(g, id->buckets[0]);
	uint32_t place = find_in(g, id->buckets[second], 0);

	if (place == FLOW_PLACES)
		return false;
	use(g, place); // first, so that nobody takes it for an old one
	if (!exchange(g, place, 0, id->tag))
		return false;
	atomic_fetch_add_explicit(&g->count, 1, memory_order_relaxed);
	return true;
}

void
flow_table_open(struct flow_table *t, const struct flow_id *id)
{
	struct flow_group *g = &t->groups[id->group];
	uint32_t place = find(g, id);
	bool done = place != FLOW_PLACES;

	if (done)
		touch(g, place);
	// Others may take the place that was found; not for ever, as each of them then has one.
	for (int tries = 0; !done && tries < 2 * FLOW_WAYS; tries++) {
		make_room(t, g, id);
		done = insert(g, id);
	}
}

void
flow_table_clear(struct flow_table *t)
{
	for (uint64_t i = 0; i <= t->mask; i++)
		for (uint32_t place = 0; place < FLOW_PLACES; place++)
			forget(&t->groups[i], place);
}

void
flow_table_over(struct flow_table *t, struct flow_group *groups, size_t n, const uint64_t key[2])
{
	*t = (struct flow_table){ .groups = groups, .mask = n - 1, .key = { key[0], key[1] } };
}

int
flow_table_create(size_t groups, const uint64_t key[2], struct flow_table **ret_table)
{
	struct flow_table *t;
	size_t n = 1;

	if (groups > FLOW_MAX_GROUPS)
		return -E2BIG;
	while (n < groups)
		n *= 2;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->groups = aligned_alloc(64, n * sizeof(*t->groups));
	if (t->groups == NULL) {
		free(t);
		return -ENOMEM;
	}
	memset(t->groups, 0, n * sizeof(*t->groups));
	flow_table_over(t, t->groups, n, key);
	*ret_table = t;
	return 0;
}

void
flow_table_destroy(struct flow_table *t)
{
	if (t == NULL)
		return;
	free(t->groups);
	free(t);
}
