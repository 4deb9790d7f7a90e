/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tunnel's end of a trial: one or many WireGuard peers of the device under test behind one
 * line.  It shakes hands, seals what is sent and opens what comes.
 *
 * Owner:  whoever opened it; holds secrets, wiped by tunnel_end_close().
 * Thread: one for everything, and beside it a second that only calls tunnel_end_seal() and
 *         tunnel_end_send().
 */
#ifndef BENCH_TUNNEL_TUNNEL_END_H
#define BENCH_TUNNEL_TUNNEL_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/tunnel/line.h"
#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"
#include "lib/wg/message.h"

#define TUNNEL_BURST LINE_BURST
/* The bytes that a sealed packet may take beyond the inner packet: header, padding, tag. */
#define TUNNEL_ROOM (WG_TRANSPORT_HEADER_LEN + 15 + WG_TAG_LEN)

struct tunnel_config {
	struct endpoint device;
	const char *netns; /* NULL: where we are */
	uint16_t listen;   /* port; 0: any */
	bool has_no_offload;
	const char *interface; /* frames over AF_XDP there; NULL: a socket */
	struct secret_key
		key; /* of the first peer; the others' are made of it (tunnel_peer_key()) */
	struct public_key device_key;
	bool has_preshared_key;
	struct secret_key preshared_key; /* of all peers */
	struct addr inner;               /* of the first peer; the others' are counted up */
	uint32_t n_peers;                /* 1 to TUNNEL_PEERS_MAX */
	uint32_t mtu;                    /* of the tunnel: packets are not padded beyond it */
	bool waits;                      /* the device begins the handshakes, not we */
	struct line *line; /* taken instead of a socket of our own, for tests; ownership too */
};

struct tunnel_counters { /* since it was opened */
	uint64_t opened, sealed;
	uint64_t auth_failed; /* of a session of ours, but not authentic */
	uint64_t repeated; /* authentic, but its counter had come already, or was too old to tell */
	uint64_t unknown_index; /* of no session of ours */
	uint64_t malformed;     /* no WireGuard message */
	uint64_t keepalives_received, keepalives_sent;
	uint64_t initiations_sent, initiations_received, cookie_replies;
	uint64_t handshakes;    /* completed, begun by either */
	uint64_t not_authentic; /* handshake messages that were refused */
};

struct tunnel_end;

/* NULL: it has said why (bench_error()).  Shakes no hands yet. */
struct tunnel_end *tunnel_end_open(const struct tunnel_config *config);
void tunnel_end_close(struct tunnel_end *e);

/*
 * See that every peer has a session no older than max_age_ns, with handshakes begun by us (or, if
 * the configuration says so, awaited), many at a time.
 *
 * is_stopped, context: asked often; may be NULL.  wait_s: without any progress for so long it
 * gives up.
 *
 * 0; -EINTR: stopped; -ETIMEDOUT or another error: it has said what may be wrong.
 */
[[nodiscard]] int tunnel_end_establish(struct tunnel_end *e,
	int64_t max_age_ns,
	double wait_s,
	bool (*is_stopped)(void *context),
	void *context);

/* Called for each inner packet that came, in order; its bytes are valid until it returns. */
typedef void (*tunnel_take)(void *context, uint32_t peer, const uint8_t *packet, size_t len);

/*
 * Whatever has come: opens data, answers handshakes.  take may be NULL.  Returns how many datagrams
 * were looked at.
 */
size_t tunnel_end_receive(struct tunnel_end *e, struct mono now, tunnel_take take, void *context);

/* To be called some times a second: keepalives, and renewal of sessions where their time has come.
 */
void tunnel_end_tick(struct tunnel_end *e, struct mono now);

/*
 * Packets sealed ahead have their counters already, so nothing else may be sent on the sessions
 * before the last of them: while it holds, tick sends neither keepalives nor initiations.
 */
void tunnel_end_hold(struct tunnel_end *e, bool is_held);

struct tunnel_packet {
	/* The inner packet begins at message + WG_TRANSPORT_HEADER_LEN; inner_len + TUNNEL_ROOM
	 * bytes from message on may be written. */
	uint8_t *message;
	uint32_t inner_len;
	uint32_t peer;
	uint32_t message_len; /* set by sealing */
	bool has_counter;     /* one that was reserved, else the next */
	uint64_t counter;
};

/* Keep n counters of a peer's session for packets that leave before others are sealed.  Returns the
 * first. */
uint64_t tunnel_end_reserve(struct tunnel_end *e, uint32_t peer, uint64_t n);

/* Seal n <= TUNNEL_BURST packets, counters in their order.  A peer without session seals with no
 * key: established ends have one each. */
void tunnel_end_seal(struct tunnel_end *e, struct tunnel_packet *packets, size_t n);

struct line *tunnel_end_line(const struct tunnel_end *e);
void tunnel_end_counters(const struct tunnel_end *e, struct tunnel_counters *ret);
uint32_t tunnel_end_peers(const struct tunnel_end *e);
/* The oldest session's age. */
int64_t tunnel_end_age_ns(struct tunnel_end *e, struct mono now);

/* The n-th address after this one, of the same family. */
struct addr tunnel_address(const struct addr *first, uint32_t n);

#endif
