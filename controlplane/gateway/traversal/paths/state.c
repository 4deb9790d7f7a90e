/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/path_peer.h"

bool
paths_state(const struct paths *paths,
	uint32_t peer,
	struct mono now,
	struct paths_state *ret_state)
{
	const struct path_peer *p = paths_peer_at(paths, peer);

	if (p == NULL)
		return false;
	*ret_state = (struct paths_state){
		.choice = p->told,
		.is_trusted = path_exists(&p->best) && path_is_trusted(p->trusted_until, now),
		.trusted_until = p->trusted_until,
		.is_active = path_peer_is_active(p, now),
		.latency_ns = p->best.latency_ns,
		.home_region = p->home_region,
		.heard_region = p->heard_region,
		.last_ping_all = p->last_ping_all,
		.n_candidates = p->candidates.n,
	};
	return true;
}

size_t
paths_candidates(const struct paths *paths,
	uint32_t peer,
	struct paths_candidate *ret_candidates,
	size_t max)
{
	const struct path_peer *p = paths_peer_at(paths, peer);
	size_t n = 0;

	for (; p != NULL && n < p->candidates.n && n < max; n++) {
		const struct candidate *c = &p->candidates.items[n];

		ret_candidates[n] = (struct paths_candidate){
			.endpoint = c->endpoint,
			.is_from_map = c->from_map,
			.is_from_peer = c->from_peer,
			.is_heard = !mono_is_never(c->last_heard),
			.is_best = endpoint_equal(&c->endpoint, &p->best.endpoint),
			.latency_ns = c->latency_ns,
			.last_ping = c->last_ping,
			.last_pong = c->last_pong,
		};
	}
	return n;
}

void
paths_counters(const struct paths *paths, struct paths_counters *ret_counters)
{
	*ret_counters = paths->counters;
}
