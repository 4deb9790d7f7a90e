/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses by which one peer may be reached.  A candidate stays as long as there is a reason: the
 * netmap lists it, the peer's last call-me-maybe lists it, or a ping came from it lately.
 *
 * Source: ../shared/protocol/peer.md 2.4, "Deletion rule".  The reference forgets candidates of the
 *         netmap that a later call-me-maybe did not repeat, and those that were heard first and
 *         listed by the netmap later; here each reason counts for itself.
 * Owner:  embedded in a peer.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_CANDIDATES_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/traversal/disco.h"

#define CANDIDATES_MAX_LISTED 60  /* of each list; those further back are left out */
#define CANDIDATES_MAX        160 /* in all: then what was heard longest ago makes room */

struct candidate {
	struct endpoint endpoint;
	bool from_map, from_peer;
	bool is_listed; /* while a list is taken over */
	bool has_heard_txid;
	uint8_t heard_txid[DISCO_TXID_LEN]; /* of the last ping that came from there */
	struct mono last_heard;             /* a ping came from there; never: none */
	struct mono last_ping, last_pong;   /* ours to there, and its answer */
	int64_t latency_ns;                 /* of that pong */
};

struct candidates { /* starts zeroed */
	struct candidate *items;
	uint16_t n, room;
};

enum candidate_list {
	CANDIDATES_OF_MAP,
	CANDIDATES_OF_PEER,
};

void candidates_fini(struct candidates *c);
/* Borrowed until the next change; NULL: not there. */
struct candidate *candidates_find(const struct candidates *c, const struct endpoint *endpoint);

/* Whether a datagram can be sent there at all. */
bool candidate_is_usable(const struct endpoint *endpoint);

/*
 * Take over a whole list in place of the earlier one of its kind.  What cannot be used is left out.
 * keep: a candidate that stays in any case (ADDR_NONE: none).
 * 0 or -ENOMEM; then some of the list may be missing.  *ret_changed: whether it is another list.
 */
[[nodiscard]] int candidates_take_list(struct candidates *c,
	enum candidate_list list,
	const struct endpoint *endpoints,
	size_t n,
	const struct endpoint *keep,
	bool *ret_changed,
	struct mono now);

/* A ping came from there; txid may be NULL.  Returns whether that very ping had come before. */
bool candidates_hear(struct candidates *c,
	const struct endpoint *endpoint,
	const uint8_t *txid,
	const struct endpoint *keep,
	struct mono now);

/* Those without a reason go, except `keep`. */
void candidates_prune(struct candidates *c, const struct endpoint *keep, struct mono now);
/* The peer started anew: only what the netmap lists stays, as if it were new. */
void candidates_restart(struct candidates *c);
/* All of them may be pinged at once again. */
void candidates_forget_pings(struct candidates *c);

#endif
