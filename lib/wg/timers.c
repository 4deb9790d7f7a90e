/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/timers.h"

/* How far apart two looks at the stamps normally are. */
#define SCAN_NS NS_PER_S

static struct mono
later_of(struct mono a, struct mono b)
{
	return a.ns > b.ns ? a : b;
}

static struct mono
earlier_of(struct mono a, struct mono b)
{
	return a.ns < b.ns ? a : b;
}

static bool
is_after(struct mono a, struct mono b)
{
	return a.ns > b.ns;
}

// Whether at least ns have passed since t; never counts as long ago.
static bool
has_passed(struct mono now, struct mono t, int64_t ns)
{
	return mono_is_never(t) || mono_diff_ns(now, t) >= ns;
}

void
wg_timers_set_persistent(struct wg_timers *t, uint16_t persistent_s)
{
	t->persistent_ns = persistent_s * NS_PER_S;
}

void
wg_timers_init(struct wg_timers *t, uint16_t persistent_s)
{
	*t = (struct wg_timers){};
	wg_timers_set_persistent(t, persistent_s);
}

// The first initiation leaves at once, unless one of an earlier handshake left just now.
static void
begin_handshake(struct wg_timers *t, struct mono now)
{
	t->handshaking = true;
	t->lacking = false;
	t->attempts = 0;
	t->began = t->asked = now;
	t->initiation_due = now;
	if (!has_passed(now, t->initiation_sent, WG_REKEY_TIMEOUT_NS))
		t->initiation_due = mono_add_ns(t->initiation_sent, WG_REKEY_TIMEOUT_NS);
	t->unanswered = (struct mono){};
}

static void
end_handshake(struct wg_timers *t, struct mono now)
{
	t->handshaking = false;
	t->settled = now;
	t->unanswered = (struct mono){};
}

void
wg_timers_on_want_session(struct wg_timers *t, struct mono now)
{
	t->asked = now; // a packet that wants out gives a running handshake its full time again
	if (t->handshaking)
		return;
	begin_handshake(t, now);
	t->lacking = true;
}

void
wg_timers_on_rekey_wanted(struct wg_timers *t, struct mono now)
{
	wg_timers_on_want_session(t, now);
	t->lacking = false;
}

void
wg_timers_on_handshake_complete(struct wg_timers *t, struct mono now)
{
	t->heard = now;
	end_handshake(t, now);
}

void
wg_timers_on_handshake_received(struct wg_timers *t, struct mono now)
{
	t->heard = now;
}

void
wg_timers_on_response_sent(struct wg_timers *t, struct mono now)
{
	t->sent = now;
}

// The stamps as this file uses them: none in the future.
struct stamps {
	struct mono rx, tx;           // transport messages
	struct mono rx_data, tx_data; // with a packet inside
	struct mono any_rx, any_tx;   // handshake messages too, and keepalives not stamped yet
};

static struct stamps
stamps_of(const struct wg_timers *t, const struct wg_activity *activity, struct mono now)
{
	struct mono rx = earlier_of(activity->last_rx, now);
	struct mono tx = earlier_of(activity->last_tx, now);

	return (struct stamps){
		.rx = rx,
		.tx = tx,
		.rx_data = earlier_of(activity->last_rx_data, now),
		.tx_data = earlier_of(activity->last_tx_data, now),
		.any_rx = later_of(rx, t->heard),
		.any_tx = later_of(tx, t->sent),
	};
}

// When, at the latest, the first of several packets was seen whose last one has the stamp `last`:
// not before `floor` (nothing then), and, where scans are on time, not much before `last`.  After a
// standstill of the control plane the answer is early, so that what is overdue is done at once.
static struct mono
first_seen(struct mono last, struct mono floor)
{
	return earlier_of(last, mono_add_ns(floor, SCAN_NS));
}

// Data came in, and nothing at all left since.
static void
note_owing(struct wg_timers *t, const struct stamps *a)
{
	if (!is_after(a->rx_data, a->any_tx))
		t->owing = (struct mono){};
	else if (mono_is_never(t->owing) || !is_after(t->owing, a->any_tx))
		t->owing = first_seen(a->rx_data, later_of(a->any_tx, t->scanned));
}

// Data went out, and nothing at all came since.  Not while a handshake runs: that is the cure
// already.
static void
note_unanswered(struct wg_timers *t, const struct stamps *a)
{
	struct mono quiet = later_of(a->any_rx, t->settled);

	if (t->handshaking || !is_after(a->tx_data, quiet))
		t->unanswered = (struct mono){};
	else if (mono_is_never(t->unanswered) || !is_after(t->unanswered, quiet))
		// A first look knows no earlier one: do not take a long silence before it for a
		// fault.
		t->unanswered = mono_is_never(t->scanned)
		                        ? a->tx_data
		                        : first_seen(a->tx_data, later_of(quiet, t->scanned));
}

// Whether the session was used at that age, since the last handshake ended.
static bool
was_used_at(const struct wg_timers *t,
	struct mono last,
	const struct wg_session_view *s,
	int64_t age_ns)
{
	return is_after(last, t->settled) && mono_diff_ns(last, s->birth) >= age_ns;
}

// Whitepaper 6.2: its initiator renews a session by what is sent at 120 s, by what is received at
// 165 s.  A keepalive is a transport message like any other.
static bool
is_worn(const struct wg_timers *t,
	const struct stamps *a,
	const struct wg_session_view *s,
	struct mono now)
{
	if (!wg_session_is_usable(s, now))
		return false;
	if (!s->initiator)
		return was_used_at(t, a->rx, s, WG_REKEY_BY_RESPONDER_NS);
	return was_used_at(t, a->tx, s, WG_REKEY_AFTER_TIME_NS) ||
	       was_used_at(t, a->rx, s, WG_REKEY_ON_RECEIVE_NS);
}

static bool
is_persistent_due(const struct wg_timers *t, const struct stamps *a, struct mono now)
{
	return t->persistent_ns > 0 &&
	       has_passed(now, later_of(a->any_tx, t->sent), t->persistent_ns);
}

// Whether a new session answers what the handshake was begun for, whoever reported it or did not.
static bool
is_superseded(const struct wg_timers *t, const struct wg_session_view *s, struct mono now)
{
	if (!s->exists)
		return false;
	if (t->attempts > 0)
		return is_after(s->birth, t->began);
	return t->lacking && mono_diff_ns(now, s->birth) < WG_REKEY_TIMEOUT_NS;
}

// One initiation, or the end of the attempts.
static unsigned
step_handshake(struct wg_timers *t, const struct stamps *a, struct mono now, int64_t jitter_ns)
{
	struct mono asked = later_of(t->asked, a->tx_data);

	if (t->attempts > 0 && has_passed(now, asked, WG_REKEY_ATTEMPT_TIME_NS)) {
		end_handshake(t, now);
		return WG_GIVE_UP;
	}
	if (is_after(t->initiation_due, now))
		return 0;
	t->attempts++;
	t->initiation_sent = t->sent = now;
	t->initiation_due = mono_add_ns(now, WG_REKEY_TIMEOUT_NS + jitter_ns);
	return WG_SEND_INITIATION;
}

static unsigned
step_keepalive(struct wg_timers *t,
	const struct stamps *a,
	const struct wg_session_view *s,
	struct mono now)
{
	bool owed = !mono_is_never(t->owing) && has_passed(now, t->owing, WG_KEEPALIVE_TIMEOUT_NS);

	if (owed)
		t->owing = (struct mono){};
	if (!wg_session_is_usable(s, now) || (!owed && !is_persistent_due(t, a, now)))
		return 0;
	t->sent = now;
	t->owing = (struct mono){};
	return WG_SEND_KEEPALIVE;
}

static unsigned
step_zeroing(struct wg_timers *t, const struct wg_session_view *s, struct mono now)
{
	if (!s->exists || s->birth.ns == t->zeroed_birth.ns ||
		!has_passed(now, s->birth, WG_ZERO_KEYS_NS))
		return 0;
	t->zeroed_birth = s->birth;
	return WG_ZERO_KEYS;
}

static void
take_earlier(struct mono *deadline, struct mono candidate)
{
	if (mono_is_never(*deadline) || is_after(*deadline, candidate))
		*deadline = candidate;
}

static struct mono
next_deadline(const struct wg_timers *t,
	const struct stamps *a,
	const struct wg_session_view *s,
	struct mono now)
{
	struct mono next = {};

	if (t->handshaking) {
		take_earlier(&next, t->initiation_due);
		take_earlier(&next,
			mono_add_ns(later_of(t->asked, a->tx_data), WG_REKEY_ATTEMPT_TIME_NS));
	}
	if (!mono_is_never(t->unanswered))
		take_earlier(&next, mono_add_ns(t->unanswered, WG_UNANSWERED_NS));
	if (!mono_is_never(t->owing))
		take_earlier(&next, mono_add_ns(t->owing, WG_KEEPALIVE_TIMEOUT_NS));
	if (t->persistent_ns > 0 && !(t->handshaking && !wg_session_is_usable(s, now)))
		take_earlier(&next, mono_add_ns(later_of(a->any_tx, t->sent), t->persistent_ns));
	if (s->exists && s->birth.ns != t->zeroed_birth.ns)
		take_earlier(&next, mono_add_ns(s->birth, WG_ZERO_KEYS_NS));

	// What fell due within this step (a persistent keepalive after giving up) is for the next
	// one.
	if (!mono_is_never(next) && !is_after(next, now))
		next = mono_add_ns(now, SCAN_NS);
	return next;
}

unsigned
wg_timers_step(struct wg_timers *t,
	const struct wg_activity *activity,
	const struct wg_session_view *session,
	struct mono now,
	int64_t jitter_ns,
	struct mono *ret_deadline)
{
	struct stamps a = stamps_of(t, activity, now);
	struct wg_session_view s = *session;
	unsigned actions = 0;

	s.birth = earlier_of(s.birth, now);
	if (t->handshaking && is_superseded(t, &s, now))
		end_handshake(t, s.birth);
	note_owing(t, &a);
	note_unanswered(t, &a);

	if (!t->handshaking) {
		bool unanswered = !mono_is_never(t->unanswered) &&
		                  has_passed(now, t->unanswered, WG_UNANSWERED_NS);
		bool keepalive_lacks_session =
			is_persistent_due(t, &a, now) && !wg_session_is_usable(&s, now);

		if (unanswered || keepalive_lacks_session || is_worn(t, &a, &s, now))
			begin_handshake(t, now);
	}
	if (t->handshaking)
		actions |= step_handshake(t, &a, now, jitter_ns);
	actions |= step_keepalive(t, &a, &s, now);
	actions |= step_zeroing(t, &s, now);

	t->scanned = now;
	*ret_deadline = next_deadline(t, &a, &s, now);
	return actions;
}
