/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "handshake"

#include <assert.h>
#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "lib/base/log.h"

#define SCAN_SLICE 1024 /* peers looked at in one round: others wait a millisecond */
/* An initiation is 0.1 ms of X25519: after so many others get their turn first. */
#define INITIATIONS_PER_ROUND 64
/* Slots that the directory does not show twice in a row, about a minute apart, are free. */
#define SWEEP_EVERY_SCANS 64
/* A pending initiation that nobody repeats is forgotten: its response cannot come any more. */
#define PENDING_LIFE_NS (3 * WG_REKEY_TIMEOUT_NS)

// 0 to WG_MAX_JITTER_NS.  xorshift64: it only has to differ between two gateways.
static int64_t
jitter(struct engine *e)
{
	e->random_state ^= e->random_state << 13;
	e->random_state ^= e->random_state >> 7;
	e->random_state ^= e->random_state << 17;
	return (int64_t)(e->random_state % (uint64_t)WG_MAX_JITTER_NS);
}

static struct wg_activity
activity_of(const struct engine *e, const struct peer *p)
{
	struct shm_peer_counters c;

	dataplane_counters(e->dp, p->number, &c);
	return (struct wg_activity){
		.last_rx = { c.last_rx_ns },
		.last_rx_data = { c.last_rx_data_ns },
		.last_tx = { c.last_tx_ns },
		.last_tx_data = { c.last_tx_data_ns },
	};
}

// Sessions that workers refuse by their age need not stay: previous, and a next that nobody
// confirmed.
static void
forget_if_old(struct engine *e, const struct dataplane_session *s, struct mono now)
{
	struct shm_command c = { .kind = SHM_CMD_SESSION_GONE,
		.session_gone = { .peer = s->peer, .receiver_index = s->receiver_index } };

	if (s->receiver_index != 0 && mono_diff_ns(now, s->birth) >= WG_REJECT_AFTER_TIME_NS)
		(void)dataplane_push_if_room(e->dp, &c); // asked again at the next scan
}

static void
do_actions(struct engine *e, struct peer *p, unsigned actions, struct mono now)
{
	if ((actions & WG_GIVE_UP) != 0) {
		log_info("handshake given up, nobody answers peer=%s", PEER_ARGS(p));
		engine_drop_pending(e, p);
		engine_push_one(e, SHM_CMD_UNREACHABLE, p->number);
		p->gave_up = true;
	}
	if ((actions & WG_ZERO_KEYS) != 0) {
		engine_drop_pending(e, p);
		engine_forget_sessions(e, p);
	}
	if ((actions & WG_SEND_INITIATION) != 0)
		engine_initiate(e, p, now);
	if ((actions & WG_SEND_KEEPALIVE) != 0)
		engine_push_one(e, SHM_CMD_KEEPALIVE, p->number);
}

// Disco keeps the way to a member open for as long as packets leave for it.
static void
tell_active(struct engine *e, struct peer *p, struct mono last_tx)
{
	if (!p->is_member || mono_is_never(last_tx) || p->active_told.ns == last_tx.ns)
		return;
	p->active_told = last_tx;
	e->calls.member_active(e->calls.context, p->number, last_tx);
}

void
engine_step(struct engine *e, struct peer *p, struct mono now)
{
	struct wg_activity activity = activity_of(e, p);
	struct dataplane_keypairs k;
	struct wg_session_view view;
	struct mono deadline;
	unsigned actions;

	dataplane_keypairs(e->dp, p->number, &k);
	view = (struct wg_session_view){ .exists = k.current.receiver_index != 0,
		.initiator = k.current.initiator,
		.birth = k.current.birth };
	if (view.exists)
		p->session_birth = view.birth;
	tell_active(e, p, activity.last_tx);
	forget_if_old(e, &k.previous, now);
	forget_if_old(e, &k.next, now);
	if (p->pending != NULL && !p->timers.handshaking &&
		mono_diff_ns(now, p->pending->sent) >= PENDING_LIFE_NS)
		engine_drop_pending(e, p);

	actions = wg_timers_step(&p->timers, &activity, &view, now, jitter(e), &deadline);
	if (deadlines_set(&e->deadlines, p->number, deadline) < 0)
		log_debug(
			"no memory for a deadline, the next scan sees to it peer=%s", PEER_ARGS(p));
	do_actions(e, p, actions, now);
}

void
engine_want_session(struct engine *e, struct peer *p, struct mono now)
{
	if (!peer_is_reachable(p) && p->endpoint_is_name) {
		p->wants_session = true; // until the name is resolved, or cannot be
		e->calls.resolve(e->calls.context, &p->remote.static_public);
		return;
	}
	if (!peer_is_reachable(p)) {
		engine_push_one(e, SHM_CMD_UNREACHABLE, p->number);
		return;
	}
	wg_timers_on_want_session(&p->timers, now);
	engine_step(e, p, now);
}

/*
 * Slots whose SESSION_FREED was lost: the directory does not know them any more.  Two looks,
 * because a session on its way is not there yet.
 */
static void
sweep_slots(struct engine *e)
{
	for (uint32_t i = 1; i < e->slots.end; i++) {
		struct slot *s = &e->slots.items[i];
		uint32_t index = (uint32_t)s->generation << SHM_SLOT_BITS | i;
		struct dataplane_session session;

		if (s->use != SLOT_OFFERED && s->use != SLOT_INSTALLED)
			continue;
		if (dataplane_session(e->dp, i, &session) && session.receiver_index == index)
			s->missing = 0;
		else if (++s->missing == 2)
			slots_set(&e->slots, index, SLOT_FREE);
	}
}

// Whether this round has sent its share of initiations.
static bool
is_enough(const struct engine *e, uint64_t sent_before)
{
	return e->counters.initiations_out - sent_before >= INITIATIONS_PER_ROUND;
}

// A part of the scan of all peers.  True: there is more of it.
static bool
scan_slice(struct engine *e, uint64_t sent_before, struct mono now)
{
	for (uint32_t n = 0; n < SCAN_SLICE && e->scan_at < e->peers.end; n++) {
		struct peer *p = peers_get(&e->peers, e->scan_at++);

		if (p != NULL && engine_can_shake(e, p))
			engine_step(e, p, now);
		if (is_enough(e, sent_before))
			break;
	}
	return e->scan_at < e->peers.end;
}

static void
step_due(struct engine *e, uint64_t sent_before, struct mono now)
{
	uint32_t number;

	while (!is_enough(e, sent_before) && deadlines_take(&e->deadlines, now, &number)) {
		struct peer *p = peers_get(&e->peers, number);

		if (p != NULL && engine_can_shake(e, p))
			engine_step(e, p, now);
	}
}

struct mono
engine_tick(struct engine *e, struct mono now)
{
	uint64_t sent_before = e->counters.initiations_out;
	struct mono next;

	if (!e->dp->attached)
		return mono_add_ns(now, NS_PER_S);
	step_due(e, sent_before, now);
	if (e->scan_at == UINT32_MAX && mono_diff_ns(now, e->scan_due) >= 0) {
		e->scan_at = 0;
		e->scan_due = mono_add_ns(now, NS_PER_S);
		if (++e->n_scans % SWEEP_EVERY_SCANS == 0)
			sweep_slots(e);
	}
	if (e->scan_at != UINT32_MAX) {
		if (scan_slice(e, sent_before, now))
			return now;
		e->scan_at = UINT32_MAX;
	}
	next = deadlines_next(&e->deadlines);
	return mono_is_never(next) || mono_diff_ns(e->scan_due, next) < 0 ? e->scan_due : next;
}
