/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The timers of two ends against each other, over a line that loses packets, with a fake clock.
 *
 *     end 0: control (wg_timers, scans)         end 1: control
 *            worker (sessions, stamps)   ~~~~          worker
 *
 * Sessions are only names here: what is tested is who sends what when, and that traffic always
 * finds a session.  An end's control plane can stand still while its worker goes on.
 */

#include "lib/wg/timers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

#define S        NS_PER_S
#define MS       NS_PER_MS
#define TICK     (10 * MS)
#define DELAY    (30 * MS)
#define MAX_WIRE 4096

enum kind {
	INITIATION,
	RESPONSE,
	DATA,
	KEEPALIVE,
};

struct message {
	enum kind kind;
	int to;
	uint32_t session;
	struct mono arrival;
};

struct session {
	uint32_t name; // 0: none
	bool initiator;
	struct mono birth;
};

struct end {
	struct wg_timers t;
	struct wg_activity a;
	struct mono deadline, next_scan;
	struct session previous, current, next;
	uint32_t pending;         // session that our last initiation would make
	bool frozen;              // control plane stands still
	bool dead;                // nothing at all happens here
	bool wants, confirmed;    // events that wait for the control plane
	struct message inbox[64]; // handshake messages that wait for it
	int n_inbox;
	int staged;
	int sent[4], received[4]; // by kind
	int lost_for_lack;        // data that the worker had to drop or keep
	int gave_up, zeroed;
	struct mono last_initiation, owed_since;
	int64_t least_gap, longest_owed, oldest_use;
};

struct world {
	struct mono now;
	struct end ends[2];
	struct message wire[MAX_WIRE];
	int n_wire;
	uint32_t names;
	int loss_percent;
	unsigned seed;
};

static bool
usable(const struct world *w, const struct session *s)
{
	return s->name != 0 && mono_diff_ns(w->now, s->birth) < WG_REJECT_AFTER_TIME_NS;
}

static void
put(struct world *w, int from, enum kind kind, uint32_t session)
{
	struct end *e = &w->ends[from];

	e->sent[kind]++;
	if (kind == INITIATION) {
		int64_t gap = mono_diff_ns(w->now, e->last_initiation);

		if (!mono_is_never(e->last_initiation) && gap < e->least_gap)
			e->least_gap = gap;
		e->last_initiation = w->now;
	}
	e->owed_since = (struct mono){};
	if ((int)(rand_r(&w->seed) % 100) < w->loss_percent || w->n_wire == MAX_WIRE)
		return;
	w->wire[w->n_wire++] = (struct message){ kind, !from, session, mono_add_ns(w->now, DELAY) };
}

// The worker sends on the current session, or keeps the packet and asks for one.
static void
worker_send(struct world *w, int who, enum kind kind)
{
	struct end *e = &w->ends[who];

	if (!usable(w, &e->current)) {
		if (kind == DATA) {
			e->lost_for_lack++;
			e->staged = 1;
			e->wants = true;
		}
		return;
	}
	e->a.last_tx = w->now;
	if (kind == DATA)
		e->a.last_tx_data = w->now;
	if (mono_diff_ns(w->now, e->current.birth) > e->oldest_use)
		e->oldest_use = mono_diff_ns(w->now, e->current.birth);
	put(w, who, kind, e->current.name);
}

// Something is sent on each new session of the initiator: what waits, or a keepalive.
static void
confirm(struct world *w, int who)
{
	struct end *e = &w->ends[who];

	worker_send(w, who, e->staged ? DATA : KEEPALIVE);
	e->staged = 0;
}

static void
worker_receive(struct world *w, int who, const struct message *m)
{
	struct end *e = &w->ends[who];

	if (m->session == e->next.name && usable(w, &e->next)) {
		e->previous = e->current;
		e->current = e->next;
		e->next = (struct session){};
		e->confirmed = true;
		if (e->staged)
			confirm(w, who);
	} else if (!(m->session == e->current.name && usable(w, &e->current)) &&
		   !(m->session == e->previous.name && usable(w, &e->previous))) {
		return;
	}
	e->received[m->kind]++;
	e->a.last_rx = w->now;
	if (m->kind != DATA)
		return;
	e->a.last_rx_data = w->now;
	if (mono_is_never(e->owed_since))
		e->owed_since = w->now;
}

static void
control_receive(struct world *w, int who, const struct message *m)
{
	struct end *e = &w->ends[who];

	e->received[m->kind]++;
	if (m->kind == INITIATION) {
		wg_timers_on_handshake_received(&e->t, w->now);
		e->next = (struct session){ m->session, false, w->now };
		put(w, who, RESPONSE, m->session);
		wg_timers_on_response_sent(&e->t, w->now);
	} else if (m->session == e->pending) {
		e->pending = 0;
		wg_timers_on_handshake_received(&e->t, w->now);
		e->previous = e->current;
		e->current = (struct session){ m->session, true, w->now };
		wg_timers_on_handshake_complete(&e->t, w->now);
		confirm(w, who);
	}
}

static void
control_act(struct world *w, int who, unsigned actions)
{
	struct end *e = &w->ends[who];

	if (actions & WG_SEND_INITIATION) {
		e->pending = ++w->names;
		put(w, who, INITIATION, e->pending);
	}
	if (actions & WG_SEND_KEEPALIVE)
		worker_send(w, who, KEEPALIVE);
	if (actions & WG_GIVE_UP) {
		e->gave_up++;
		e->staged = 0;
		e->pending = 0;
	}
	if (actions & WG_ZERO_KEYS) {
		e->zeroed++;
		e->previous = e->current = e->next = (struct session){};
	}
}

static void
control_run(struct world *w, int who)
{
	struct end *e = &w->ends[who];
	bool event = e->wants || e->confirmed || e->n_inbox > 0;
	struct wg_session_view view;

	for (int i = 0; i < e->n_inbox; i++)
		control_receive(w, who, &e->inbox[i]);
	e->n_inbox = 0;
	if (e->confirmed)
		wg_timers_on_handshake_complete(&e->t, w->now);
	if (e->wants)
		wg_timers_on_want_session(&e->t, w->now);
	e->wants = e->confirmed = false;
	if (!event && w->now.ns < e->next_scan.ns &&
		(mono_is_never(e->deadline) || w->now.ns < e->deadline.ns))
		return;
	if (w->now.ns >= e->next_scan.ns)
		e->next_scan = mono_add_ns(w->now, S);
	view = (struct wg_session_view){ e->current.name != 0, e->current.initiator,
		e->current.birth };
	control_act(w, who,
		wg_timers_step(&e->t, &e->a, &view, w->now, (int64_t)(rand_r(&w->seed) % 334) * MS,
			&e->deadline));
}

static void
deliver(struct world *w)
{
	int kept = 0;

	for (int i = 0; i < w->n_wire; i++) {
		struct message m = w->wire[i];
		struct end *e = &w->ends[m.to];

		if (w->now.ns < m.arrival.ns)
			w->wire[kept++] = m;
		else if (e->dead)
			continue;
		else if (m.kind == DATA || m.kind == KEEPALIVE)
			worker_receive(w, m.to, &m);
		else if (e->n_inbox < 64)
			e->inbox[e->n_inbox++] = m;
	}
	w->n_wire = kept;
}

static void
tick(struct world *w)
{
	deliver(w);
	for (int who = 0; who < 2; who++) {
		struct end *e = &w->ends[who];
		int64_t owed = mono_diff_ns(w->now, e->owed_since);

		if (!e->dead && !e->frozen)
			control_run(w, who);
		if (e->dead)
			e->owed_since = (struct mono){};
		if (!mono_is_never(e->owed_since) && usable(w, &e->current) &&
			owed > e->longest_owed)
			e->longest_owed = owed;
	}
	w->now = mono_add_ns(w->now, TICK);
}

// every_ns: data of each end, 0 for none.
static void
run(struct world *w, int64_t seconds, int64_t every_0, int64_t every_1)
{
	int64_t ticks = seconds * S / TICK;

	for (int64_t i = 0; i < ticks; i++) {
		if (every_0 > 0 && i % (every_0 / TICK) == 0 && !w->ends[0].dead)
			worker_send(w, 0, DATA);
		if (every_1 > 0 && i % (every_1 / TICK) == 0 && !w->ends[1].dead)
			worker_send(w, 1, DATA);
		tick(w);
	}
}

static struct world *
make_world(int loss_percent, uint16_t persistent_0, uint16_t persistent_1)
{
	static struct world w;

	w = (struct world){ .now = { 3000 * S }, .loss_percent = loss_percent, .seed = 3 };
	for (int who = 0; who < 2; who++) {
		w.ends[who].least_gap = INT64_MAX;
		w.ends[who].next_scan = mono_add_ns(w.now, who * 370 * MS);
	}
	wg_timers_init(&w.ends[0].t, persistent_0);
	wg_timers_init(&w.ends[1].t, persistent_1);
	return &w;
}

static int
initiations(const struct world *w)
{
	return w->ends[0].sent[INITIATION] + w->ends[1].sent[INITIATION];
}

static void
invariants(const struct world *w)
{
	for (int who = 0; who < 2; who++) {
		const struct end *e = &w->ends[who];

		tap_ok(e->least_gap >= 5 * S, "end %d: initiations are 5 s apart", who);
		tap_ok(e->longest_owed <= 11 * S + 2 * TICK,
			"end %d: owes an answer at most 11 s (%.2f)", who,
			(double)e->longest_owed / S);
		tap_ok(e->oldest_use < 180 * S, "end %d: uses no session of 180 s", who);
	}
}

static void
busy(void)
{
	struct world *w = make_world(0, 0, 0);

	run(w, 1, 100 * MS, 0);
	run(w, 7199, 100 * MS, 100 * MS);
	tap_int(w->ends[0].lost_for_lack, 1, "busy: only the first packet has to wait");
	tap_int(w->ends[1].lost_for_lack, 0, "busy: and none at the other end");
	tap_ok(initiations(w) >= 59 && initiations(w) <= 62,
		"busy: a session per 120 s (%d in 7,200 s)", initiations(w));
	tap_int(w->ends[0].received[DATA] + w->ends[1].received[DATA],
		w->ends[0].sent[DATA] + w->ends[1].sent[DATA] - w->n_wire,
		"busy: every packet arrived");
	tap_ok(w->ends[0].sent[KEEPALIVE] + w->ends[1].sent[KEEPALIVE] <= initiations(w),
		"busy: keepalives only to confirm");
	tap_int(w->ends[1].sent[INITIATION], 0, "busy: one end renews");
	invariants(w);
}

// Both begin at the same moment: two sessions, and perhaps two ends that leave renewing to the
// other.
static void
crossing(void)
{
	struct world *w = make_world(0, 0, 0);

	run(w, 7200, 100 * MS, 100 * MS);
	tap_ok(w->ends[0].lost_for_lack <= 1 && w->ends[1].lost_for_lack <= 1,
		"crossing initiations: only the first packets have to wait (%d, %d)",
		w->ends[0].lost_for_lack, w->ends[1].lost_for_lack);
	tap_ok(initiations(w) >= 54 && initiations(w) <= 62,
		"crossing initiations: a session per 120 to 135 s (%d)", initiations(w));
	invariants(w);
}

static void
one_way(void)
{
	struct world *w = make_world(0, 0, 0);
	int n;

	run(w, 7200, 100 * MS, 0);
	n = w->ends[1].sent[KEEPALIVE];
	tap_int(w->ends[0].lost_for_lack, 1, "one way: only the first packet has to wait");
	tap_ok(n >= 7200 / 11 - 60 && n <= 730, "one way: a keepalive back per 10 s (%d)", n);
	tap_ok(initiations(w) <= 62, "one way: no handshake for lack of answers");
	invariants(w);

	// The responder of the first session is the only one who talks: the initiator renews by
	// what it gets.
	w = make_world(0, 0, 0);
	run(w, 1, 100 * MS, 0);
	run(w, 3600, 0, 100 * MS);
	tap_int(w->ends[1].lost_for_lack, 0, "the other way: nothing has to wait");
	tap_int(w->ends[1].sent[INITIATION], 0, "the other way: the initiator still renews");
	invariants(w);
}

// Row T-30 of reliability.md: no keepalive ping-pong.  Every packet is counted.
static void
idle(void)
{
	struct world *w = make_world(0, 0, 0);

	run(w, 1, 2 * S, 0);
	run(w, 3600, 0, 0);
	tap_int(initiations(w), 1, "idle for an hour after one packet: one initiation");
	tap_int(w->ends[1].sent[RESPONSE], 1, "one response");
	tap_int(w->ends[0].sent[DATA], 1, "the packet");
	tap_int(w->ends[1].sent[KEEPALIVE], 1, "one keepalive for it");
	tap_int(w->ends[0].sent[KEEPALIVE], 0, "and none for that");
	tap_ok(w->ends[0].zeroed == 1 && w->ends[1].zeroed == 1, "both forgot the keys");
	tap_int(w->ends[0].gave_up + w->ends[1].gave_up, 0, "without giving anything up");
}

static void
lossy(void)
{
	for (int loss = 10; loss <= 50; loss += 20) {
		struct world *w = make_world(loss, 0, 0);
		int arrived, sent;

		run(w, 7200, 200 * MS, 200 * MS);
		arrived = w->ends[0].received[DATA] + w->ends[1].received[DATA];
		sent = w->ends[0].sent[DATA] + w->ends[1].sent[DATA];
		tap_ok(arrived > sent * (100 - loss - 2) / 100,
			"%d%% loss: no more than that is lost (%d of %d arrived)", loss, arrived,
			sent);
		tap_ok(w->ends[0].lost_for_lack + w->ends[1].lost_for_lack < sent / 100,
			"%d%% loss: a session is nearly always there (%d packets waited)", loss,
			w->ends[0].lost_for_lack + w->ends[1].lost_for_lack);
		invariants(w);
	}
}

static void
persistent(void)
{
	struct world *w = make_world(0, 25, 0);
	int n;

	run(w, 7200, 0, 0);
	// Each session is confirmed by another one.
	n = w->ends[0].sent[KEEPALIVE] - initiations(w);
	tap_ok(n >= 280 && n <= 288, "persistent: a keepalive per 25 s (%d in 7,200 s)", n);
	tap_ok(initiations(w) >= 48 && initiations(w) <= 60,
		"persistent: the session is kept fresh (%d)", initiations(w));
	tap_int(w->ends[1].sent[KEEPALIVE], 0, "persistent: nothing comes back");
	invariants(w);
}

static void
restart_of_other(void)
{
	struct world *w = make_world(0, 0, 0);
	int before;

	run(w, 30, 100 * MS, 100 * MS);
	// The other end loses everything it knew.
	memset(&w->ends[1], 0, sizeof(w->ends[1]));
	w->ends[1].least_gap = INT64_MAX;
	wg_timers_init(&w->ends[1].t, 0);
	before = w->ends[1].received[DATA];
	run(w, 17, 100 * MS, 0);
	tap_ok(w->ends[1].received[DATA] > before, "a peer that forgot all is found within 16 s");

	w->ends[1].dead = true;
	run(w, 400, 100 * MS, 0);
	before = w->ends[0].sent[INITIATION];
	run(w, 60, 100 * MS, 0);
	tap_ok(w->ends[0].sent[INITIATION] >= before + 11, "packets keep the attempts going");
	run(w, 100, 0, 0);
	before = w->ends[0].sent[INITIATION];
	tap_int(w->ends[0].gave_up, 1, "without packets they end");
	run(w, 1000, 0, 0);
	tap_int(w->ends[0].sent[INITIATION], before, "and nothing follows");
	tap_int(w->ends[0].zeroed, 1, "keys are forgotten");
	w->ends[1].dead = false;
	run(w, 1, 100 * MS, 0);
	tap_ok(w->ends[0].current.name != 0, "a packet to a peer that is back finds it at once");
	invariants(w);
}

// A control plane stands still for 50 s at any moment of a session's life, while traffic goes on.
static void
frozen(void)
{
	struct world *w = make_world(0, 0, 0);
	int before[2], waited = 0;

	run(w, 1, 50 * MS, 0);
	for (int i = 0; i < 60; i++) {
		int who = i % 2;

		before[0] = w->ends[0].lost_for_lack;
		before[1] = w->ends[1].lost_for_lack;
		w->ends[who].frozen = true;
		run(w, 50, 50 * MS, 50 * MS);
		w->ends[who].frozen = false;
		run(w, 7 + i % 5, 50 * MS, 50 * MS);
		waited +=
			w->ends[0].lost_for_lack - before[0] + w->ends[1].lost_for_lack - before[1];
	}
	tap_int(waited, 0, "60 standstills of 50 s: no packet ever waits for a session");
	tap_int(w->ends[0].received[DATA] + w->ends[1].received[DATA],
		w->ends[0].sent[DATA] + w->ends[1].sent[DATA] - w->n_wire, "none is lost");
	tap_ok(w->ends[0].least_gap >= 5 * S && w->ends[1].least_gap >= 5 * S,
		"initiations are 5 s apart");
}

// A control plane is killed again and again: the next one has the sessions and stamps, no timers.
static void
killed(void)
{
	struct world *w = make_world(0, 0, 0);

	run(w, 1, 50 * MS, 0);
	for (int i = 0; i < 600; i++) {
		int who = i % 2;

		wg_timers_init(&w->ends[who].t, 0);
		w->ends[who].pending = 0;
		w->ends[who].n_inbox = 0;
		w->ends[who].wants = w->ends[who].confirmed = false;
		run(w, 1 + i % 4, 50 * MS, 50 * MS);
	}
	tap_ok(w->ends[0].lost_for_lack + w->ends[1].lost_for_lack <= 2,
		"600 kills: no packet waits");
	tap_ok(initiations(w) <= 40, "600 kills in 1,500 s: %d initiations", initiations(w));
}

int
main(void)
{
	busy();
	crossing();
	one_way();
	idle();
	lossy();
	persistent();
	restart_of_other();
	frozen();
	killed();
	return tap_done();
}
