/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/netcheck.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/netcheck/home_region.h"
#include "controlplane/gateway/traversal/netcheck/https_probe.h"
#include "controlplane/gateway/traversal/netcheck/probe_plan.h"
#include "controlplane/gateway/traversal/netcheck/round.h"
#include "controlplane/gateway/traversal/netcheck/stun_nodes.h"

#define FULL_EVERY_NS (5 * 60 * NS_PER_S)

enum phase {
	PHASE_IDLE,
	PHASE_STUN,
	PHASE_HTTPS,
};

struct netcheck {
	struct stream_set *set;
	struct netcheck_calls calls;
	struct derp_map *map;
	struct stun_nodes *nodes;
	bool plain, is_connected;
	uint64_t seed;
	int32_t home;

	enum phase phase;
	struct round round;
	struct https_probes *https;
	struct mono https_until;

	struct home_history history;
	bool has_report;     /* `last` is one */
	bool is_measured;    /* and it tells of this network */
	struct mono full_at; /* the last full round's end; never: none */
	struct netcheck_report last;
	struct planned_probe plan[PROBE_PLAN_MAX];
};

int
netcheck_create(struct stream_set *set,
	const struct netcheck_calls *calls,
	struct netcheck **ret_netcheck)
{
	struct netcheck *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	n->set = set;
	n->calls = *calls;
	n->is_connected = true;
	calls->random(calls->context, &n->seed, sizeof(n->seed));
	*ret_netcheck = n;
	return 0;
}

static void
end_round(struct netcheck *n)
{
	n->phase = PHASE_IDLE;
	https_probes_destroy(n->https);
	n->https = NULL;
	round_fini(&n->round);
}

void
netcheck_destroy(struct netcheck *n)
{
	if (n == NULL)
		return;
	end_round(n);
	home_history_clear(&n->history);
	stun_nodes_destroy(n->nodes);
	derp_map_destroy(n->map);
	free(n);
}

bool
netcheck_has_map(const struct netcheck *n, const struct derp_map *map)
{
	return derp_map_equal(n->map, map);
}

int
netcheck_set_map(struct netcheck *n, const struct derp_map *map)
{
	struct stun_nodes *nodes = NULL;
	struct derp_map *copy = NULL;
	int err = map != NULL ? derp_map_copy(map, &copy) : 0;

	if (err == 0 && copy != NULL)
		err = stun_nodes_create(n->set, copy, &nodes);
	if (err < 0) {
		derp_map_destroy(copy);
		return err;
	}
	netcheck_reset(n);
	stun_nodes_destroy(n->nodes);
	derp_map_destroy(n->map);
	n->map = copy;
	n->nodes = nodes;
	return 0;
}

void
netcheck_set_home(struct netcheck *n, int32_t region_id)
{
	n->home = region_id;
}

void
netcheck_set_connected(struct netcheck *n, bool is_connected)
{
	n->is_connected = is_connected;
}

void
netcheck_set_plain_http(struct netcheck *n, bool plain)
{
	n->plain = plain;
}

void
netcheck_reset(struct netcheck *n)
{
	end_round(n);
	home_history_clear(&n->history);
	n->is_measured = false;
}

bool
netcheck_is_running(const struct netcheck *n)
{
	return n->phase != PHASE_IDLE;
}

const struct netcheck_report *
netcheck_report(const struct netcheck *n)
{
	return n->has_report ? &n->last : NULL;
}

/* --- a round --- */

bool
netcheck_start(struct netcheck *n, bool full, const struct netcheck_host *host, struct mono now)
{
	struct probe_plan_input in = {
		.map = n->map, .home = n->home, .has_v4 = host->has_v4, .has_v6 = host->has_v6
	};
	size_t n_probes;

	if (n->map == NULL || n->phase != PHASE_IDLE)
		return false;
	full = full || !n->is_measured || n->last.n_regions == 0 || mono_is_never(n->full_at) ||
	       mono_diff_ns(now, n->full_at) >= FULL_EVERY_NS;
	in.last = full ? NULL : &n->last;
	n_probes = probe_plan(&in, n->plan);
	if (round_init(&n->round, &n->calls, n->map, n->nodes, n->plan, n_probes, now) < 0)
		return false;
	n->round.report.is_full = full;
	n->round.report.os_has_ipv6 = host->has_v6;
	n->phase = PHASE_STUN;
	return true;
}

static int32_t
choose_home(struct netcheck *n, const struct netcheck_report *report)
{
	struct home_question q = { .map = n->map,
		.report = report,
		.began = n->round.began,
		.previous = n->home,
		.may_change = n->is_connected,
		.seed = n->seed };

	if (n->calls.relay_heard != NULL && n->home != 0)
		q.previous_heard = n->calls.relay_heard(n->calls.context, n->home);
	return home_region_choose(&n->history, &q);
}

static void
finish(struct netcheck *n, struct mono now)
{
	struct netcheck_report *report = &n->round.report;

	report->at = now;
	home_history_add(&n->history, report);
	report->preferred_region = n->home = choose_home(n, report);
	if (report->is_full)
		n->full_at = now;
	n->last = *report;
	n->has_report = n->is_measured = true;
	end_round(n);
	n->calls.done(n->calls.context, &n->last);
}

static void
on_https(void *context, int32_t region_id, int64_t latency_us)
{
	struct netcheck *n = context;

	round_take_https(&n->round, region_id, latency_us);
}

// No STUN came through.  Relays that can be reached at all are to be known, and which is near.
static bool
start_https(struct netcheck *n, struct mono now)
{
	if (n->round.report.udp || n->round.n_probes == 0)
		return false;
	if (https_probes_start(n->set, n->map, n->home, n->plain, on_https, n, now, &n->https) < 0)
		return false;
	n->phase = PHASE_HTTPS;
	n->https_until = mono_add_ns(now, HTTPS_PROBE_NS);
	return true;
}

static struct mono
tick_https(struct netcheck *n, struct mono now)
{
	if (https_probes_pending(n->https) > 0 && mono_diff_ns(now, n->https_until) < 0)
		return n->https_until;
	finish(n, now);
	return (struct mono){};
}

static struct mono
tick_stun(struct netcheck *n, struct mono now)
{
	struct mono next = round_send(&n->round, now);

	if (!round_is_over(&n->round, now))
		return next;
	if (start_https(n, now))
		return tick_https(n, now);
	finish(n, now);
	return (struct mono){};
}

struct mono
netcheck_tick(struct netcheck *n, struct mono now)
{
	switch (n->phase) {
	case PHASE_STUN:
		return tick_stun(n, now);
	case PHASE_HTTPS:
		return tick_https(n, now);
	case PHASE_IDLE:
		break;
	}
	return (struct mono){};
}

bool
netcheck_datagram(struct netcheck *n,
	const uint8_t *data,
	size_t len,
	const struct endpoint *from,
	struct mono now)
{
	(void)from; // a server with several addresses may answer from another one; the id is random
	return n->phase == PHASE_STUN && round_datagram(&n->round, data, len, now);
}
