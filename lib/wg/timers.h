/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When to begin a handshake, repeat an initiation, give up, send a keepalive, forget keys: one
 * state machine per peer.
 *
 * Source: whitepaper section 6; ../shared/design/architecture.md section 5.
 * Owner:  the caller; plain data without secrets.  Thread: one.
 *
 * Workers run no timers.  They stamp when a peer last sent and received, and the control plane
 * calls wg_timers_step() about once a second for each peer, at the deadline that the last step
 * returned, and right after any of the events below.  So what follows from a stamp is decided at
 * most one scan late: a keepalive leaves 10 to 11 s after the data that it answers.
 *
 * Not decided here: the packet with which an initiator confirms a new session.  The caller sends
 * what waits, or a keepalive, when a session that it began is installed.
 */
#ifndef LIB_WG_TIMERS_H
#define LIB_WG_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/wg/limits.h"

/* Stamps of a peer's transport messages, over all of its sessions.  Never: not yet. */
struct wg_activity {
	struct mono last_rx;      /* anything authentic, keepalives too */
	struct mono last_rx_data; /* with a packet inside */
	struct mono last_tx;
	struct mono last_tx_data;
};

/* The current session (a responder's unconfirmed one does not count). */
struct wg_session_view {
	bool exists;
	bool initiator;    /* we began it */
	struct mono birth; /* when its keys were derived */
};

struct wg_timers {                   /* zeros: nothing has happened yet */
	int64_t persistent_ns;       /* interval of persistent keepalives; 0: off */
	bool handshaking;            /* initiations are being sent */
	bool lacking;                /* for no other reason than that there was no session */
	uint32_t attempts;           /* initiations of this handshake so far */
	struct mono began;           /* this handshake */
	struct mono asked;           /* for it, the last time */
	struct mono initiation_sent; /* the last one, of any handshake */
	struct mono initiation_due;
	struct mono settled;      /* a handshake ended, well or not: older stamps start no other */
	struct mono sent, heard;  /* handshake messages and keepalives that we know of ourselves */
	struct mono unanswered;   /* data went out, nothing came since; never: all is well */
	struct mono owing;        /* data came in, nothing left since; never: nothing owed */
	struct mono zeroed_birth; /* birth of the session whose keys we asked to be zeroed */
	struct mono scanned;      /* last step */
};

/* What the caller is to do; a set of bits. */
enum wg_action {
	WG_SEND_INITIATION = 1, /* with fresh keys and timestamp; replaces a pending one */
	WG_SEND_KEEPALIVE = 2,  /* on the current session */
	WG_GIVE_UP = 4,         /* drop the packets that wait, wipe the pending handshake */
	WG_ZERO_KEYS = 8,       /* drop all sessions and the pending handshake */
};

/* persistent_s: seconds between persistent keepalives, 0 for none. */
void wg_timers_init(struct wg_timers *t, uint16_t persistent_s);
/* A change of configuration; the rest of the state stays. */
void wg_timers_set_persistent(struct wg_timers *t, uint16_t persistent_s);

/*
 * Decide.  Each action is returned once and taken as done at `now`; an initiation that could not
 * be sent is repeated like one that was lost.
 *
 * activity:     stamps later than `now` count as `now`; the other process may write anything.
 * jitter_ns:    random, 0 to WG_MAX_JITTER_NS; delays the repetition of an initiation.
 * ret_deadline: next time at which something is due without any further stamp or event; never if
 *               nothing is.  Later than `now`.
 *
 * Returns a set of enum wg_action.
 */
unsigned wg_timers_step(struct wg_timers *t,
	const struct wg_activity *activity,
	const struct wg_session_view *session,
	struct mono now,
	int64_t jitter_ns,
	struct mono *ret_deadline);

/*
 * A packet waits and there is no session for it.  Begins a handshake, or gives the one that runs
 * another 90 s.  The initiation leaves with the next step, 5 s after the one before at the
 * earliest. Forgotten if that step sees a session not yet 5 s old: packet and session have just
 * missed each other.
 */
void wg_timers_on_want_session(struct wg_timers *t, struct mono now);

/*
 * New keys are wanted although there is a session: it has sent REKEY_AFTER_MESSAGES, or a key was
 * changed, or an authentic initiation was too old to be answered.  As above, but never forgotten.
 */
void wg_timers_on_rekey_wanted(struct wg_timers *t, struct mono now);

/*
 * A session is ready to be sent with: we took a response, or the first authentic message of a
 * session came that we answered for.  Ends the handshake.  (A step that sees a current session
 * born after the handshake began concludes the same.)
 */
void wg_timers_on_handshake_complete(struct wg_timers *t, struct mono now);

/* An authentic initiation or response came from the peer; a response left for it. */
void wg_timers_on_handshake_received(struct wg_timers *t, struct mono now);
void wg_timers_on_response_sent(struct wg_timers *t, struct mono now);

/* Whether a session of this age may still be used, either way. */
static inline bool
wg_session_is_usable(const struct wg_session_view *session, struct mono now)
{
	return session->exists && mono_diff_ns(now, session->birth) < WG_REJECT_AFTER_TIME_NS;
}

#endif
