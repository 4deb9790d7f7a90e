/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/member.h"

bool
paths_state(const struct paths *paths,
	uint32_t peer,
	struct mono now,
	struct paths_state *ret_state)
{
	const struct member *m = paths_member(paths, peer);

	if (m == NULL)
		return false;
	*ret_state = (struct paths_state){
		.choice = m->told,
		.is_trusted = path_exists(&m->best) && path_is_trusted(m->trusted_until, now),
		.is_active = member_is_active(m, now),
		.latency_ns = m->best.latency_ns,
		.home_region = m->home_region,
		.heard_region = m->heard_region,
		.last_ping_all = m->last_ping_all,
		.n_candidates = m->candidates.n,
	};
	return true;
}

size_t
paths_candidates(const struct paths *paths,
	uint32_t peer,
	struct paths_candidate *ret_candidates,
	size_t max)
{
	const struct member *m = paths_member(paths, peer);
	size_t n = 0;

	for (; m != NULL && n < m->candidates.n && n < max; n++) {
		const struct candidate *c = &m->candidates.items[n];

		ret_candidates[n] = (struct paths_candidate){
			.endpoint = c->endpoint,
			.is_from_map = c->from_map,
			.is_from_peer = c->from_peer,
			.is_heard = !mono_is_never(c->last_heard),
			.is_best = endpoint_equal(&c->endpoint, &m->best.endpoint),
			.latency_ns = c->latency_ns,
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
