/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of this folder do for each other.  Each calls only what stands below it:
 *
 *     events.c, receive.c, wanted.c     a report, a datagram, another configuration
 *     respond.c
 *     step.c
 *     initiate.c
 *     engine.c                          the state; what it says to the data plane
 */
#ifndef CONTROLPLANE_GATEWAY_HANDSHAKE_EXCHANGE_H
#define CONTROLPLANE_GATEWAY_HANDSHAKE_EXCHANGE_H

#include "controlplane/gateway/handshake/engine.h"

/* The first hexadecimal digits are for strangers; peers have names. */
#define PEER_ARGS(p) (p)->name

/* --- engine.c --- */
/* The peer's keys, computed at their first use; NULL: nobody can be spoken to with that key. */
const struct wg_remote *engine_remote(struct engine *e, struct peer *p);
/* Forget the initiation that waits, or the response; their slots become free, or will be. */
void engine_drop_pending(struct engine *e, struct peer *p);
void engine_drop_answer(struct peer *p);
/* Wipe it and what waits for it; its number is free. */
void engine_remove_peer(struct engine *e, struct peer *p);
/* Send packets of this peer there from now on, and write it down.  Nothing happens if it is so. */
void engine_set_path(struct engine *e,
	struct peer *p,
	const struct endpoint *remote,
	const struct addr *local);
void engine_push_session(struct engine *e,
	const struct peer *p,
	const struct wg_session_keys *keys,
	struct mono birth);
void engine_push_one(struct engine *e, enum shm_command_kind kind, uint32_t peer);
void engine_forget_sessions(struct engine *e, const struct peer *p);
/* Whether handshakes with it make sense now. */
bool engine_can_shake(const struct engine *e, const struct peer *p);

/* --- step.c --- */
/* Ask the peer's timers now, and do what they say. */
void engine_step(struct engine *e, struct peer *p, struct mono now);
/* Somebody wants a session with this peer. */
void engine_want_session(struct engine *e, struct peer *p, struct mono now);

/* --- initiate.c --- */
void engine_initiate(struct engine *e, struct peer *p, struct mono now);
void engine_on_response(struct engine *e, const struct datagram *d, struct mono now);
void engine_on_cookie_reply(struct engine *e, const struct datagram *d, struct mono now);

/* --- respond.c --- */
void engine_on_initiation(struct engine *e, const struct datagram *d, struct mono now);
/* The session of the waiting response is installed: it may leave. */
void engine_send_answer(struct engine *e, struct peer *p, struct mono now);

#endif
