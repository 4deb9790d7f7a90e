/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/member.h"

static void
trust(struct member *m, struct mono now)
{
	m->trusted_until = mono_add_ns(now, PATH_TRUST_NS);
	m->is_trusted = true;
}

void
choice_on_pong(struct member *m, const struct path *path, const struct addr *local, struct mono now)
{
	if (path_replaces(path, &m->best, m->trusted_until, now))
		m->best = *path;
	if (!path_is_same_way(path, &m->best))
		return;
	m->best.latency_ns = path->latency_ns;
	if (local->family != ADDR_NONE)
		m->local = *local;
	else if (m->local.family != path->endpoint.addr.family)
		m->local = (struct addr){};
	trust(m, now);
}

void
choice_adopt(struct member *m,
	const struct endpoint *endpoint,
	const struct addr *local,
	bool is_trusted,
	struct mono now)
{
	m->best = (struct path){ .endpoint = *endpoint, .wire_mtu = PATH_SAFE_WIRE_MTU };
	m->local = *local;
	if (is_trusted)
		trust(m, now);
	else
		choice_distrust(m);
}

void
choice_distrust(struct member *m)
{
	m->trusted_until = (struct mono){};
	m->is_trusted = false;
}

void
choice_forget(struct member *m)
{
	choice_distrust(m);
	m->best = (struct path){};
	m->local = (struct addr){};
}

struct paths_choice
choice_of(const struct member *m, struct mono now)
{
	struct paths_choice choice = {};

	if (m->is_expired)
		return choice;
	choice.direct = m->best.endpoint;
	choice.local = m->local;
	if (m->is_wireguard_only)
		return choice;
	if (path_needs_relay(&m->best, m->trusted_until, now) && member_region(m) != 0) {
		choice.relay = true;
		choice.region = member_region(m);
	}
	return choice;
}

static bool
is_same_choice(const struct paths_choice *a, const struct paths_choice *b)
{
	return endpoint_equal(&a->direct, &b->direct) && addr_equal(&a->local, &b->local) &&
	       a->relay == b->relay && a->region == b->region;
}

static void
sooner(struct mono *next, struct mono at)
{
	if (!mono_is_never(at) && (mono_is_never(*next) || at.ns < next->ns))
		*next = at;
}

static struct mono
next_of(const struct member *m)
{
	struct mono next = pings_next(&m->pings);

	sooner(&next, m->heartbeat);
	sooner(&next, m->kick);
	// Trust includes its last moment.
	if (m->is_trusted)
		sooner(&next, mono_add_ns(m->trusted_until, 1));
	return next;
}

void
choice_settle(struct paths *paths, struct member *m, struct mono now)
{
	struct paths_choice choice = choice_of(m, now);

	// Cannot fail: there has been a deadline for this number before.
	(void)deadlines_set(&paths->deadlines, m->number, m->is_new ? now : next_of(m));
	if (m->is_new || is_same_choice(&choice, &m->told))
		return;
	m->told = choice;
	paths->calls.chosen(paths->calls.context, m->number, &choice);
}
