/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/peer_caps.h"

#include <string.h>

#define CAP_INGRESS "https://tailscale.com/cap/ingress"

static bool
names_destination(const struct filter_grant *g, const struct addr *dst)
{
	for (size_t i = 0; i < g->n_dsts; i++)
		if (prefix_contains(&g->dsts[i], dst))
			return true;
	return false;
}

static bool
may_have(const struct peer_caps *walk, const struct filter_cap *cap)
{
	return cap->name[0] != '\0' && (!walk->is_unsigned || strcmp(cap->name, CAP_INGRESS) == 0);
}

// The next capability of one grant, or NULL.
static const struct filter_cap *
next_in_grant(struct peer_caps *walk, const struct filter_grant *g)
{
	if (!names_destination(g, &walk->dst))
		return NULL;
	while (walk->cap < g->n_caps) {
		const struct filter_cap *cap = &g->caps[walk->cap++];

		if (may_have(walk, cap))
			return cap;
	}
	return NULL;
}

static const struct filter_cap *
next_in_rule(struct peer_caps *walk, const struct filter_rule *r)
{
	if (r->n_grants == 0 || !filter_rule_names_source(r, &walk->src))
		return NULL;
	for (; walk->grant < r->n_grants; walk->grant++, walk->cap = 0) {
		const struct filter_cap *cap = next_in_grant(walk, &r->grants[walk->grant]);

		if (cap != NULL)
			return cap;
	}
	return NULL;
}

const struct filter_cap *
peer_caps_next(struct peer_caps *walk)
{
	for (; walk->rule < walk->rules->n; walk->rule++, walk->grant = 0) {
		const struct filter_cap *cap = next_in_rule(walk, &walk->rules->rules[walk->rule]);

		if (cap != NULL)
			return cap;
	}
	return NULL;
}

bool
peer_caps_open_to_unsigned(const struct filter_rules *rules, const struct addr_set *allowed_ips)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct filter_rule *r = &rules->rules[i];

		for (size_t s = 0; r->n_dsts > 0 && s < r->n_srcs; s++)
			if (addr_set_overlaps(allowed_ips, &r->srcs[s]))
				return true;
	}
	return false;
}
