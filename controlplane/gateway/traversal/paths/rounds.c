/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source: ../shared/protocol/peer.md 2.7.
 */

#include <string.h>

#include "controlplane/gateway/traversal/paths/member.h"

static bool
is_due(struct mono last, int64_t interval_ns, struct mono now)
{
	return mono_is_never(last) || mono_diff_ns(now, last) >= interval_ns;
}

/* --- one ping --- */

struct wanted_ping {
	struct endpoint to; /* ADDR_NONE: through the relay */
	struct addr local;
	uint16_t region;
	size_t payload_len; /* 0: the shortest */
	bool is_asked;
	uint64_t token;
};

static bool
start_ping(struct paths *paths, struct member *m, const struct wanted_ping *wanted, struct mono now)
{
	struct disco_message message = { .type = DISCO_PING, .ping.node_key = paths->self_node };
	struct ping ping = {
		.to = wanted->to,
		.region = wanted->region,
		.payload_len = DISCO_PING_LEN,
		.is_asked = wanted->is_asked,
		.token = wanted->token,
		.sent = now,
	};

	if (!member_speaks_disco(paths, m))
		return false;
	if (wanted->payload_len > DISCO_PING_LEN)
		ping.payload_len = (uint32_t)wanted->payload_len;
	paths->calls.random(paths->calls.context, ping.txid, sizeof(ping.txid));
	memcpy(message.ping.txid, ping.txid, sizeof(ping.txid));
	message.ping.padding = ping.payload_len - DISCO_PING_LEN;
	// What cannot be noted need not leave.
	if (pings_add(&m->pings, &ping) < 0)
		return false;
	paths->counters.pings_out++;
	if (wanted->to.addr.family == ADDR_NONE
			? send_disco_relay(paths, m, &message, wanted->region)
			: send_disco_udp(paths, m, &message, &wanted->to, &wanted->local))
		return true;
	pings_drop_last(&m->pings);
	return false;
}

/* --- rounds --- */

// A bucket that fills with time: how much is in it follows from when all was paid.
static bool
may_ping(struct member *m, struct mono now)
{
	if (m->pings_paid.ns < now.ns)
		m->pings_paid = now;
	if (mono_diff_ns(m->pings_paid, now) >= PINGS_AT_ONCE * PING_COST_NS)
		return false;
	m->pings_paid = mono_add_ns(m->pings_paid, PING_COST_NS);
	return true;
}

// Whether it left.
static bool
ping_candidate(struct paths *paths, struct member *m, struct candidate *c, struct mono now)
{
	struct wanted_ping wanted = { .to = c->endpoint };

	if (!is_due(c->last_ping, PATH_PING_INTERVAL_NS, now))
		return false;
	if (!may_ping(m, now)) {
		paths->counters.throttled++;
		return false;
	}
	if (endpoint_equal(&c->endpoint, &m->best.endpoint))
		wanted.local = m->local;
	c->last_ping = now;
	return start_ping(paths, m, &wanted, now);
}

void
rounds_ping_all(struct paths *paths, struct member *m, bool call_me_maybe, struct mono now)
{
	bool some = false;

	if (!member_speaks_disco(paths, m))
		return;
	m->last_ping_all = now;
	candidates_prune(&m->candidates, &m->best.endpoint, now);
	for (uint16_t i = 0; i < m->candidates.n; i++)
		some |= ping_candidate(paths, m, &m->candidates.items[i], now);
	// The reference says nothing to a peer without candidates.  It may know where it is by now.
	if (call_me_maybe && (some || m->candidates.n == 0))
		rounds_call_me_maybe(paths, m, false, now);
}

static void
ping_best(struct paths *paths, struct member *m, struct mono now)
{
	struct wanted_ping wanted = { .to = m->best.endpoint, .local = m->local };
	struct candidate *c;

	if (!path_exists(&m->best))
		return;
	c = candidates_find(&m->candidates, &m->best.endpoint);
	if (c != NULL)
		c->last_ping = now;
	if (!start_ping(paths, m, &wanted, now))
		choice_distrust(m);
}

static bool
wants_ping_all(const struct member *m, struct mono now)
{
	return path_wants_ping_all(&m->best, m->trusted_until, m->last_ping_all, now);
}

void
rounds_on_activity(struct paths *paths, struct member *m, struct mono now)
{
	if (!member_speaks_disco(paths, m))
		return;
	if (mono_is_never(m->heartbeat))
		m->heartbeat = mono_add_ns(now, PATH_HEARTBEAT_INTERVAL_NS);
	if (path_needs_relay(&m->best, m->trusted_until, now))
		rounds_ping_all(paths, m, true, now);
}

/* --- call-me-maybe --- */

void
rounds_stop_waiting(struct paths *paths, struct member *m)
{
	if (!mono_is_never(m->wants_call_me_maybe))
		paths->n_waiting--;
	m->wants_call_me_maybe = (struct mono){};
}

static void
wait_for_endpoints(struct paths *paths, struct member *m, struct mono now)
{
	if (!mono_is_never(m->wants_call_me_maybe))
		return;
	m->wants_call_me_maybe = now;
	paths->n_waiting++;
}

static bool
has_patience(const struct member *m, struct mono now)
{
	return mono_is_never(m->wants_call_me_maybe) ||
	       mono_diff_ns(now, m->wants_call_me_maybe) < FRESH_PATIENCE_NS;
}

void
rounds_call_me_maybe(struct paths *paths, struct member *m, bool is_fresh, struct mono now)
{
	struct disco_message message = { .type = DISCO_CALL_ME_MAYBE };
	struct endpoint own[PATHS_MAX_OWN_ENDPOINTS];
	uint8_t bytes[PATHS_MAX_OWN_ENDPOINTS * DISCO_ENDPOINT_LEN];
	bool ours_fresh = true;
	size_t n;

	if (member_region(m) == 0 || !member_speaks_disco(paths, m) ||
		!is_due(m->last_call_me_maybe, PATH_PING_INTERVAL_NS, now))
		return;
	n = paths->calls.own_endpoints(
		paths->calls.context, own, PATHS_MAX_OWN_ENDPOINTS, &ours_fresh);
	if (!ours_fresh && !is_fresh && has_patience(m, now)) {
		wait_for_endpoints(paths, m, now);
		return;
	}
	rounds_stop_waiting(paths, m);
	message.call_me_maybe = disco_endpoints_write(bytes, own, n);
	m->last_call_me_maybe = now;
	if (send_disco_relay(paths, m, &message, member_region(m)))
		paths->counters.call_me_maybes_out++;
}

/* --- pings that were asked for --- */

void
rounds_tell_pong(struct paths *paths,
	struct member *m,
	uint64_t token,
	const struct paths_pong *pong)
{
	pings_forget_token(&m->pings, token);
	paths->calls.pong(paths->calls.context, token, pong);
}

void
rounds_cancel_pings(struct paths *paths, struct member *m)
{
	struct ping ping;

	while (m->pings.n > 0) {
		uint8_t txid[DISCO_TXID_LEN];

		memcpy(txid, m->pings.items[0].txid, sizeof(txid));
		(void)pings_take(&m->pings, txid, &ping);
		if (ping.is_asked)
			rounds_tell_pong(paths, m, ping.token, &(struct paths_pong){});
	}
}

// Whether any left.
static bool
ask_all_ways(struct paths *paths, struct member *m, struct wanted_ping wanted, struct mono now)
{
	bool some = false;

	if (path_is_trusted(m->trusted_until, now)) {
		wanted.to = m->best.endpoint;
		wanted.local = m->local;
		return start_ping(paths, m, &wanted, now);
	}
	candidates_prune(&m->candidates, &m->best.endpoint, now);
	for (uint16_t i = 0; i < m->candidates.n; i++) {
		struct candidate *c = &m->candidates.items[i];

		c->last_ping = now;
		wanted.to = c->endpoint;
		some |= start_ping(paths, m, &wanted, now);
	}
	if (member_region(m) == 0)
		return some;
	wanted.to = (struct endpoint){};
	wanted.region = member_region(m);
	return start_ping(paths, m, &wanted, now) || some;
}

void
rounds_ping_asked(struct paths *paths,
	struct member *m,
	uint64_t token,
	size_t size,
	struct mono now)
{
	struct wanted_ping wanted = { .payload_len = size, .is_asked = true, .token = token };

	if (size > PATHS_MAX_PING_LEN)
		wanted.payload_len = PATHS_MAX_PING_LEN;
	if (!ask_all_ways(paths, m, wanted, now)) {
		rounds_tell_pong(paths, m, token, &(struct paths_pong){});
		return;
	}
	m->last_sent = now;
	if (!path_is_trusted(m->trusted_until, now))
		rounds_call_me_maybe(paths, m, false, now);
	rounds_on_activity(paths, m, now);
}

/* --- time --- */

static void
on_timeout(struct paths *paths, struct member *m, const struct ping *ping, struct mono now)
{
	if (ping->is_asked && !pings_is_asked(&m->pings, ping->token))
		rounds_tell_pong(paths, m, ping->token, &(struct paths_pong){});
	// Without a relay a bad path is better than none.
	if (ping->to.addr.family != ADDR_NONE && member_region(m) != 0 &&
		endpoint_equal(&ping->to, &m->best.endpoint) &&
		!path_is_trusted(m->trusted_until, now))
		choice_forget(m);
}

static void
heartbeat(struct paths *paths, struct member *m, struct mono now)
{
	m->heartbeat = (struct mono){};
	if (!member_is_active(m, now) || !member_speaks_disco(paths, m))
		return;
	m->heartbeat = mono_add_ns(now, PATH_HEARTBEAT_INTERVAL_NS);
	ping_best(paths, m, now);
	if (wants_ping_all(m, now))
		rounds_ping_all(paths, m, true, now);
}

static bool
is_past(struct mono at, struct mono now)
{
	return !mono_is_never(at) && at.ns <= now.ns;
}

void
rounds_step(struct paths *paths, struct member *m, struct mono now)
{
	struct ping ping;

	m->is_new = false;
	while (pings_take_expired(&m->pings, now, &ping))
		on_timeout(paths, m, &ping, now);
	if (m->is_trusted && !path_is_trusted(m->trusted_until, now)) {
		choice_distrust(m);
		if (member_is_active(m, now))
			rounds_ping_all(paths, m, true, now);
	}
	if (is_past(m->kick, now)) {
		m->kick = (struct mono){};
		ping_best(paths, m, now);
		if (member_is_active(m, now) && wants_ping_all(m, now))
			rounds_ping_all(paths, m, true, now);
	}
	if (is_past(m->heartbeat, now))
		heartbeat(paths, m, now);
}
