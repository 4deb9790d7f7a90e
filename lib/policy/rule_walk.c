/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/rule_walk.h"

#include <string.h>

static struct addr
addr_of(uint8_t family, const struct acl_addr *a)
{
	struct addr out = { .family = family };

	if (family == ADDR_V4) {
		store_be32(out.bytes, (uint32_t)a->low);
	} else if (family == ADDR_V6) {
		store_be64(out.bytes, a->high);
		store_be64(out.bytes + 8, a->low);
	}
	return out;
}

static bool
in_prefix(const struct addr *a, const char *text)
{
	struct prefix p;

	return prefix_parse(text, &p) == 0 && prefix_contains(&p, a);
}

static bool
is_multicast(const struct addr *dst)
{
	return in_prefix(dst, "224.0.0.0/4") || in_prefix(dst, "ff00::/8") ||
	       in_prefix(dst, "::ffff:224.0.0.0/100");
}

static bool
is_link_local(const struct addr *dst)
{
	return (in_prefix(dst, "169.254.0.0/16") && !in_prefix(dst, "169.254.169.254/32")) ||
	       in_prefix(dst, "fe80::/10") || in_prefix(dst, "::ffff:169.254.0.0/112");
}

// Section 9.3, in its order.  N_ACL_REASONS: no verdict yet.
static enum acl_reason
precheck(const struct acl_packet *k)
{
	struct addr dst = addr_of(k->family, &k->dst);

	if (k->kind == ACL_KIND_EMPTY)
		return ACL_KEEPALIVE;
	if (k->kind == ACL_KIND_SHORT)
		return ACL_TOO_SHORT;
	if (k->kind == ACL_KIND_UNKNOWN)
		return ACL_UNKNOWN_PROTOCOL;
	if (is_multicast(&dst))
		return ACL_MULTICAST;
	if (is_link_local(&dst))
		return ACL_LINK_LOCAL;
	if (k->kind == ACL_KIND_FRAGMENT)
		return ACL_FRAGMENT;
	return N_ACL_REASONS;
}

static bool
node_has_addr(const struct policy_node *node, const struct addr *a)
{
	for (size_t i = 0; i < node->n_addrs; i++)
		if (addr_equal(&node->addrs[i], a))
			return true;
	return false;
}

static bool
node_has_cap(const struct policy_node *node, const char *cap)
{
	for (size_t i = 0; i < node->n_caps; i++)
		if (strcmp(node->caps[i], cap) == 0)
			return true;
	return false;
}

static bool
has_cap_of(const struct policy *p, const struct filter_rule *r, const struct addr *src)
{
	for (size_t i = 0; i < p->n_nodes; i++)
		for (size_t c = 0; c < r->n_src_caps; c++)
			if (node_has_addr(&p->nodes[i], src) &&
				node_has_cap(&p->nodes[i], r->src_caps[c]))
				return true;
	return false;
}

static bool
has_dst_of_family(const struct filter_rule *r, uint8_t family)
{
	for (size_t i = 0; i < r->n_dsts; i++)
		if (r->dsts[i].addrs.first.family == family)
			return true;
	return false;
}

// "Any port open: may ping."
static bool
allows_ping(const struct policy *p, const struct addr *src, const struct addr *dst)
{
	for (size_t i = 0; i < policy_n_rules(p); i++) {
		const struct filter_rule *r = &p->rules->rules[i];

		for (size_t d = 0; d < r->n_dsts; d++)
			if (filter_rule_names_source(r, src) &&
				filter_range_contains(&r->dsts[d].addrs, dst))
				return true;
		if (has_dst_of_family(r, dst->family) && has_cap_of(p, r, src))
			return true;
	}
	return false;
}

static bool
allows_port(const struct policy *p,
	const struct addr *src,
	const struct addr *dst,
	const struct acl_packet *k)
{
	for (size_t i = 0; i < policy_n_rules(p); i++) {
		const struct filter_rule *r = &p->rules->rules[i];

		if (!filter_rule_has_protocol(r, k->protocol))
			continue;
		if (!filter_rule_names_source(r, src) && !has_cap_of(p, r, src))
			continue;
		for (size_t d = 0; d < r->n_dsts; d++)
			if (filter_range_contains(&r->dsts[d].addrs, dst) &&
				r->dsts[d].first_port <= k->dst_port &&
				k->dst_port <= r->dsts[d].last_port)
				return true;
	}
	return false;
}

static bool
allows_protocol(const struct policy *p,
	const struct addr *src,
	const struct addr *dst,
	uint8_t protocol)
{
	for (size_t i = 0; i < policy_n_rules(p); i++) {
		const struct filter_rule *r = &p->rules->rules[i];

		if (!filter_rule_has_protocol(r, protocol) || !filter_rule_names_source(r, src))
			continue;
		for (size_t d = 0; d < r->n_dsts; d++)
			if (filter_range_contains(&r->dsts[d].addrs, dst) &&
				r->dsts[d].first_port == 0 && r->dsts[d].last_port == UINT16_MAX)
				return true;
	}
	return false;
}

static bool
is_peer_api(const struct policy *p, const struct addr *dst, uint16_t port)
{
	for (size_t i = 0; i < p->n_peer_api; i++)
		if (addr_equal(&p->peer_api[i].addr, dst) && p->peer_api[i].port == port)
			return true;
	return false;
}

// Section 9.4.
enum acl_reason
rule_walk_inbound(const struct policy *p, const struct acl_packet *k, bool is_open)
{
	struct addr src = addr_of(k->family, &k->src), dst = addr_of(k->family, &k->dst);
	enum acl_reason reason = precheck(k);

	if (reason != N_ACL_REASONS)
		return reason;
	if (!addr_set_contains(p->local_nets, &dst))
		return ACL_NOT_LOCAL;

	if ((k->family == ADDR_V4 && k->protocol == 1) ||
		(k->family == ADDR_V6 && k->protocol == 58)) {
		if (k->is_icmp_answer)
			return ACL_ICMP_ANSWER;
		return allows_ping(p, &src, &dst) ? ACL_ICMP_RULE : ACL_NO_RULE;
	}
	switch (k->protocol) {
	case 6:
		if (!k->opens_tcp)
			return ACL_TCP_GOES_ON;
		if (allows_port(p, &src, &dst, k))
			return ACL_TCP_RULE;
		return is_peer_api(p, &dst, k->dst_port) ? ACL_PEER_API : ACL_NO_RULE;
	case 17:
	case 132:
		if (is_open)
			return ACL_FLOW;
		return allows_port(p, &src, &dst, k) ? ACL_RULE : ACL_NO_RULE;
	case 99:
		return ACL_TSMP;
	default:
		return allows_protocol(p, &src, &dst, k->protocol) ? ACL_OTHER_RULE
		                                                   : ACL_OTHER_NO_RULE;
	}
}

// Section 9.5.
enum acl_reason
rule_walk_outbound(const struct acl_packet *k)
{
	enum acl_reason reason = precheck(k);

	return reason != N_ACL_REASONS ? reason : ACL_OUTBOUND;
}

static bool
same_flow(const struct acl_packet *a, const struct acl_packet *b)
{
	return a->family == b->family && a->protocol == b->protocol &&
	       acl_addr_equal(&a->src, &b->src) && acl_addr_equal(&a->dst, &b->dst) &&
	       a->src_port == b->src_port && a->dst_port == b->dst_port;
}

static size_t
find_flow(const struct flow_walk *w, const struct acl_packet *k)
{
	size_t i = 0;

	while (i < w->n && !same_flow(&w->flows[i], k))
		i++;
	return i;
}

// Put k first; what is at `place` goes.
static void
make_latest(struct flow_walk *w, size_t place, const struct acl_packet *k)
{
	struct acl_packet latest = *k;

	memmove(w->flows + 1, w->flows, place * sizeof(w->flows[0]));
	w->flows[0] = latest;
}

static bool
is_remembered(const struct acl_packet *k)
{
	return k->kind == ACL_KIND_WHOLE && (k->protocol == 17 || k->protocol == 132);
}

void
flow_walk_open(struct flow_walk *w, const struct acl_packet *k)
{
	struct acl_packet answer = *k;
	size_t place;

	if (!is_remembered(k))
		return;
	answer.src = k->dst;
	answer.dst = k->src;
	answer.src_port = k->dst_port;
	answer.dst_port = k->src_port;
	place = find_flow(w, &answer);
	if (place == w->n && w->n < FLOW_WALK_MAX)
		w->n++;
	else if (place == w->n)
		place--; // the oldest is forgotten
	make_latest(w, place, &answer);
}

bool
flow_walk_is_open(struct flow_walk *w, const struct acl_packet *k)
{
	size_t place;

	if (!is_remembered(k))
		return false;
	place = find_flow(w, k);
	if (place == w->n)
		return false;
	make_latest(w, place, k);
	return true;
}
