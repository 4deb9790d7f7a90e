/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source: ../shared/protocol/peer.md 2.7.
 */

#include <string.h>

#include "controlplane/gateway/traversal/paths/path_peer.h"

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
start_ping(struct paths *paths,
	struct path_peer *p,
	const struct wanted_ping *wanted,
	struct mono now)
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

	if (!path_peer_speaks_disco(paths, p))
		return false;
	if (wanted->payload_len > DISCO_PING_LEN)
		ping.payload_len = (uint32_t)wanted->payload_len;
	paths->calls.random(paths->calls.context, ping.txid, sizeof(ping.txid));
	memcpy(message.ping.txid, ping.txid, sizeof(ping.txid));
	message.ping.padding = ping.payload_len - DISCO_PING_LEN;
	// What cannot be noted need not leave.
	if (pings_add(&p->pings, &ping) < 0)
		return false;
	paths->counters.pings_out++;
	if (wanted->to.addr.family == ADDR_NONE
			? send_disco_relay(paths, p, &message, wanted->region)
			: send_disco_udp(paths, p, &message, &wanted->to, &wanted->local))
		return true;
	pings_drop_last(&p->pings);
	return false;
}

/* --- rounds --- */

// A bucket that fills with time: how much is in it follows from when all was paid.
static bool
may_ping(struct path_peer *p, struct mono now)
{
	if (p->pings_paid.ns < now.ns)
		p->pings_paid = now;
	if (mono_diff_ns(p->pings_paid, now) >= PINGS_AT_ONCE * PING_COST_NS)
		return false;
	p->pings_paid = mono_add_ns(p->pings_paid, PING_COST_NS);
	return true;
}

// Whether it left.
static bool
ping_candidate(struct paths *paths, struct path_peer *p, struct candidate *c, struct mono now)
{
	struct wanted_ping wanted = { .to = c->endpoint };

	if (!is_due(c->last_ping, PATH_PING_INTERVAL_NS, now))
		return false;
	if (!may_ping(p, now)) {
		paths->counters.throttled++;
		return false;
	}
	if (endpoint_equal(&c->endpoint, &p->best.endpoint))
		wanted.local = p->local;
	c->last_ping = now;
	return start_ping(paths, p, &wanted, now);
}

void
rounds_ping_all(struct paths *paths, struct path_peer *p, bool call_me_maybe, struct mono now)
{
	bool some = false;

	if (!path_peer_speaks_disco(paths, p))
		return;
	p->last_ping_all = now;
	candidates_prune(&p->candidates, &p->best.endpoint, now);
	for (uint16_t i = 0; i < p->candidates.n; i++)
		some |= ping_candidate(paths, p, &p->candidates.items[i], now);
	// The reference says nothing to a peer without candidates.  It may know where it is by now.
	if (call_me_maybe && (some || p->candidates.n == 0))
		rounds_call_me_maybe(paths, p, false, now);
}

static void
ping_best(struct paths *paths, struct path_peer *p, struct mono now)
{
	struct wanted_ping wanted = { .to = p->best.endpoint, .local = p->local };
	struct candidate *c;

	if (!path_exists(&p->best))
		return;
	c = candidates_find(&p->candidates, &p->best.endpoint);
	if (c != NULL)
		c->last_ping = now;
	if (!start_ping(paths, p, &wanted, now))
		choice_distrust(p);
}

static bool
wants_ping_all(const struct path_peer *p, struct mono now)
{
	return path_wants_ping_all(&p->best, p->trusted_until, p->last_ping_all, now);
}

void
rounds_on_activity(struct paths *paths, struct path_peer *p, struct mono now)
{
	if (!path_peer_speaks_disco(paths, p))
		return;
	if (mono_is_never(p->heartbeat))
		p->heartbeat = mono_add_ns(now, PATH_HEARTBEAT_INTERVAL_NS);
	if (path_needs_relay(&p->best, p->trusted_until, now))
		rounds_ping_all(paths, p, true, now);
}

/* --- call-me-maybe --- */

void
rounds_stop_waiting(struct paths *paths, struct path_peer *p)
{
	if (!mono_is_never(p->wants_call_me_maybe))
		paths->n_waiting--;
	p->wants_call_me_maybe = (struct mono){};
}

static void
wait_for_endpoints(struct paths *paths, struct path_peer *p, struct mono now)
{
	if (!mono_is_never(p->wants_call_me_maybe))
		return;
	p->wants_call_me_maybe = now;
	paths->n_waiting++;
}

static bool
has_patience(const struct path_peer *p, struct mono now)
{
	return mono_is_never(p->wants_call_me_maybe) ||
	       mono_diff_ns(now, p->wants_call_me_maybe) < FRESH_PATIENCE_NS;
}

void
rounds_call_me_maybe(struct paths *paths, struct path_peer *p, bool is_fresh, struct mono now)
{
	struct disco_message message = { .type = DISCO_CALL_ME_MAYBE };
	struct endpoint own[PATHS_MAX_OWN_ENDPOINTS];
	uint8_t bytes[PATHS_MAX_OWN_ENDPOINTS * DISCO_ENDPOINT_LEN];
	bool ours_fresh = true;
	size_t n;

	if (path_peer_region(p) == 0 || !path_peer_speaks_disco(paths, p) ||
		!is_due(p->last_call_me_maybe, PATH_PING_INTERVAL_NS, now))
		return;
	n = paths->calls.own_endpoints(
		paths->calls.context, own, PATHS_MAX_OWN_ENDPOINTS, &ours_fresh);
	if (!ours_fresh && !is_fresh && has_patience(p, now)) {
		wait_for_endpoints(paths, p, now);
		return;
	}
	rounds_stop_waiting(paths, p);
	message.call_me_maybe = disco_endpoints_write(bytes, own, n);
	p->last_call_me_maybe = now;
	if (send_disco_relay(paths, p, &message, path_peer_region(p)))
		paths->counters.call_me_maybes_out++;
}

/* --- pings that were asked for --- */

void
rounds_tell_pong(struct paths *paths,
	struct path_peer *p,
	uint64_t token,
	const struct paths_pong *pong)
{
	pings_forget_token(&p->pings, token);
	paths->calls.pong(paths->calls.context, token, pong);
}

void
rounds_cancel_pings(struct paths *paths, struct path_peer *p)
{
	struct ping ping;

	while (p->pings.n > 0) {
		uint8_t txid[DISCO_TXID_LEN];

		memcpy(txid, p->pings.items[0].txid, sizeof(txid));
		(void)pings_take(&p->pings, txid, &ping);
		if (ping.is_asked)
			rounds_tell_pong(paths, p, ping.token, &(struct paths_pong){});
	}
}

// Whether any left.
static bool
ask_all_ways(struct paths *paths, struct path_peer *p, struct wanted_ping wanted, struct mono now)
{
	bool some = false;

	if (path_is_trusted(p->trusted_until, now)) {
		wanted.to = p->best.endpoint;
		wanted.local = p->local;
		return start_ping(paths, p, &wanted, now);
	}
	candidates_prune(&p->candidates, &p->best.endpoint, now);
	for (uint16_t i = 0; i < p->candidates.n; i++) {
		struct candidate *c = &p->candidates.items[i];

		c->last_ping = now;
		wanted.to = c->endpoint;
		some |= start_ping(paths, p, &wanted, now);
	}
	if (path_peer_region(p) == 0)
		return some;
	wanted.to = (struct endpoint){};
	wanted.region = path_peer_region(p);
	return start_ping(paths, p, &wanted, now) || some;
}

void
rounds_ping_asked(struct paths *paths,
	struct path_peer *p,
	uint64_t token,
	size_t size,
	struct mono now)
{
	struct wanted_ping wanted = { .payload_len = size, .is_asked = true, .token = token };

	if (size > PATHS_MAX_PING_LEN)
		wanted.payload_len = PATHS_MAX_PING_LEN;
	if (!ask_all_ways(paths, p, wanted, now)) {
		rounds_tell_pong(paths, p, token, &(struct paths_pong){});
		return;
	}
	p->last_sent = now;
	if (!path_is_trusted(p->trusted_until, now))
		rounds_call_me_maybe(paths, p, false, now);
	rounds_on_activity(paths, p, now);
}

/* --- time --- */

static void
on_timeout(struct paths *paths, struct path_peer *p, const struct ping *ping, struct mono now)
{
	if (ping->is_asked && !pings_is_asked(&p->pings, ping->token))
		rounds_tell_pong(paths, p, ping->token, &(struct paths_pong){});
	// Without a relay a bad path is better than none.
	if (ping->to.addr.family != ADDR_NONE && path_peer_region(p) != 0 &&
		endpoint_equal(&ping->to, &p->best.endpoint) &&
		!path_is_trusted(p->trusted_until, now))
		choice_forget(p);
}

static void
heartbeat(struct paths *paths, struct path_peer *p, struct mono now)
{
	p->heartbeat = (struct mono){};
	if (!path_peer_is_active(p, now) || !path_peer_speaks_disco(paths, p))
		return;
	p->heartbeat = mono_add_ns(now, PATH_HEARTBEAT_INTERVAL_NS);
	ping_best(paths, p, now);
	if (wants_ping_all(p, now))
		rounds_ping_all(paths, p, true, now);
}

static bool
is_past(struct mono at, struct mono now)
{
	return !mono_is_never(at) && at.ns <= now.ns;
}

void
rounds_step(struct paths *paths, struct path_peer *p, struct mono now)
{
	struct ping ping;

	p->is_new = false;
	while (pings_take_expired(&p->pings, now, &ping))
		on_timeout(paths, p, &ping, now);
	if (p->is_trusted && !path_is_trusted(p->trusted_until, now)) {
		choice_distrust(p);
		if (path_peer_is_active(p, now))
			rounds_ping_all(paths, p, true, now);
	}
	if (is_past(p->kick, now)) {
		p->kick = (struct mono){};
		ping_best(paths, p, now);
		if (path_peer_is_active(p, now) && wants_ping_all(p, now))
			rounds_ping_all(paths, p, true, now);
	}
	if (is_past(p->heartbeat, now))
		heartbeat(paths, p, now);
}
