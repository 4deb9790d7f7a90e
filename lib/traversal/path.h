/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which of two paths to a peer is better, and when one is left for another: comparisons only.
 * Whoever drives disco keeps the paths, the timers and the map of candidates.
 *
 * Source: ../shared/protocol/peer.md 2.4, 2.6, 2.7 and 2.8 (the reference's betterAddr); the
 *         numbers are the reference's, so that both ends come to the same choice.
 * Thread: any; no hidden state.  The time is given by the caller.
 */
#ifndef LIB_TRAVERSAL_PATH_H
#define LIB_TRAVERSAL_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"

#define PATH_TRUST_NS              (6500 * NS_PER_MS)
#define PATH_GOOD_ENOUGH_NS        (5 * NS_PER_MS)
#define PATH_UPGRADE_INTERVAL_NS   (60 * NS_PER_S)
#define PATH_SESSION_ACTIVE_NS     (45 * NS_PER_S)
#define PATH_HEARTBEAT_INTERVAL_NS (3 * NS_PER_S)
#define PATH_PING_INTERVAL_NS      (5 * NS_PER_S)
#define PATH_PING_TIMEOUT_NS       (5 * NS_PER_S)
#define PATH_RELAY_INTERVAL_NS     (30 * NS_PER_S)
#define PATH_ENDPOINTS_FRESH_NS    (27 * NS_PER_S)
#define PATH_MAX_CANDIDATES        100
#define PATH_SAFE_WIRE_MTU         1360 /* of a path of which nothing is known */

struct path {                           /* a way by UDP; zeros: none */
	struct endpoint endpoint;       /* family ADDR_NONE: none */
	bool relayed;                   /* through the peer relay at `endpoint` */
	uint32_t vni;                   /* if relayed */
	struct public_key server_disco; /* if relayed: the relay's */
	int64_t latency_ns;
	uint32_t wire_mtu; /* bytes of IP packet that are known to pass */
};

bool path_exists(const struct path *path);
/* Same endpoint and, if relayed, same VNI. */
bool path_is_same_way(const struct path *a, const struct path *b);
/* There is one, and no relay on it. */
bool path_is_direct(const struct path *path);

/*
 * Whether a is so much better than b that one should change: a latency that is 1 % better is not.
 * Neither a better b nor a worse one follows from "no".
 */
bool path_is_better(const struct path *a, const struct path *b);

/* A pong makes the best path trusted until PATH_TRUST_NS later, that moment included. */
bool path_is_trusted(struct mono trusted_until, struct mono now);

/*
 * Whether a pong's path takes the place of the best one.  `candidate` is where the ping was sent,
 * not where the pong came from.  For a path through a peer relay: it also replaces another one
 * through the same relay.
 */
bool path_replaces(const struct path *candidate,
	const struct path *best,
	struct mono trusted_until,
	struct mono now);

/* Whether to send over the peer's home relay (DERP) also, or only. */
bool path_needs_relay(const struct path *best, struct mono trusted_until, struct mono now);

/* Whether the heartbeat should ping all candidates, and not only the best.  last_ping_all may be
 * "never". */
bool path_wants_ping_all(const struct path *best,
	struct mono trusted_until,
	struct mono last_ping_all,
	struct mono now);

/*
 * Whether to look for peer relays: there are some (relays_known), the peer can use them (capver
 * 121 on), and it is time.  last_discovery may be "never".
 */
bool path_wants_relay_discovery(const struct path *best,
	struct mono trusted_until,
	bool relays_known,
	bool peer_can,
	struct mono last_discovery,
	struct mono now);

/*
 * Bytes of the IP packet that a UDP payload makes on this path, and the other way round: the
 * payload that fills a packet of wire_mtu bytes (0: not even the headers fit).
 */
uint32_t path_wire_len(const struct path *path, uint32_t payload_len);
uint32_t path_payload_len(const struct path *path, uint32_t wire_mtu);

#endif
