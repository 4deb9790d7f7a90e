/* SPDX-License-Identifier: BSD-3-Clause
 *
 * By which way packets go to each member of the tailnet: directly over UDP, through a relay, or
 * both while the direct way is in doubt.  Speaks disco with the peers, and says the result.
 *
 * Source: ../shared/protocol/peer.md 2.3 to 2.7 and 3.4; formats are in lib/traversal/disco.h, the
 *         comparisons of paths in lib/traversal/path.h.
 * Owner:  whoever created it.  Thread: one (wire).
 *
 * Pure: no socket, and the clock is given.  What it wants to do it does by `struct paths_calls`.
 * From within chosen(), session_reset() and pong() only paths_send(), paths_sent() and the
 * questions at the end may be used, from within the other calls nothing.
 *
 * Peers have the numbers that the data plane knows them by.  A number that is not set is ignored
 * everywhere, so that reports which crossed a removal do no harm.  A peer without traffic costs
 * memory only: nothing is due, and its disco keys are not computed.
 *
 * Messages of peer relays (Geneve; disco types 4 to 9) are ignored, as of a client of capver 116.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PATHS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"

#define PATHS_MAX_OWN_ENDPOINTS 60         /* that a call-me-maybe tells */
#define PATHS_MAX_PING_LEN      8972       /* UDP payload of a ping that was asked for */
#define PATHS_MAX_PEERS         (1u << 20) /* above all their numbers */

struct paths; /* opaque */

/* Where packets of a peer go.  No endpoint and no relay: nowhere. */
struct paths_choice {
	struct endpoint direct; /* ADDR_NONE: not directly */
	struct addr local;      /* send from here to `direct`; ADDR_NONE: as routes say */
	bool relay;             /* through the relay: also, or only */
	uint16_t region;        /* of the relay; 0 if not `relay` */
};

/* The answer to paths_ping(): exactly one for each. */
struct paths_pong {
	bool is_answered;       /* false: none came in 5 s, or the peer is gone */
	struct endpoint direct; /* the way: where the ping was sent; ADDR_NONE: through the relay */
	uint16_t region;        /* of that relay; 0: directly */
	struct endpoint source; /* as the peer saw us; of a relay 127.3.3.40 and its region */
	int64_t latency_ns;
};

struct paths_calls {
	/*
	 * Send a datagram.  local ADDR_NONE: from any of our addresses.  false: it could not leave,
	 * and there will be no answer.
	 */
	bool (*send_udp)(void *context,
		const struct endpoint *to,
		const struct addr *local,
		const uint8_t *data,
		size_t len);
	/* Send through the relay to the node with this key. */
	bool (*send_relay)(void *context,
		uint16_t region,
		const struct public_key *to,
		const uint8_t *data,
		size_t len);
	/*
	 * Another choice than the last one told (at first: nowhere).  Not said of removed peers. Of
	 * a new peer it is said by paths_adopt() or the next paths_tick(), so that a path that is
	 * in use is not given up for a moment when we start.
	 */
	void (*chosen)(void *context, uint32_t peer, const struct paths_choice *choice);
	/*
	 * Where we can be reached, best first; returns how many.  !*ret_is_fresh: they are older
	 * than PATH_ENDPOINTS_FRESH_NS; a refresh has begun, and paths_endpoints_fresh() follows.
	 */
	size_t (*own_endpoints)(void *context,
		struct endpoint *ret_endpoints,
		size_t max,
		bool *ret_is_fresh);
	/*
	 * The peer started anew (another disco key): its WireGuard sessions are to be forgotten. If
	 * it was heard in the last 15 s, begin a handshake at once: it may have made a session
	 * before the map told us its new key, and would send by that for 15 s before it begins
	 * another.
	 */
	void (*session_reset)(void *context, uint32_t peer);
	void (*pong)(void *context, uint64_t token, const struct paths_pong *pong);
	void (*random)(void *context, void *out, size_t len);
	void *context;
};

/* A member of the tailnet, as the netmap has it. */
struct paths_peer {
	struct public_key node_key;
	struct public_key disco_key; /* zeros: none; it is spoken to through relays only */
	uint16_t home_region;        /* 0: none */
	uint32_t capver;
	const struct endpoint *endpoints; /* borrowed for the call */
	size_t n_endpoints;
	bool is_wireguard_only; /* no disco and no relay: one of its endpoints is used */
	bool is_expired;        /* its key is: nothing is sent to it nor taken from it */
};

/* How a datagram came. */
struct paths_source {
	struct endpoint endpoint;    /* over UDP: from where; ADDR_NONE: through a relay */
	struct addr local;           /* over UDP: to which of our addresses; ADDR_NONE: not known */
	uint16_t region;             /* through a relay: which, */
	struct public_key relay_key; /* and which node sent it, as the relay says */
};

/* calls are copied.  0 or -ENOMEM. */
[[nodiscard]] int paths_create(const struct paths_calls *calls, struct paths **ret_paths);
/* Wipes all keys.  No call is made: pings that were asked for stay unanswered.  NULL is allowed. */
void paths_destroy(struct paths *paths);

/*
 * Who we are.  Without disco_key (NULL) nothing is sent or taken: so it is at first, and after a
 * logout.  With another disco key than before the peers must learn it first; paths in use stay.
 * 0 or -ENOMEM.
 */
[[nodiscard]] int paths_set_self(struct paths *paths,
	const struct public_key *node_key,
	const struct secret_key *disco_key,
	struct mono now);

/*
 * Add a peer, or change it.  Another node key is another peer.  The cost grows with the peer's
 * endpoints, not with the number of peers.  0; ERR_FULL (no such number can be); or -ENOMEM: some
 * of it could not be noted, and should be said again.
 */
[[nodiscard]] int paths_set_peer(struct paths *paths,
	uint32_t peer,
	const struct paths_peer *wanted,
	struct mono now);
/* Pings that were asked for are told as not answered. */
void paths_remove_peer(struct paths *paths, uint32_t peer);

/*
 * A disco datagram without Geneve; it is decrypted in place.  Anything may come: strangers cost a
 * look-up, and nobody hears from us who does not hold a key of the netmap.
 */
void paths_receive(struct paths *paths,
	const struct paths_source *source,
	uint8_t *data,
	size_t len,
	struct mono now);

/*
 * The data plane's latest WireGuard message to this peer left at last_tx.  Say it about once a
 * second while there are any: a path is looked for and kept as long as messages leave.
 */
void paths_sent(struct paths *paths, uint32_t peer, struct mono last_tx, struct mono now);
/* Send a handshake message by the way, or both ways, of the choice.  false: there is none. */
bool
paths_send(struct paths *paths, uint32_t peer, const uint8_t *data, size_t len, struct mono now);

/* A predecessor used this path: it is trusted for a moment, and pinged at once.  Right after
 * paths_set_peer(). */
void paths_adopt(struct paths *paths,
	uint32_t peer,
	const struct endpoint *endpoint,
	const struct addr *local,
	struct mono now);
/* A predecessor used it as well as a relay, in doubt: that goes on, and no ping leaves for a peer
 * without traffic. */
void paths_remember(struct paths *paths,
	uint32_t peer,
	const struct endpoint *endpoint,
	const struct addr *local,
	struct mono now);
/* The peer sent something authentic through this relay: a last resort when no home is known. */
void paths_relay_heard(struct paths *paths, uint32_t peer, uint16_t region, struct mono now);
/*
 * Ping it because somebody asked: over the path in use, or over all ways if none is trusted.
 * size: bytes of the UDP payload, up to PATHS_MAX_PING_LEN; less than a ping has: the shortest.
 * The first answer is told with this token, from within or later.
 */
void paths_ping(struct paths *paths, uint32_t peer, uint64_t token, size_t size, struct mono now);
/* Addresses or routes of this machine have changed: no direct path is trusted any more. */
void paths_network_changed(struct paths *paths, struct mono now);
/* What own_endpoints() tells is fresh now, or could not be refreshed. */
void paths_endpoints_fresh(struct paths *paths, struct mono now);

/*
 * Do what is due, of a limited number of peers.  Returns when to come again; now or earlier: there
 * is more to do, look at the sockets first; never: nothing is due.
 */
struct mono paths_tick(struct paths *paths, struct mono now);
/* What paths_tick() would return: ask before sleeping, anything above may have changed it. */
struct mono paths_next(const struct paths *paths);

/* --- for status --- */

struct paths_candidate {
	struct endpoint endpoint;
	bool is_from_map, is_from_peer,
		is_heard; /* netmap; call-me-maybe; a ping came from there */
	bool is_best;
	int64_t latency_ns;               /* of the last pong; 0: none came yet */
	struct mono last_ping, last_pong; /* never: none */
};

struct paths_state {
	struct paths_choice choice; /* as last told */
	bool is_trusted;            /* the direct path is, */
	struct mono trusted_until;  /* if no other pong comes, until then */
	bool is_active;             /* messages left for it in the last 45 s */
	int64_t latency_ns;         /* of the direct path; 0: none, or not known */
	uint16_t home_region;
	uint16_t heard_region;     /* by which it last reached us; 0: never */
	struct mono last_ping_all; /* never: none */
	size_t n_candidates;
};

/* false: no such peer. */
bool paths_state(const struct paths *paths,
	uint32_t peer,
	struct mono now,
	struct paths_state *ret_state);
/* Up to max of its candidates; returns how many were written. */
size_t paths_candidates(const struct paths *paths,
	uint32_t peer,
	struct paths_candidate *ret_candidates,
	size_t max);

struct paths_counters {
	uint64_t pings_in, pings_out, pongs_in, pongs_out;
	uint64_t call_me_maybes_in, call_me_maybes_out;
	uint64_t unknown_key, not_authentic, ignored, duplicate; /* datagrams */
	uint64_t throttled; /* pings not sent: too many for one peer */
};
void paths_counters(const struct paths *paths, struct paths_counters *ret_counters);

#endif
