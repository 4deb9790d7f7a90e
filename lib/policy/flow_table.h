/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows that outbound packets have opened: answers to them are let in without a rule, and go on
 * being so when the rules change.  UDP and SCTP only.
 *
 * Source: ../shared/protocol/peer.md section 9.4.  As there, no flow times out.  A table of one
 *         group does what the reference does, which remembers the 512 used last.  A gateway may
 *         have more groups; a hash decides to which a flow belongs.  A group of several remembers
 *         as many as it has places for, about, and forgets when both buckets of a new flow are
 *         full: of the flows there, the one unused for longest.  So a new flow costs the same
 *         however many there are.
 * Owner:  whoever made it; one for normal peers, one for jailed ones.
 * Thread: any number of workers at a time, as the answer may come to another worker than the one
 *         that sent the question.  Nobody waits: a flow is one atomic word, a keyed hash of 64
 *         bits, in one of two buckets that 64 other bits name.  So a packet of no flow is taken for
 *         one of a flow once in 2^60 tries, and nobody outside knows the key.
 */
#ifndef LIB_POLICY_FLOW_TABLE_H
#define LIB_POLICY_FLOW_TABLE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/policy/acl_packet.h"

#define FLOW_GROUP_FLOWS 512 /* remembered by a group that is alone */
#define FLOW_WAYS        8   /* places in a bucket: one cache line of tags */
#define FLOW_BUCKETS     128 /* of a group: a flow takes a place in the less full of two */
#define FLOW_PLACES      (FLOW_WAYS * FLOW_BUCKETS)
#define FLOW_MAX_GROUPS  4096

struct flow_group {
	_Atomic uint64_t tags[FLOW_PLACES]; /* 0: free */
	_Atomic uint64_t used[FLOW_PLACES]; /* value of `now` when the flow was last used */
	_Atomic uint64_t now;               /* counts uses, but not those of the flow used last */
	_Atomic uint32_t count;             /* flows */
	uint8_t unused[52];
};

static_assert(sizeof(struct flow_group) % 64 == 0, "every bucket is a cache line");

struct flow_table {
	struct flow_group *groups;
	uint64_t mask; /* groups less one: a power of two */
	uint64_t key[2];
};

/* What a flow is found by. */
struct flow_id {
	uint64_t tag;
	uint32_t group;
	uint16_t buckets[2];
};

/*
 * groups: rounded up to a power of two, at most FLOW_MAX_GROUPS; 1 is the reference.  16 KiB each.
 * key:    random, and of this table only.
 * 0, -E2BIG or -ENOMEM.
 */
[[nodiscard]] int
flow_table_create(size_t groups, const uint64_t key[2], struct flow_table **ret_table);
void flow_table_destroy(struct flow_table *t);

/*
 * The same over memory of somebody else's, where flows may be remembered already: n groups, a power
 * of two up to FLOW_MAX_GROUPS.  Not to be destroyed.
 */
void
flow_table_over(struct flow_table *t, struct flow_group *groups, size_t n, const uint64_t key[2]);

/* Forget all flows: when shields go up.  Others may use the table meanwhile. */
void flow_table_clear(struct flow_table *t);

/* The flow of an inbound packet of UDP or SCTP; its buckets are fetched. */
struct flow_id flow_table_inbound(const struct flow_table *t, const struct acl_packet *k);
/* The flow that an outbound packet opens. */
struct flow_id flow_table_outbound(const struct flow_table *t, const struct acl_packet *k);

/* Whether the flow is remembered; if so, it is now the one used last. */
bool flow_table_is_open(struct flow_table *t, const struct flow_id *id);
/* Remember the flow as the one used last; what is full forgets the one unused for longest. */
void flow_table_open(struct flow_table *t, const struct flow_id *id);

#endif
