/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows, mappings, outside addresses and the index: what several workers change at the same time.
 *
 * A key has at most one live row.  Whoever makes a row claims it, writes it, puts it into the
 * index, and only then looks whether the key is there twice: another live one has won; another one
 * that is still being written is aborted.  At last the row becomes live, if nobody has aborted it.
 * Of two writers the later one in the index sees the earlier one, so never do both succeed; both
 * may fail, and try again.
 *
 * Thread: any number of workers.
 */
#ifndef LIB_NAT_TABLE_H
#define LIB_NAT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/nat/nat.h"
#include "lib/nat/shape.h"

#define NAT_NONE          UINT32_MAX
#define NAT_SIDE_SHIFT    24
#define NAT_NUMBER_MASK   ((1u << NAT_SIDE_SHIFT) - 1)
#define NAT_MAX_FOUND     (2 * NAT_WAYS)
#define NAT_MAX_GRACE     4096u
#define NAT_N_FRAGMENTS   8192u /* remembered at a time */
#define NAT_FRAGMENT_WAYS 4u

static_assert(NAT_MAX_FLOWS <= NAT_NUMBER_MASK, "a row's number fits a word of the index");
static_assert(NAT_MAX_ADDRESSES * NAT_N_CLASSES * NAT_N_PORTS <= NAT_NUMBER_MASK,
	"a mapping's too");

struct nat_fragment; /* fragment.h */

struct nat {
	struct nat_memory *m;
	uint64_t secret[4];
	uint32_t writing;       /* NAT_WRITING of this generation */
	_Atomic uint32_t range; /* first port | last port << 16 */

	/* Of the main thread; the counts are read by anyone. */
	uint32_t round;
	uint32_t at_flow;
	uint32_t at_address, at_class, at_port; /* of the mappings, once the flows are through */
	uint32_t n_seen, n_seen_unanswered;     /* of this round */
	_Atomic uint32_t n_flows;               /* of the last whole one */
	_Atomic uint32_t
		n_unanswered; /* flows of the LAN without an answer, with those begun since */
	uint32_t n_grace;
	uint32_t grace[NAT_MAX_GRACE]; /* kind << NAT_SIDE_SHIFT | number */

	struct nat_fragment *fragments;
	_Atomic uint32_t next_id; /* of fragmented datagrams that get another source */
};

static inline uint32_t
nat_stamp(struct mono now)
{
	return (uint32_t)(now.ns >> NAT_STAMP_SHIFT);
}

static inline enum nat_state
nat_state_of(uint32_t word)
{
	return (enum nat_state)(word & ((1u << NAT_STATE_BITS) - 1));
}

static inline bool
nat_is_live(const _Atomic uint32_t *state)
{
	// Pairs with the exchange that makes a row live: its fields are whole.
	return atomic_load_explicit(state, memory_order_acquire) == NAT_LIVE;
}

/* Written only if it has changed, so that a busy flow's line stays shared. */
static inline void
nat_touch(_Atomic uint32_t *word, uint32_t value)
{
	if (atomic_load_explicit(word, memory_order_relaxed) != value)
		atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t
nat_word(uint64_t hash, enum nat_side side, uint32_t number)
{
	return (hash >> 32 << 32) | (uint64_t)side << NAT_SIDE_SHIFT | number;
}

static inline struct nat_bucket *
nat_bucket(struct nat_memory *m, uint64_t hash)
{
	return &m->index[hash % NAT_BUCKETS];
}

/* The second choice, where the first was full. */
static inline struct nat_bucket *
nat_other_bucket(struct nat_memory *m, uint64_t hash)
{
	return &m->index[(hash >> 19 ^ hash >> 41) % NAT_BUCKETS];
}

/* Whether a flow has this key on this side.  The row is live, or in the index. */
static inline bool
nat_flow_has(const struct nat_memory *m,
	const struct nat_flow *f,
	enum nat_side side,
	const uint64_t key[static 5])
{
	bool is_inside = side == NAT_INSIDE || f->kind == NAT_KIND_PLAIN;
	const uint64_t *ours = is_inside ? f->inside : m->addresses[f->address].bytes;
	uint16_t port = is_inside ? f->inside_port : f->outside_port;

	return ((ours[0] ^ key[0]) | (ours[1] ^ key[1]) | (f->remote[0] ^ key[2]) |
		       (f->remote[1] ^ key[3]) |
		       (nat_key_rest(port, f->remote_port, f->protocol, f->family) ^ key[4])) == 0;
}

/* The key of a flow on a side. */
void nat_flow_key(const struct nat_memory *m,
	const struct nat_flow *f,
	enum nat_side side,
	uint64_t ret_key[static 5]);

/* The live flow with this key, or NULL. */
struct nat_flow *nat_find_flow(const struct nat *nat,
	enum nat_side side,
	const uint64_t key[static 5],
	uint64_t hash);

/* The row of an outside address; NAT_NONE: there is none.  bytes: two words. */
uint32_t nat_find_address(const struct nat *nat, uint8_t family, const uint64_t bytes[static 2]);
/* The same, made if there is none.  NAT_NONE: full, or somebody is making one at this moment. */
uint32_t nat_make_address(struct nat *nat, uint8_t family, const uint64_t bytes[static 2]);

static inline bool
nat_has_addresses_left(const struct nat *nat)
{
	return atomic_load(&nat->m->addresses[NAT_MAX_ADDRESSES - 1].state) != NAT_LIVE;
}

/* The mapping that is at a port, live or not. */
static inline struct nat_mapping *
nat_mapping_at(const struct nat *nat, uint32_t address, uint8_t protocol, uint16_t port)
{
	return &nat->m->mappings[address][nat_class(protocol)][port];
}

/*
 * The port of an outside address that belongs to the inside endpoint of `look` (of NAT_INSIDE),
 * mapped now if none does.  0: ports are used up, or (*ret_busy) others were quicker.
 */
uint32_t nat_make_mapping(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint32_t address,
	uint32_t stamp,
	bool *ret_busy);

/* The same without making one; 0: none. */
uint32_t nat_find_mapping(const struct nat *nat, const uint64_t key[static 5], uint32_t address);

/* How making a flow ended. */
enum nat_made {
	NAT_MADE,
	NAT_MADE_EXISTS,  /* there is a live one with the inside key */
	NAT_MADE_TAKEN,   /* another inside endpoint has the outside key */
	NAT_MADE_ABORTED, /* try again */
	NAT_MADE_FULL,
};

struct nat_make {
	const uint64_t *key; /* of NAT_INSIDE */
	uint8_t kind;        /* enum nat_flow_kind */
	uint8_t address;     /* TRANSLATED: of the outside endpoint, */
	uint16_t port;       /* and its port */
	uint32_t progress;
	uint32_t stamp;
};

enum nat_made nat_make_flow(struct nat *nat,
	struct nat_local *local,
	const struct nat_make *make,
	struct nat_flow **ret_flow);

/* Take the words of a row out of the index; main thread. */
void nat_unindex_flow(struct nat *nat, const struct nat_flow *f);
void nat_unindex_mapping(struct nat *nat, uint32_t number, const struct nat_mapping *mapping);

#endif
