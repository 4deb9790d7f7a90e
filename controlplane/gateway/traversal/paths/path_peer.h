/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The state behind paths.h, and what the files of this folder do for each other.  Each calls only
 * what stands below it:
 *
 *     receive.c, paths.c     a datagram; a change, activity, a message to send
 *     rounds.c               heartbeats, rounds of pings, call-me-maybe, pings that were asked for
 *     choice.c               best path, trust, what is told to the data plane
 *     send.c                 a disco message leaves
 *     candidates.c, pings.c, disco_keys.c
 *
 * Source: ../shared/protocol/peer.md 2.4.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PATH_PEER_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PATH_PEER_H

#include "controlplane/gateway/handshake/deadlines.h"
#include "controlplane/gateway/traversal/paths/candidates.h"
#include "controlplane/gateway/traversal/paths/disco_keys.h"
#include "controlplane/gateway/traversal/paths/paths.h"
#include "controlplane/gateway/traversal/paths/pings.h"
#include "lib/traversal/path.h"

/* Of one peer's pings at most so many leave on average, and at once: a peer chooses where we ping,
 * and must not be able to make us a weapon. */
#define PING_COST_NS  (40 * NS_PER_MS)
#define PINGS_AT_ONCE 128
/* A call-me-maybe waits so long for fresh endpoints of ours before the old ones are told. */
#define FRESH_PATIENCE_NS (4 * NS_PER_S)

struct path_peer {
	uint32_t number;
	struct public_key node_key;
	struct disco_key *disco;       /* NULL: none, or not to be spoken with */
	struct path_peer *next_sharer; /* of the same disco key */
	uint16_t home_region, heard_region;
	bool is_wireguard_only, is_expired;
	bool is_new;     /* its choice was not told yet: a path may be adopted before */
	bool is_trusted; /* the best path is, and when that ends is due */
	struct candidates candidates;
	struct pings pings;
	struct path best;
	struct addr local; /* where pongs of the best path came to */
	struct mono trusted_until;
	struct mono last_sent; /* a WireGuard message, or a ping that was asked for */
	struct mono last_ping_all;
	struct mono last_call_me_maybe;
	struct mono wants_call_me_maybe;    /* since then it waits for fresh endpoints; never: no */
	struct mono heartbeat;              /* the next one is due then; never: idle */
	struct mono kick;                   /* ping it then; never: no */
	struct mono pings_paid;             /* pings so far are paid for by then */
	uint8_t relay_txid[DISCO_TXID_LEN]; /* of the last ping that a relay brought */
	struct paths_choice told;
};

struct paths {
	struct paths_calls calls;
	struct paths_counters counters;
	struct path_peer **peers; /* by number */
	uint32_t room;            /* of peers */
	uint32_t n_waiting;       /* for fresh endpoints */
	struct deadlines deadlines;
	struct disco_keys keys;
	struct public_key self_node, self_disco;
	struct secret_key *self_secret; /* secret memory; NULL: we are nobody */
	uint8_t out[PATHS_MAX_PING_LEN];
};

/* The peer with this number, or NULL. */
struct path_peer *paths_peer_at(const struct paths *paths, uint32_t number);

/* Whether disco can be spoken with it now. */
static inline bool
path_peer_speaks_disco(const struct paths *paths, const struct path_peer *p)
{
	return p->disco != NULL && paths->self_secret != NULL;
}

/* Whether messages left for it lately. */
static inline bool
path_peer_is_active(const struct path_peer *p, struct mono now)
{
	return !mono_is_never(p->last_sent) &&
	       mono_diff_ns(now, p->last_sent) <= PATH_SESSION_ACTIVE_NS;
}

/* The relay by which it can be reached: its home, or the one that it used last; 0: none. */
static inline uint16_t
path_peer_region(const struct path_peer *p)
{
	return p->home_region != 0 ? p->home_region : p->heard_region;
}

/* --- send.c: true if it left --- */
bool send_disco_udp(struct paths *paths,
	const struct path_peer *p,
	const struct disco_message *message,
	const struct endpoint *to,
	const struct addr *local);
bool send_disco_relay(struct paths *paths,
	const struct path_peer *p,
	const struct disco_message *message,
	uint16_t region);

/* --- choice.c --- */
/* A pong came: this way works.  The best path, if it is as good or the best is not trusted. */
void choice_on_pong(struct path_peer *p,
	const struct path *path,
	const struct addr *local,
	struct mono now);
/* Packets go there; if it is trusted, for a moment without a pong. */
void choice_adopt(struct path_peer *p,
	const struct endpoint *endpoint,
	const struct addr *local,
	bool is_trusted,
	struct mono now);
/* Keep the best path, but send by the relay as well. */
void choice_distrust(struct path_peer *p);
/* No direct path. */
void choice_forget(struct path_peer *p);
/* What it is now, whether told or not. */
struct paths_choice choice_of(const struct path_peer *p, struct mono now);
/* After every change of a peer: tell the choice if it is another one, and note what is due next.
 * It may have changed again afterwards: look at it no more. */
void choice_settle(struct paths *paths, struct path_peer *p, struct mono now);

/* --- rounds.c --- */
/* Ping all candidates that were not pinged in the last five seconds. */
void rounds_ping_all(struct paths *paths, struct path_peer *p, bool call_me_maybe, struct mono now);
/* Something left for it: keep looking at its path, and look for one if there is none. */
void rounds_on_activity(struct paths *paths, struct path_peer *p, struct mono now);
/* Tell it where we are, now or when our endpoints are fresh. */
void rounds_call_me_maybe(struct paths *paths, struct path_peer *p, bool is_fresh, struct mono now);
void rounds_stop_waiting(struct paths *paths, struct path_peer *p);
void rounds_ping_asked(struct paths *paths,
	struct path_peer *p,
	uint64_t token,
	size_t size,
	struct mono now);
/* Its pings that were asked for and have no answer are told as not answered; all are forgotten. */
void rounds_cancel_pings(struct paths *paths, struct path_peer *p);
/* A ping with this token is answered, or not: nobody waits for it any more. */
void rounds_tell_pong(struct paths *paths,
	struct path_peer *p,
	uint64_t token,
	const struct paths_pong *pong);
/* Whatever is due. */
void rounds_step(struct paths *paths, struct path_peer *p, struct mono now);

#endif
