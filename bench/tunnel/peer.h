/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One WireGuard peer as the load generator plays it: handshakes in both roles, its sessions, and
 * when it owes the device a sign of life.  Pure: messages and the time come in, messages go out.
 *
 * It keeps to the whitepaper where the device could notice, and differs where a generator must: it
 * retries after one second, and renews a session whenever the caller wants a young one.
 *
 * Source: whitepaper sections 5.4 and 6; lib/wg.
 * Owner:  embedded in an array of the tunnel end; holds secrets, wiped by tunnel_peer_fini().
 * Thread: one for everything, with one exception: another may take counters of the current session
 *         (tunnel_peer_current(), tunnel_session_take()) and seal with it.  A session stays in
 *         place for three further handshakes, seconds at least, so a burst may finish with it.
 */
#ifndef BENCH_TUNNEL_PEER_H
#define BENCH_TUNNEL_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/wg/handshake.h"
#include "lib/wg/identity.h"
#include "lib/wg/mac.h"
#include "lib/wg/message.h"
#include "lib/wg/replay.h"
#include "lib/wg/tai64n.h"

#define TUNNEL_SESSIONS   4 /* previous, current, next, and room for the one being made */
#define TUNNEL_PEERS_MAX  (1 << 18)
#define TUNNEL_RETRY_NS   NS_PER_S
#define TUNNEL_INDEX_BITS 20 /* of an index: the session's place; above it a generation */

static_assert(TUNNEL_PEERS_MAX * TUNNEL_SESSIONS <= 1 << TUNNEL_INDEX_BITS, "index has room");

struct tunnel_session {
	bool is_used;
	bool is_initiator; /* we began it */
	uint8_t send_key[KEY_LEN], receive_key[KEY_LEN];
	uint32_t local_index, remote_index;
	struct mono birth;
	_Atomic uint64_t counter; /* the next to send */
	struct wg_replay *replay; /* the tunnel end's memory */
};

struct tunnel_peer {
	uint32_t number;
	uint32_t generation;
	struct wg_identity identity;
	struct wg_remote remote;
	struct wg_handshake handshake;
	struct wg_held_cookie cookie;
	struct wg_tai64n timestamp; /* of our last initiation */
	struct wg_latest latest;    /* initiation of the device's that we answered */
	struct tunnel_session session[TUNNEL_SESSIONS];
	struct tunnel_session *_Atomic current; /* NULL: none; release: after its keys are there */
	struct tunnel_session *previous, *next;
	int pending; /* session[] that our initiation is for; -1: none */
	uint32_t attempts;
	struct mono initiation_sent;
	struct mono owing;        /* data came and nothing left since; never: nothing owed */
	uint64_t counter_at_scan; /* of the current session, to see that something left */
};

/*
 * replay: TUNNEL_SESSIONS windows, kept.  random: makes indices differ from those of an earlier
 * run. preshared_key may be NULL.  0, or ERR_BAD_KEY for the device's key.
 */
[[nodiscard]] int tunnel_peer_init(struct tunnel_peer *p,
	uint32_t number,
	const struct secret_key *key,
	const struct public_key *device_key,
	const struct secret_key *preshared_key,
	struct wg_replay *replay,
	uint32_t random);
void tunnel_peer_fini(struct tunnel_peer *p);

/* The peer and session that an index of ours belongs to; not yet whether it does. */
static inline uint32_t
tunnel_index_peer(uint32_t index)
{
	return (index & ((1 << TUNNEL_INDEX_BITS) - 1)) / TUNNEL_SESSIONS;
}

/* Begin, or begin again.  unix_ns: wall clock. */
void tunnel_peer_initiate(struct tunnel_peer *p,
	struct mono now,
	uint64_t unix_ns,
	uint8_t message[static WG_INITIATION_LEN]);

/*
 * An initiation of the device's, opened for this peer.  0: `response` is to be sent; the session is
 * used once the device has used it.  ERR_REPLAY, -EAGAIN, ERR_BAD_MAC, ERR_UNKNOWN_PEER,
 * ERR_BAD_KEY.
 */
[[nodiscard]] int tunnel_peer_on_initiation(struct tunnel_peer *p,
	const struct wg_claim *claim,
	const uint8_t message[static WG_INITIATION_LEN],
	struct mono now,
	uint8_t response[static WG_RESPONSE_LEN]);

/*
 * 0: the new session is the current one; a keepalive has to tell the device so.  ERR_BAD_MAC: not
 * authentic, or other preshared keys; other errors of wg_response_consume().
 */
[[nodiscard]] int tunnel_peer_on_response(struct tunnel_peer *p,
	const uint8_t message[static WG_RESPONSE_LEN],
	struct mono now);
[[nodiscard]] int tunnel_peer_on_cookie_reply(struct tunnel_peer *p,
	const uint8_t message[static WG_COOKIE_REPLY_LEN],
	struct mono now);

/* The session with this index of ours that may receive at `now`, or NULL. */
struct tunnel_session *tunnel_peer_find(struct tunnel_peer *p, uint32_t index, struct mono now);

/* A message of this session was authentic. */
void tunnel_peer_received(struct tunnel_peer *p,
	struct tunnel_session *s,
	bool is_data,
	struct mono now);

/* The session to send with, or NULL. */
static inline struct tunnel_session *
tunnel_peer_current(struct tunnel_peer *p)
{
	return atomic_load_explicit(&p->current, memory_order_acquire);
}

static inline uint64_t
tunnel_session_take(struct tunnel_session *s, uint64_t n)
{
	return atomic_fetch_add_explicit(&s->counter, n, memory_order_relaxed);
}

/* A session that can send, no older than this. */
bool tunnel_peer_is_young(struct tunnel_peer *p, struct mono now, int64_t max_age_ns);

enum tunnel_need {
	TUNNEL_NEED_KEEPALIVE = 1,  /* data came 10 s ago, and nothing left since */
	TUNNEL_NEED_INITIATION = 2, /* the session's time to be renewed has come */
};
/* Called now and then, about twice a second.  A set of enum tunnel_need. */
unsigned tunnel_peer_scan(struct tunnel_peer *p, struct mono now);

/* Write an empty message of the current session.  False: there is none. */
bool tunnel_peer_keepalive(struct tunnel_peer *p, uint8_t message[static WG_TRANSPORT_MIN_LEN]);

/* Key of peer n, made of the first one's: n 0 is that key itself. */
void tunnel_peer_key(const struct secret_key *first, uint32_t n, struct secret_key *ret_key);

#endif
