/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The short way between tunnel and LAN: packets of flows that the steps before have let through.
 *
 * Packets with an entry go first and those without behind them, so a flow must not have both in one
 * burst, or its packets would overtake each other.  Its first packet that needs the long way makes
 * the others of the burst take it too; fragments, whose flow cannot be seen, all packets.
 */

#include <assert.h>

#include "dataplane/stage/stages.h"
#include "dataplane/table/flow_cache.h"
#include "dataplane/table/net.h"
#include "lib/nat/rewrite.h"
#include "lib/net/ecn.h"

static_assert(BURST_MAX <= FLOW_CACHE_MAX_KEYS, "a key for each packet of a burst");

static void
look_at_tables(struct worker *w)
{
	const struct acl_table *acl = w->tables->acl;

	flow_cache_look_at(w->flow_cache, w->tables->serial, w->net->serial,
		acl != NULL ? acl->generation : 0);
}

// What is more than an IP header and a transport header: perhaps part of a flow, who knows.
static bool
is_odd(const struct ip_view *v)
{
	if (v->family == ADDR_V4)
		return ip_is_fragment(v) || v->header_len != IPV4_HEADER_LEN;
	return v->protocol == IP_PROTOCOL_IPV6_FRAG || v->protocol == IP_PROTOCOL_HOPOPT ||
	       v->protocol == IP_PROTOCOL_IPV6_OPTS || v->protocol == IP_PROTOCOL_IPV6_ROUTE;
}

// No entry for any of them, neither looked for nor to be made.
static void
forget_keys(struct burst *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		b->pkt[i]->flow_key = 0;
}

// The keys of a burst.  False: all of it takes the long way.
[[gnu::always_inline]] static inline bool
read_keys(struct worker *w, struct burst *b, uint8_t kind, uint32_t ifindex)
{
	struct flow_cache *c = w->flow_cache;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		struct flow_key *key = &c->keys[i];

		if (__builtin_expect(is_odd(&b->view[i]), 0)) {
			forget_keys(b);
			return false;
		}
		flow_key_read(p->data, &b->view[i], kind == FLOW_FROM_TUNNEL ? p->peer : ifindex,
			kind, key);
		p->flow_key = key->kind != FLOW_NONE ? i + 1 : 0;
		if (key->kind != FLOW_NONE)
			flow_cache_begin(c, key);
	}
	return true;
}

// NULL: its flow has no entry, nor will it get one.
static const struct flow_key *
key_of(const struct worker *w, const struct pkt *p)
{
	return p->flow_key != 0 ? &w->flow_cache->keys[p->flow_key - 1] : NULL;
}

// An entry that may be used for this packet, or NULL.
[[gnu::always_inline]] static inline struct flow_entry *
find(struct flow_cache *c,
	const struct flow_key *key,
	const struct pkt *p,
	const struct ip_view *v,
	uint64_t now_ns)
{
	struct flow_entry *e;

	if (key->kind == FLOW_NONE)
		return NULL;
	e = flow_cache_find(c, key);
	if (e == NULL || !flow_entry_holds(c, e, now_ns))
		return NULL;
	if (__builtin_expect(key->is_ordinary && v->ttl > 1 && p->len <= e->mtu, 1))
		return e;
	e->until_ns = 0; // those behind it wait for it
	return NULL;
}

[[gnu::always_inline]] static inline void
rewrite(const struct flow_entry *e, uint8_t *p, const struct ip_view *v, bool is_from_tunnel)
{
	if (v->family == ADDR_V4) {
		p[8]--;
		rewrite_checksum(p + 10, e->header_delta);
		if (e->rewrites)
			memcpy(p + (is_from_tunnel ? 12 : 16), e->new_addr, IPV4_ADDR_LEN);
	} else {
		p[7]--;
		if (e->rewrites)
			memcpy(p + (is_from_tunnel ? 8 : 24), flow_entry_addr(e), IPV6_ADDR_LEN);
	}
	if (e->rewrites)
		rewrite_transport(p + v->header_len, v->protocol, is_from_tunnel ? 0 : 2, e->port,
			e->transport_delta);
}

/* ---- from the tunnel ---- */

// False: for the long way, with those behind it.
[[gnu::always_inline]] static inline bool
can_leave(const struct worker *w, struct flow_entry *e, struct pkt *p, const struct ip_view *v)
{
	uint64_t word = atomic_load_explicit(
		&w->sessions.state->neighbours[e->neighbour].word, memory_order_relaxed);

	if (__builtin_expect(net_neighbour_state(word) == SHM_NEIGHBOUR_REACHABLE, 1) &&
		(p->outer_ecn == 0 || ip_carry_ecn(p->data, v->ecn, p->outer_ecn)))
		return true;
	e->until_ns = 0;
	return false;
}

void
known_flows_inbound(struct worker *w, struct burst *b)
{
	struct burst *out = &w->to_links;
	uint32_t n = b->n, kept = 0;

	out->n = w->n_known = 0;
	if (w->net->n_ports == 0 || n == 0 || w->flow_cache == NULL)
		return;
	look_at_tables(w);
	if (!read_keys(w, b, FLOW_FROM_TUNNEL, 0))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		struct flow_entry *e =
			find(w->flow_cache, &w->flow_cache->keys[i], p, v, w->now_ns);

		if (e == NULL || !can_leave(w, e, p, v)) {
			burst_keep(b, kept++, i);
			continue;
		}
		rewrite(e, p->data, v, true);
		p->route = e->to;
		p->neighbour = e->neighbour;
		out->view[out->n] = *v;
		out->pkt[out->n++] = p;
	}
	b->n = kept;
	w->n_known = out->n;
	w->counters->known += out->n;
	step_done(w->ticks, STEP_KNOWN_FLOWS);
}

void
learn_flows_inbound(struct worker *w)
{
	const struct burst *b = &w->to_links;
	uint32_t n = w->n_known;

	if (n == b->n || w->flow_cache == NULL)
		return;
	for (uint32_t i = n; i < b->n; i++) {
		const struct pkt *p = b->pkt[i];
		const struct flow_key *key = key_of(w, p);

		if (key == NULL || !key->is_ordinary || (p->flags & PKT_TO_CUT) != 0)
			continue;
		flow_cache_learn(w->flow_cache, key, p->data, w->now_ns, p->route, p->neighbour,
			w->net->routes[p->route].mtu);
	}
	step_done(w->ticks, STEP_LEARN_FLOWS);
}

/* ---- to the tunnel ---- */

void
known_flows_outbound(struct worker *w,
	const struct net_port *port,
	struct burst *b,
	struct burst *ret_known)
{
	uint32_t n = b->n, kept = 0, n_known = 0;

	ret_known->n = 0;
	if (w->flow_cache == NULL)
		return;
	look_at_tables(w);
	if (!read_keys(w, b, FLOW_TO_TUNNEL, port->ifindex))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		const struct flow_entry *e =
			find(w->flow_cache, &w->flow_cache->keys[i], p, v, w->now_ns);

		if (e == NULL) {
			burst_keep(b, kept++, i);
			continue;
		}
		rewrite(e, p->data, v, false);
		p->peer = e->to;
		__builtin_prefetch(&w->sessions.state->keypairs[e->to]);
		__builtin_prefetch(&w->peers[e->to], 1);
		ret_known->view[n_known] = *v;
		ret_known->pkt[n_known++] = p;
	}
	b->n = kept;
	ret_known->n = n_known;
	w->counters->known += n_known;
	step_done(w->ticks, STEP_KNOWN_FLOWS);
}

void
learn_flows_outbound(struct worker *w, const struct burst *b)
{
	if (b->n == 0 || w->flow_cache == NULL)
		return;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct pkt *p = b->pkt[i];
		const struct flow_key *key = key_of(w, p);

		if (key == NULL || !key->is_ordinary || (p->flags & PKT_TO_CUT) != 0)
			continue;
		flow_cache_learn(
			w->flow_cache, key, p->data, w->now_ns, p->peer, 0, w->tables->mtu);
	}
	step_done(w->ticks, STEP_LEARN_FLOWS);
}
