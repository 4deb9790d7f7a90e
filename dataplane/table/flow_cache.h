/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the steps between tunnel and LAN (filter, routes, next hop, translation) have decided for
 * the packets of a flow, so that the next ones need one look instead of five tables.
 *
 * Only a memory of decisions: an entry is used while the tables that it came from are in use, for
 * FLOW_CACHE_LEASE_NS at most.  Then a packet takes the long way again, which keeps the flow alive
 * where it is tracked (lib/nat, lib/policy) and renews the entry.  So an entry outlives nothing
 * that times out, and losing all of them loses nothing.  The exception of size: what an outbound
 * packet opened in the filter may be forgotten there up to a lease before its answers are refused.
 *
 * Who has an entry: TCP without SYN, FIN or RST, and UDP; whole packets, without options or
 * extension headers.  Not what a mapping of lib/nat lets in of no flow: it keeps nothing alive.
 *
 * Layout: buckets of two lines, with two IPv4 flows or one IPv6 flow.
 * Owner:  one worker's, but for flow_cache_create(), _destroy() and _is_crowded().
 */
#ifndef DATAPLANE_TABLE_FLOW_CACHE_H
#define DATAPLANE_TABLE_FLOW_CACHE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/nat/nat.h"
#include "lib/net/headers.h"

#define FLOW_CACHE_LEASE_NS    (NAT_LAG_S * NS_PER_S)
#define FLOW_CACHE_MIN_BUCKETS 1024u         /* 128 KiB */
#define FLOW_CACHE_MAX_BUCKETS (1024u << 11) /* 256 MiB: of a worker with a million flows */
#define FLOW_CACHE_MAX_KEYS    64            /* packets of a burst */

enum flow_kind {
	FLOW_NONE = 0,
	FLOW_REST = 1, /* second line of an IPv6 flow */
	FLOW_FROM_TUNNEL = 4,
	FLOW_TO_TUNNEL = 5,
	FLOW_IS_V6 = 8, /* added to one of the two */
};

/* What a packet's flow is found by, as it came. */
struct flow_key {
	uint64_t addr[4]; /* as in the packet; IPv4: both in the first */
	uint32_t from;    /* number of the peer, or interface index */
	uint32_t ports;   /* as in the packet */
	uint32_t bucket;
	uint8_t kind; /* enum flow_kind; FLOW_NONE: the packet has no entry, nor will it get one */
	uint8_t protocol;
	bool is_ordinary; /* else it takes the long way, and so do those behind it in its burst */
};

struct flow_entry {
	uint64_t addr; /* IPv6: a digest of both */
	uint32_t from;
	uint32_t ports;
	uint8_t kind;
	uint8_t protocol;
	uint16_t mtu;   /* longer packets take the long way */
	uint32_t stamp; /* of the tables that decided */
	uint64_t until_ns;
	/* What becomes of a packet. */
	uint32_t to;              /* from the tunnel: a route of net_table; to it: a peer */
	uint32_t neighbour;       /* from the tunnel: row of state.neighbours */
	uint16_t header_delta;    /* to the sum of an IPv4 header, for TTL and address */
	uint16_t transport_delta; /* to TCP's or UDP's */
	uint16_t port; /* source port from the tunnel, destination port to it; host order */
	bool rewrites; /* address and port change */
	uint8_t pad;
	uint8_t new_addr[4]; /* IPv4 */
	uint8_t pad2[12];
};
static_assert(sizeof(struct flow_entry) == 64, "one line");

/* Second line of an IPv6 flow. */
struct flow_entry_rest {
	uint64_t src[2];
	uint8_t kind; /* FLOW_REST, where a flow_entry has its kind */
	uint8_t pad[15];
	uint64_t dst[2];
	uint8_t new_addr[16];
};
static_assert(sizeof(struct flow_entry_rest) == 64, "one line");
static_assert(offsetof(struct flow_entry_rest, kind) == offsetof(struct flow_entry, kind),
	"either says what it is");

union flow_bucket {
	struct flow_entry entry[2];
	struct {
		struct flow_entry first;
		struct flow_entry_rest rest;
	};
};
static_assert(sizeof(union flow_bucket) == 128, "two lines");

struct flow_cache {
	union flow_bucket *buckets;
	uint32_t mask; /* buckets less one: a power of two */
	uint32_t stamp;
	uint64_t seed[2];
	/* The tables that `stamp` stands for. */
	uint32_t tables_serial, net_serial;
	uint64_t filter_generation;
	_Atomic uint64_t n_pushed_out; /* entries in use that others took the place of */
	size_t len;                    /* bytes of buckets */
	struct flow_key keys[FLOW_CACHE_MAX_KEYS]; /* of the burst under way */
};

/*
 * n_buckets: a power of two between the bounds above.  seed: random, so that nobody can choose
 * flows that collide.  0 or -ENOMEM.
 */
[[nodiscard]] int
flow_cache_create(uint32_t n_buckets, const uint64_t seed[2], struct flow_cache **ret_cache);
void flow_cache_destroy(struct flow_cache *c); /* NULL is allowed */

/*
 * Main thread: whether a larger one would serve better.  *n_before: how many entries had been
 * pushed out when it was asked last.
 */
bool flow_cache_is_crowded(const struct flow_cache *c, uint64_t *n_before);

/* Before each burst: forgets all when the tables are others. */
static inline void
flow_cache_look_at(struct flow_cache *c, uint32_t tables, uint32_t net, uint64_t filter)
{
	if (__builtin_expect(c->tables_serial == tables && c->net_serial == net &&
				     c->filter_generation == filter,
		    1))
		return;
	c->tables_serial = tables;
	c->net_serial = net;
	c->filter_generation = filter;
	c->stamp++; // of 2^32, in a process whose tables change some times a second
}

static inline uint64_t
flow_digest_v6(const uint64_t addr[4])
{
	// Full addresses are compared too: this one only has to spread.
	return (addr[0] + (addr[1] << 23 | addr[1] >> 41)) ^
	       (addr[2] * UINT64_C(0x9e3779b97f4a7c15) + (addr[3] << 32 | addr[3] >> 32));
}

static inline uint32_t
flow_cache_place(const struct flow_cache *c,
	uint64_t addr,
	uint32_t from,
	uint32_t ports,
	uint8_t kind)
{
	uint64_t rest = (uint64_t)from << 32 ^ ports ^ (uint64_t)kind << 56;
	unsigned __int128 product = (unsigned __int128)(addr ^ c->seed[0]) * (rest ^ c->seed[1]);
	uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);

	return (uint32_t)(folded * UINT64_C(0x9e3779b97f4a7c15) >> 32) & c->mask;
}

/* Of a whole packet without options or extension headers.  Fills all but the bucket. */
static inline void
flow_key_read(const uint8_t *p,
	const struct ip_view *v,
	uint32_t from,
	uint8_t kind,
	struct flow_key *ret)
{
	const uint8_t *l4 = p + v->header_len;
	bool is_tcp = v->protocol == IP_PROTOCOL_TCP;

	ret->kind = FLOW_NONE;
	if ((!is_tcp && v->protocol != IP_PROTOCOL_UDP) ||
		v->total_len < v->header_len + (is_tcp ? TCP_HEADER_LEN + 0u : UDP_HEADER_LEN))
		return;
	if (v->family == ADDR_V4) {
		memcpy(ret->addr, p + 12, sizeof(ret->addr[0]));
		ret->kind = kind;
	} else {
		memcpy(ret->addr, p + 8, sizeof(ret->addr));
		ret->kind = kind | FLOW_IS_V6;
	}
	memcpy(&ret->ports, l4, sizeof(ret->ports));
	ret->from = from;
	ret->protocol = v->protocol;
	ret->is_ordinary = !is_tcp || (l4[13] & 7) == 0; // neither FIN, SYN nor RST
}

/* Where its entry would be: two lines, fetched. */
static inline void
flow_cache_begin(const struct flow_cache *c, struct flow_key *key)
{
	uint64_t addr = (key->kind & FLOW_IS_V6) != 0 ? flow_digest_v6(key->addr) : key->addr[0];

	key->bucket = flow_cache_place(c, addr, key->from, key->ports, key->kind);
	__builtin_prefetch(&c->buckets[key->bucket].entry[0]);
	__builtin_prefetch(&c->buckets[key->bucket].entry[1]);
}

static inline bool
flow_entry_is_of(const struct flow_entry *e, const struct flow_key *key, uint64_t addr)
{
	return e->addr == addr && e->from == key->from && e->ports == key->ports &&
	       e->kind == key->kind && e->protocol == key->protocol;
}

/* The entry of this flow, whatever it is worth; NULL: none. */
static inline struct flow_entry *
flow_cache_find(const struct flow_cache *c, const struct flow_key *key)
{
	union flow_bucket *b = &c->buckets[key->bucket];

	if (__builtin_expect((key->kind & FLOW_IS_V6) != 0, 0)) {
		if (!flow_entry_is_of(&b->first, key, flow_digest_v6(key->addr)) ||
			memcmp(b->rest.src, key->addr, sizeof(b->rest.src)) != 0 ||
			memcmp(b->rest.dst, key->addr + 2, sizeof(b->rest.dst)) != 0)
			return NULL;
		return &b->first;
	}
	if (flow_entry_is_of(&b->entry[0], key, key->addr[0]))
		return &b->entry[0];
	if (flow_entry_is_of(&b->entry[1], key, key->addr[0]))
		return &b->entry[1];
	return NULL;
}

/* Whether what it says still holds. */
static inline bool
flow_entry_holds(const struct flow_cache *c, const struct flow_entry *e, uint64_t now_ns)
{
	return e->stamp == c->stamp && now_ns < e->until_ns;
}

/* The address that takes the place of the packet's. */
static inline const uint8_t *
flow_entry_addr(const struct flow_entry *e)
{
	return (e->kind & FLOW_IS_V6) != 0 ? ((const union flow_bucket *)e)->rest.new_addr
	                                   : e->new_addr;
}

/*
 * Remember what became of a packet.  key: as it came; p: as it leaves, TTL not looked at; `to`,
 * `neighbour`, `mtu`: as in struct flow_entry.  An older flow of the bucket may lose its place.
 */
void flow_cache_learn(struct flow_cache *c,
	const struct flow_key *key,
	const uint8_t *p,
	uint64_t now_ns,
	uint32_t to,
	uint32_t neighbour,
	uint32_t mtu);

#endif
