/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One end with a fake clock.  Two ends against each other: two_ends_test.c.
 */

#include "lib/wg/timers.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

#define S         NS_PER_S
#define MS        NS_PER_MS
#define BOOT      (5000 * S) /* the fake clock's zero */
#define JITTER    (100 * MS)
#define MAX_NOTES 4096

struct note {       // an action and when it came
	int64_t at; // ns since BOOT
	unsigned actions;
};

struct rig {
	struct wg_timers t;
	struct wg_activity a;
	struct wg_session_view s;
	struct mono now, deadline;
	struct note notes[MAX_NOTES];
	int n_notes;
	bool mute; // the worker takes no orders: keepalives are not stamped
	int64_t rx_data_every, tx_data_every; // ns; 0: none
};

static struct mono
at(int64_t ns)
{
	return (struct mono){ (uint64_t)(BOOT + ns) };
}

static int64_t
since_boot(struct mono t)
{
	return (int64_t)t.ns - BOOT;
}

static struct rig *
make_rig(uint16_t persistent_s)
{
	static struct rig r;

	r = (struct rig){ .now = at(0) };
	wg_timers_init(&r.t, persistent_s);
	return &r;
}

static void
session(struct rig *r, bool initiator, int64_t birth)
{
	r->s = (struct wg_session_view){ true, initiator, at(birth) };
}

static void
step(struct rig *r)
{
	unsigned actions = wg_timers_step(&r->t, &r->a, &r->s, r->now, JITTER, &r->deadline);

	if ((actions & WG_SEND_KEEPALIVE) && !r->mute)
		r->a.last_tx = r->now;
	if (actions & WG_ZERO_KEYS)
		r->s.exists = false;
	if (actions != 0 && r->n_notes < MAX_NOTES)
		r->notes[r->n_notes++] = (struct note){ since_boot(r->now), actions };
}

// Traffic that is due at `now`.
static void
traffic(struct rig *r)
{
	int64_t now = since_boot(r->now);

	if (r->rx_data_every > 0 && now % r->rx_data_every == 0)
		r->a.last_rx = r->a.last_rx_data = r->now;
	if (r->tx_data_every > 0 && now % r->tx_data_every == 0)
		r->a.last_tx = r->a.last_tx_data = r->now;
}

// As the control plane does: a scan each second, and a step at each deadline.  In steps of 10 ms.
static void
run(struct rig *r, int64_t until)
{
	for (; since_boot(r->now) < until; r->now = mono_add_ns(r->now, 10 * MS)) {
		traffic(r);
		if (since_boot(r->now) % S == 0 ||
			(!mono_is_never(r->deadline) && r->now.ns >= r->deadline.ns))
			step(r);
	}
}

static int
count(const struct rig *r, unsigned action)
{
	int n = 0;

	for (int i = 0; i < r->n_notes; i++)
		n += (r->notes[i].actions & action) != 0;
	return n;
}

// When the action came for the nth time (from 0), or -1.
static int64_t
when(const struct rig *r, unsigned action, int nth)
{
	for (int i = 0; i < r->n_notes; i++)
		if ((r->notes[i].actions & action) && nth-- == 0)
			return r->notes[i].at;
	return -1;
}

static void
attempts(void)
{
	struct rig *r = make_rig(0);
	int wrong = 0;

	run(r, 10 * S);
	tap_int(r->n_notes, 0, "a peer without packets is left alone");
	tap_ok(mono_is_never(r->deadline), "nothing is due");
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 700 * S);
	for (int i = 0; i < 18; i++)
		wrong += when(r, WG_SEND_INITIATION, i) != 10 * S + i * (5 * S + JITTER);
	tap_int(wrong, 0, "initiations at once and every 5 s plus jitter");
	tap_int(count(r, WG_SEND_INITIATION), 18, "18 of them");
	tap_int(when(r, WG_GIVE_UP, 0), 100 * S, "given up after 90 s");
	tap_int(count(r, WG_GIVE_UP), 1, "once, and then silence");
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 701 * S);
	tap_int(when(r, WG_SEND_INITIATION, 18), 700 * S, "a new packet begins again");

	r = make_rig(0);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 60 * S);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 300 * S);
	tap_int(when(r, WG_GIVE_UP, 0), 150 * S, "another packet gives another 90 s");
}

static void
complete(void)
{
	struct rig *r = make_rig(0);

	wg_timers_on_want_session(&r->t, r->now);
	run(r, 1 * S);
	session(r, true, 500 * MS);
	wg_timers_on_handshake_complete(&r->t, r->now);
	run(r, 100 * S);
	tap_int(count(r, WG_SEND_INITIATION), 1, "a response ends the attempts");

	r = make_rig(0);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 6 * S);
	session(r, false, 5 * S + 200 * MS);
	run(r, 100 * S);
	tap_int(count(r, WG_SEND_INITIATION), 2, "so does a younger session that nobody reported");
	tap_int(count(r, WG_GIVE_UP), 0, "without giving up");

	r = make_rig(0);
	session(r, false, -50 * S);
	wg_timers_on_rekey_wanted(&r->t, r->now);
	run(r, 6 * S);
	tap_int(count(r, WG_SEND_INITIATION), 2, "an older one does not");
}

static void
spacing(void)
{
	struct rig *r = make_rig(0);

	wg_timers_on_want_session(&r->t, r->now);
	step(r);
	session(r, true, 100 * MS);
	r->now = at(100 * MS);
	wg_timers_on_handshake_complete(&r->t, r->now);
	r->now = at(1 * S);
	wg_timers_on_rekey_wanted(&r->t, r->now);
	run(r, 9 * S);
	tap_int(when(r, WG_SEND_INITIATION, 1), 5 * S, "no two initiations within 5 s");

	r = make_rig(0);
	wg_timers_on_want_session(&r->t, r->now);
	step(r);
	session(r, true, 100 * MS);
	r->now = at(100 * MS);
	wg_timers_on_handshake_complete(&r->t, r->now);
	r->now = at(110 * MS);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 90 * S);
	tap_int(count(r, WG_SEND_INITIATION), 1,
		"a packet that just missed the session asks for none");
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 91 * S);
	tap_int(count(r, WG_SEND_INITIATION), 2, "later the worker is believed");
}

static void
rekey(void)
{
	struct rig *r = make_rig(0);
	int64_t t;

	session(r, true, 0);
	r->tx_data_every = r->rx_data_every = 300 * MS;
	run(r, 123 * S);
	t = when(r, WG_SEND_INITIATION, 0);
	tap_ok(t >= 120 * S && t <= 121 * S, "the initiator renews after 120 s of sending");

	r = make_rig(0);
	session(r, false, 0);
	r->tx_data_every = r->rx_data_every = 300 * MS;
	run(r, 135 * S);
	tap_int(count(r, WG_SEND_INITIATION), 0, "the responder does not");
	run(r, 137 * S);
	tap_int(count(r, WG_SEND_INITIATION), 1, "unless its peer goes on with it past 135 s");

	r = make_rig(0);
	session(r, false, 0);
	r->now = at(120 * S);
	r->tx_data_every = 300 * MS;
	r->a.last_rx = r->now;
	run(r, 134 * S);
	tap_int(count(r, WG_SEND_INITIATION), 0, "what it sends itself is no reason");

	r = make_rig(0);
	session(r, true, 0);
	r->a.last_tx = r->a.last_tx_data = r->a.last_rx = at(119 * S);
	r->now = at(119 * S);
	run(r, 1000 * S);
	tap_int(count(r, WG_SEND_INITIATION), 0, "nobody renews a session that is not used");

	r = make_rig(0);
	session(r, true, 0);
	r->now = r->a.last_tx = at(130 * S); // a keepalive
	step(r);
	tap_int(count(r, WG_SEND_INITIATION), 1, "a keepalive is sending too");

	r = make_rig(0);
	session(r, true, 0);
	r->now = at(165 * S);
	r->a.last_rx = at(165 * S - 1);
	step(r);
	tap_int(count(r, WG_SEND_INITIATION), 0, "receiving just before 165 s renews nothing");
	r->a.last_rx = r->now;
	step(r);
	tap_int(count(r, WG_SEND_INITIATION), 1, "receiving at 165 s does, for the initiator");

	r = make_rig(0);
	session(r, false, 0);
	r->a.last_tx = r->a.last_rx = r->now = at(135 * S - 1);
	step(r);
	tap_int(count(r, WG_SEND_INITIATION), 0, "and not for the responder");

	r = make_rig(0);
	session(r, true, 0);
	r->tx_data_every = 300 * MS;
	r->rx_data_every = 300 * MS;
	run(r, 121 * S);
	r->tx_data_every = r->rx_data_every = 0;
	run(r, 1000 * S);
	tap_int(count(r, WG_GIVE_UP), 1, "an unanswered renewal is given up");
	t = when(r, WG_GIVE_UP, 0);
	tap_ok(t >= 210 * S && t <= 211 * S, "90 s after the last packet");
	tap_ok(when(r, WG_SEND_INITIATION, count(r, WG_SEND_INITIATION) - 1) < t, "for good");

	r = make_rig(0);
	session(r, true, -60 * S);
	r->tx_data_every = r->rx_data_every = 300 * MS;
	wg_timers_on_response_sent(&r->t, at(70 * S));
	run(r, 59 * S);
	tap_int(r->n_notes, 0, "a response is not traffic of the session");
}

static void
passive_keepalive(void)
{
	int early = 0, late = 0;

	for (int64_t first = 0; first < S; first += 10 * MS) {
		struct rig *r = make_rig(0);
		int64_t t;

		session(r, false, -S);
		run(r, S + first);
		r->a.last_rx = r->a.last_rx_data = r->now;
		r->rx_data_every = 10 * MS;
		run(r, 14 * S);
		t = when(r, WG_SEND_KEEPALIVE, 0) - (S + first);
		early += t < 10 * S;
		late += t > 11 * S;
	}
	tap_int(early, 0, "data without an answer: a keepalive, not before 10 s");
	tap_int(late, 0, "nor after 11 s");
}

static void
keepalive_rows(void)
{
	struct rig *r = make_rig(0);
	int n;

	session(r, false, -S);
	r->rx_data_every = 50 * MS;
	run(r, 110 * S);
	n = count(r, WG_SEND_KEEPALIVE);
	tap_ok(n >= 9 && n <= 11, "one-way data: one keepalive per 10 s (%d in 110 s)", n);
	tap_int(count(r, WG_SEND_INITIATION), 0, "and no handshake");

	r = make_rig(0);
	session(r, false, -S);
	r->rx_data_every = 50 * MS;
	r->tx_data_every = 9 * S;
	run(r, 110 * S);
	tap_int(count(r, WG_SEND_KEEPALIVE), 0, "none while data goes back");

	r = make_rig(0);
	session(r, false, -S);
	r->now = r->a.last_rx = at(3 * S);
	run(r, 60 * S);
	tap_int(r->n_notes, 0, "a keepalive is not answered with a keepalive");

	r = make_rig(0);
	session(r, false, -S);
	run(r, 3 * S);
	r->a.last_rx = r->a.last_rx_data = r->now;
	run(r, 100 * S);
	tap_int(count(r, WG_SEND_KEEPALIVE), 1, "one packet, one keepalive");
	tap_int(when(r, WG_SEND_KEEPALIVE, 0), 13 * S, "10 s after it");
}

static void
unanswered(void)
{
	struct rig *r = make_rig(0);
	int64_t t;

	session(r, false, -S);
	run(r, 2500 * MS);
	r->a.last_tx = r->a.last_tx_data = r->now;
	r->tx_data_every = 70 * MS;
	run(r, 20 * S);
	t = when(r, WG_SEND_INITIATION, 0) - 2500 * MS;
	tap_ok(t >= 15 * S && t <= 16 * S, "nothing came back for 15 s: a new handshake");

	r = make_rig(0);
	session(r, false, -S);
	r->tx_data_every = 70 * MS;
	for (int i = 1; i < 10; i++) {
		run(r, i * 14 * S);
		r->a.last_rx = r->now;
	}
	tap_int(r->n_notes, 0, "a keepalive every 14 s is an answer");

	r = make_rig(0);
	session(r, false, -S);
	run(r, 3 * S);
	r->a.last_tx = r->a.last_tx_data = r->now;
	run(r, 500 * S);
	tap_int(when(r, WG_SEND_INITIATION, 0), 18 * S, "one packet is enough");
	tap_int(when(r, WG_GIVE_UP, 0), 108 * S, "the attempts end");
	tap_int(count(r, WG_GIVE_UP), 1, "and it is not tried again");

	r = make_rig(0);
	session(r, false, -S);
	run(r, 3 * S);
	r->a.last_tx = r->a.last_tx_data = r->now;
	run(r, 10 * S);
	wg_timers_on_handshake_received(&r->t, r->now);
	run(r, 100 * S);
	tap_int(r->n_notes, 0, "a handshake message is an answer too");

	r = make_rig(0);
	session(r, false, -S);
	run(r, 3 * S);
	r->a.last_tx = r->now; // a keepalive
	run(r, 100 * S);
	tap_int(r->n_notes, 0, "a keepalive demands no answer");
}

static void
persistent(void)
{
	struct rig *r = make_rig(25);
	int wrong = 0;

	session(r, false, -S);
	r->a.last_tx = r->now;
	run(r, 170 * S);
	for (int i = 0; i < 6; i++)
		wrong += when(r, WG_SEND_KEEPALIVE, i) != (i + 1) * 25 * S;
	tap_int(wrong, 0, "a persistent keepalive exactly every 25 s");
	tap_int(count(r, WG_SEND_KEEPALIVE), 6, "no more");

	r = make_rig(25);
	session(r, false, -S);
	r->tx_data_every = r->rx_data_every = 20 * S;
	run(r, 130 * S);
	tap_int(r->n_notes, 0, "none while something is sent anyway");

	r = make_rig(25);
	run(r, 400 * S);
	tap_int(when(r, WG_SEND_INITIATION, 0), 0, "it needs a session: a handshake at once");
	tap_ok(count(r, WG_GIVE_UP) >= 3 && count(r, WG_SEND_INITIATION) > 50, "over and over");

	r = make_rig(25);
	session(r, false, 0);
	r->a.last_tx = r->a.last_rx = r->now;
	run(r, 30 * S);
	wg_timers_set_persistent(&r->t, 0);
	run(r, 170 * S);
	tap_int(r->n_notes, 1, "switched off");
	wg_timers_set_persistent(&r->t, 3);
	run(r, 173 * S);
	tap_int(when(r, WG_SEND_KEEPALIVE, 1), 170 * S, "and on again");

	r = make_rig(1);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 89 * S);
	tap_int(count(r, WG_SEND_INITIATION), 18,
		"no initiation every second for an interval of 1 s");
	tap_int(when(r, WG_SEND_INITIATION, 1), 5 * S + JITTER, "the retry is on time");
}

static void
zeroing(void)
{
	struct rig *r = make_rig(0);

	session(r, true, 0);
	step(r);
	tap_int(since_boot(r->deadline), 540 * S, "the deadline of an idle session is its end");
	run(r, 5000 * S);
	tap_int(when(r, WG_ZERO_KEYS, 0), 540 * S, "keys are zeroed after 540 s");
	tap_int(r->n_notes, 1, "once");
	session(r, true, 0); // the caller did not
	run(r, 5100 * S);
	tap_int(r->n_notes, 1, "once for each birth");
	session(r, true, 5100 * S);
	run(r, 6000 * S);
	tap_int(when(r, WG_ZERO_KEYS, 1), 5640 * S, "and for the next session again");
}

// The control plane stood still for 50 s, the workers did not.
static void
standstill(void)
{
	struct rig *r = make_rig(0);

	session(r, false, -S);
	run(r, 10 * S);
	r->now = r->a.last_rx = r->a.last_rx_data = at(60 * S);
	step(r);
	tap_int(when(r, WG_SEND_KEEPALIVE, 0), 60 * S, "data came all the time: keepalive at once");

	r = make_rig(0);
	session(r, false, -S);
	r->tx_data_every = r->rx_data_every = S;
	run(r, 10 * S);
	r->now = r->a.last_rx = r->a.last_rx_data = at(60 * S);
	r->a.last_tx = r->a.last_tx_data = at(60 * S + 1000);
	r->now = at(60 * S + 2000);
	step(r);
	tap_int(r->n_notes, 0, "traffic both ways: nothing to do");

	r = make_rig(0);
	wg_timers_on_want_session(&r->t, r->now);
	run(r, 12 * S);
	r->now = at(62 * S);
	step(r);
	tap_int(when(r, WG_SEND_INITIATION, 3), 62 * S, "a retry that is overdue leaves at once");
	tap_int(count(r, WG_GIVE_UP), 0, "without giving up");
}

// A new control plane takes over sessions in use.
static void
takeover(void)
{
	struct rig *r = make_rig(0);

	session(r, true, -60 * S);
	r->a = (struct wg_activity){ at(-2 * S), at(-2 * S), at(0), at(0) };
	r->tx_data_every = r->rx_data_every = 3 * S;
	run(r, 50 * S);
	tap_int(r->n_notes, 0, "needs no handshake");

	r = make_rig(0);
	session(r, false, -60 * S);
	r->a = (struct wg_activity){ at(-10 * MS), at(-10 * MS), at(-20 * S), at(-20 * S) };
	run(r, S);
	tap_int(when(r, WG_SEND_KEEPALIVE, 0), 0, "what may be overdue is sent");

	r = make_rig(0);
	session(r, false, -60 * S);
	r->a = (struct wg_activity){ at(-50 * S), at(-50 * S), at(-MS), at(-MS) };
	run(r, 14 * S);
	tap_int(r->n_notes, 0, "a long silence before the first packet is no fault");
	run(r, 16 * S);
	tap_int(count(r, WG_SEND_INITIATION), 1, "unless it goes on");
}

static void
odd_stamps(void)
{
	struct rig *r = make_rig(25);

	session(r, false, -S);
	r->mute = true;
	r->a.last_rx = r->a.last_rx_data = r->now;
	run(r, 100 * S);
	tap_int(count(r, WG_SEND_KEEPALIVE), 4, "a keepalive that leaves no stamp is not repeated");

	r = make_rig(0);
	session(r, true, -10 * S);
	r->a.last_rx = r->a.last_tx = at(300 * S);
	run(r, 60 * S);
	tap_int(r->n_notes, 0, "stamps from the future do not age a session");

	r = make_rig(0);
	wg_timers_on_want_session(&r->t, r->now);
	step(r);
	session(r, true, 5000 * S);
	run(r, 10 * S);
	r->a.last_tx = r->a.last_tx_data = r->now;
	run(r, 30 * S);
	tap_int(when(r, WG_SEND_INITIATION, 1), 25 * S, "nor does a birth there stop the clock");
}

static void
hostile_stamps(void)
{
	struct rig *r = make_rig(25);
	const struct mono odd[] = { { 0 }, { 1 }, at(0), { UINT64_MAX }, { UINT64_MAX / 2 + 1 } };
	unsigned seed = 7;

	for (int i = 0; i < 20000; i++) {
		r->a.last_rx = odd[rand_r(&seed) % 5];
		r->a.last_rx_data = odd[rand_r(&seed) % 5];
		r->a.last_tx = odd[rand_r(&seed) % 5];
		r->a.last_tx_data = odd[rand_r(&seed) % 5];
		r->s = (struct wg_session_view){ rand_r(&seed) % 2, rand_r(&seed) % 2,
			odd[rand_r(&seed) % 5] };
		step(r);
		if (!mono_is_never(r->deadline) && r->deadline.ns <= r->now.ns)
			break;
		r->now = mono_add_ns(r->now, 300 * MS);
	}
	tap_int(since_boot(r->now), 20000 * 300 * MS, "any stamps: the deadline is in the future");
	for (int i = 1; i < count(r, WG_SEND_INITIATION); i++)
		if (when(r, WG_SEND_INITIATION, i) - when(r, WG_SEND_INITIATION, i - 1) < 5 * S)
			tap_ok(false, "initiations are 5 s apart whatever the stamps say");
}

// Sleeping until the deadline misses nothing: with unchanged stamps no step before it does
// anything.
static void
deadlines(void)
{
	unsigned seed = 11;
	int early = 0, checked = 0;

	for (int i = 0; i < 30000; i++) {
		struct rig *r = make_rig(rand_r(&seed) % 2 ? (uint16_t)(rand_r(&seed) % 60) : 0);
		struct wg_timers copy;
		struct mono deadline, when_else;

		r->a.last_rx = at(-(int64_t)(rand_r(&seed) % 200) * S);
		r->a.last_tx = at(-(int64_t)(rand_r(&seed) % 200) * S);
		r->a.last_rx_data = at(-(int64_t)(rand_r(&seed) % 200) * S);
		r->a.last_tx_data = at(-(int64_t)(rand_r(&seed) % 200) * S);
		session(r, rand_r(&seed) % 2, -(int64_t)(rand_r(&seed) % 700) * S);
		r->s.exists = rand_r(&seed) % 4 != 0;
		if (rand_r(&seed) % 3 == 0)
			wg_timers_on_want_session(&r->t, r->now);
		for (int steps = rand_r(&seed) % 40; steps >= 0; steps--) {
			step(r);
			r->now = mono_is_never(r->deadline) ? mono_add_ns(r->now, S) : r->deadline;
		}
		step(r);
		if (r->n_notes > 0 && r->notes[r->n_notes - 1].at == since_boot(r->now))
			continue; // an action is a new stamp, or the end of a handshake
		deadline = mono_is_never(r->deadline) ? mono_add_ns(r->now, 2000 * S) : r->deadline;
		for (int tries = 0; tries < 4; tries++) {
			int64_t room = mono_diff_ns(deadline, r->now);

			copy = r->t;
			when_else = mono_add_ns(r->now,
				tries == 0 ? room - 1
					   : (int64_t)(rand_r(&seed) % 1000) * (room / 1000));
			early += wg_timers_step(
					 &copy, &r->a, &r->s, when_else, JITTER, &r->deadline) != 0;
			checked++;
		}
	}
	tap_ok(early == 0, "of %d steps before a deadline none did anything (%d)", checked, early);
}

int
main(void)
{
	attempts();
	complete();
	spacing();
	rekey();
	passive_keepalive();
	keepalive_rows();
	unanswered();
	persistent();
	zeroing();
	standstill();
	takeover();
	odd_stamps();
	hostile_stamps();
	deadlines();
	return tap_done();
}
