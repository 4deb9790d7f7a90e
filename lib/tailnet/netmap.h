/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tailnet as this node sees it: map responses applied in the reference's order, and what each
 * of them changed, peer by peer and member by member, so that a router touches only that.
 *
 * Source: ../shared/protocol/control.md 5.5, 5.6, 5.8; ../shared/vectors/mapsession.json.
 * Owner:  the caller; netmap_fini() frees all of it.
 * Thread: one at a time; the time is given.
 * Cost:   finding a peer by ID or key is one hash look-up; a delta costs what it names, whatever
 *         the number of peers.  Measured with 10,000: 1.1 KB of memory each, a full map of 6.8 MB
 *         in 0.14 s, a patch in 2 us, one peer for another in 15 us (reading its JSON included).
 *
 * The map outlives the stream that it came by: netmap_begin_stream() says that the next message
 * begins a new one, which starts from nothing, and what is reported then is the difference between
 * the last state and the new.
 */
#ifndef LIB_TAILNET_NETMAP_H
#define LIB_TAILNET_NETMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tailnet/filter_chunks.h"
#include "lib/tailnet/instant.h"
#include "lib/tailnet/item_table.h"
#include "lib/tailnet/map_response.h"
#include "lib/tailnet/node.h"

#define NETMAP_MAX_PEERS    MAP_MAX_PEERS /* a delta that leads beyond is refused: -E2BIG */
#define NETMAP_MAX_USERS    MAP_MAX_PEERS
#define NETMAP_MAX_MESSAGES 256

/* What of the map, besides its peers, a message has changed. */
#define NETMAP_SELF             (1u << 0) /* see self_fields */
#define NETMAP_DERP_MAP         (1u << 1)
#define NETMAP_DNS              (1u << 2)
#define NETMAP_FILTER           (1u << 3)
#define NETMAP_USERS            (1u << 4)
#define NETMAP_DOMAIN           (1u << 5)
#define NETMAP_COLLECT_SERVICES (1u << 6)
#define NETMAP_HEALTH           (1u << 7) /* or the display messages */
#define NETMAP_LOCK             (1u << 8)

enum peer_fate {
	PEER_ADDED,
	PEER_CHANGED,
	PEER_REMOVED,
};

struct peer_change {
	enum peer_fate fate;
	uint32_t fields;         /* NODE_ flags: changed by this message; all of an added one */
	const struct node *node; /* in the map; of a removed one as it last was */
	struct node_key old_key; /* before the message; zeros of an added one */
};

/* Valid until the map is changed again or finished; then free it, or free it before. */
struct netmap_changes {
	uint32_t fields;      /* NETMAP_ flags */
	uint32_t self_fields; /* NODE_ flags */
	struct peer_change *peers;
	size_t n_peers;
};

struct peer; /* netmap.c's */

struct netmap {
	/* To be read by everybody. */
	struct node *self;           /* NULL: no map yet */
	struct derp_map *derp_map;   /* NULL: none was sent */
	struct dns_config *dns;      /* NULL: none was sent */
	char *domain;                /* NULL: none */
	struct filter_chunks filter; /* nothing may come in until filter_chunks_has_any */
	struct texts health;         /* of no account while there are messages */
	struct display_message *messages;
	size_t n_messages;
	struct lock_info *lock; /* NULL: never sent; see netmap_is_locked() */
	bool collects_services;

	/* netmap.c's own */
	struct peer **peers;
	size_t n_peers, peers_room;
	struct item_table by_id, by_key, users;
	uint64_t seed;
	uint64_t filter_digest; /* of the one message that made the filter, or of the last one */
	bool filter_is_of_one;
	bool is_new_stream;
};

/* Empty, before the first stream.  seed: random, for the hash tables. */
void netmap_init(struct netmap *m, uint64_t seed);
void netmap_fini(struct netmap *m);

/* The next message is the first of a stream, and complete.  Until it comes the map stays. */
void netmap_begin_stream(struct netmap *m);

/*
 * Apply one message.  `now`: wall clock, for PeerSeenChange.  What the map takes over is taken out
 * of `response`, which is to be finished as before.  Keep-alives change nothing.
 *
 * ret_changes: for netmap_changes_fini(); set on success only.  A peer that the message mentions
 * without changing anything is not in it.
 * Returns 0; ERR_BAD_FORMAT (first of a stream without Node; a filter that is none); -E2BIG;
 * -ENOMEM.  On an error nothing has changed, and the stream is to be ended.
 */
[[nodiscard]] int netmap_apply(struct netmap *m,
	struct map_response *response,
	struct instant now,
	struct netmap_changes *ret_changes);

/* Free what is in it, and leave it empty.  NULL is allowed. */
void netmap_changes_fini(struct netmap_changes *changes);

/* Peers in no particular order: index 0 to netmap_n_peers() - 1. */
size_t netmap_n_peers(const struct netmap *m);
const struct node *netmap_peer(const struct netmap *m, size_t index);

/* Borrowed until the map changes; NULL: not there.  Zero keys are nobody's. */
const struct node *netmap_find_id(const struct netmap *m, int64_t id);
const struct node *netmap_find_key(const struct netmap *m, const struct node_key *key);
const struct user_profile *netmap_find_user(const struct netmap *m, int64_t id);

/* Tailnet lock is on: peers would have to be judged by their signatures. */
bool netmap_is_locked(const struct netmap *m);

#endif
