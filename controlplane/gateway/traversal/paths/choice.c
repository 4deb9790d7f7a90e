/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/path_peer.h"

static void
trust(struct path_peer *p, struct mono now)
{
	p->trusted_until = mono_add_ns(now, PATH_TRUST_NS);
	p->is_trusted = true;
}

void
choice_on_pong(struct path_peer *p,
	const struct path *path,
	const struct addr *local,
	struct mono now)
{
	if (path_replaces(path, &p->best, p->trusted_until, now))
		p->best = *path;
	if (!path_is_same_way(path, &p->best))
		return;
	p->best.latency_ns = path->latency_ns;
	if (local->family != ADDR_NONE)
		p->local = *local;
	else if (p->local.family != path->endpoint.addr.family)
		p->local = (struct addr){};
	trust(p, now);
}

void
choice_adopt(struct path_peer *p,
	const struct endpoint *endpoint,
	const struct addr *local,
	bool is_trusted,
	struct mono now)
{
	p->best = (struct path){ .endpoint = *endpoint, .wire_mtu = PATH_SAFE_WIRE_MTU };
	p->local = *local;
	if (is_trusted)
		trust(p, now);
	else
		choice_distrust(p);
}

void
choice_distrust(struct path_peer *p)
{
	p->trusted_until = (struct mono){};
	p->is_trusted = false;
}

void
choice_forget(struct path_peer *p)
{
	choice_distrust(p);
	p->best = (struct path){};
	p->local = (struct addr){};
}

struct paths_choice
choice_of(const struct path_peer *p, struct mono now)
{
	struct paths_choice choice = {};

	if (p->is_expired)
		return choice;
	choice.direct = p->best.endpoint;
	choice.local = p->local;
	if (p->is_wireguard_only)
		return choice;
	if (path_needs_relay(&p->best, p->trusted_until, now) && path_peer_region(p) != 0) {
		choice.relay = true;
		choice.region = path_peer_region(p);
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
next_of(const struct path_peer *p)
{
	struct mono next = pings_next(&p->pings);

	sooner(&next, p->heartbeat);
	sooner(&next, p->kick);
	// Trust includes its last moment.
	if (p->is_trusted)
		sooner(&next, mono_add_ns(p->trusted_until, 1));
	return next;
}

void
choice_settle(struct paths *paths, struct path_peer *p, struct mono now)
{
	struct paths_choice choice = choice_of(p, now);

	// Cannot fail: there has been a deadline for this number before.
	(void)deadlines_set(&paths->deadlines, p->number, p->is_new ? now : next_of(p));
	if (p->is_new || is_same_choice(&choice, &p->told))
		return;
	p->told = choice;
	paths->calls.chosen(paths->calls.context, p->number, &choice);
}
