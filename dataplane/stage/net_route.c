/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the tunnel, towards a network behind one of our link ports: what a router owes.  Where no
 * port of ours leads, the kernel routes.
 *
 * Source: RFC 1812 5.2.7 and 5.3.1; ../shared/design/architecture.md 3.3.
 */

#include "dataplane/stage/cut.h"
#include "dataplane/stage/link_local.h"
#include "dataplane/stage/stages.h"
#include "lib/net/ttl.h"

void
want_neighbour(struct worker *w, uint32_t ifindex, uint8_t family, const uint8_t *addr)
{
	uint32_t hash = net_neighbour_hash(w->net->neighbours, ifindex, family, addr);
	struct neighbour_wants *wants = &w->wants;
	struct pkt_outer of = { .family = family, .ifindex = ifindex };
	uint64_t *asked_ns = &wants->slots[hash % WANTS].asked_ns;

	if (wants->slots[hash % WANTS].hash == hash && w->now_ns - *asked_ns < (uint64_t)WANT_NS &&
		*asked_ns != 0)
		return;
	if (!icmp_limiter_allow(&wants->limit, (struct mono){ w->now_ns }))
		return;
	memcpy(of.remote, addr, family == ADDR_V4 ? IPV4_ADDR_LEN : IPV6_ADDR_LEN);
	if (!worker_event(w, SHM_EV_WANT_NEIGHBOUR, SHM_NO_PEER, 0, 0, &of))
		return;
	wants->slots[hash % WANTS].hash = hash;
	*asked_ns = w->now_ns;
}

static const uint8_t *
next_hop(const struct net_route *r, const struct ip_view *v)
{
	return r->kind == SHM_ROUTE_GATEWAY ? r->gateway.bytes : v->dst;
}

// False: the packet is the kernel's.
static bool
is_ours(const struct net_table *net, uint32_t route)
{
	return route != NET_NO_ROUTE && (net->routes[route].port != NET_NO_PORT ||
						net->routes[route].kind == SHM_ROUTE_REFUSE);
}

// NULL: the packet is gone.
static const struct shm_neighbour_row *
find_neighbour(struct worker *w, struct pkt *p, const struct ip_view *v, uint32_t hash)
{
	const struct net_route *r = &w->net->routes[p->route];
	uint32_t ifindex = w->net->ports[r->port].ifindex;
	const struct shm_neighbour_row *row =
		net_neighbour_end(w->net, ifindex, v->family, next_hop(r, v), hash);
	unsigned state = row != NULL ? net_neighbour_state(atomic_load_explicit(
					       &row->word, memory_order_relaxed))
	                             : SHM_NEIGHBOUR_NONE;

	if (__builtin_expect(state == SHM_NEIGHBOUR_REACHABLE, 1))
		return row;
	want_neighbour(w, ifindex, v->family, next_hop(r, v));
	if (state == SHM_NEIGHBOUR_FAILED)
		refuse(w, p, v, DROP_NEIGHBOUR_FAILED, ICMP_ERROR_HOST_UNREACHABLE, FROM_PEER);
	else
		drop(w, p, DROP_NEIGHBOUR_UNKNOWN);
	return NULL;
}

// What is the same for all that take this route.  False: the packet is gone.
static bool
may_leave(struct worker *w, struct pkt *p, const struct ip_view *v)
{
	const struct net_route *r = &w->net->routes[p->route];

	if (__builtin_expect(has_link_local(v), 0)) {
		drop(w, p, DROP_LINK_LOCAL);
		return false;
	}
	if (__builtin_expect(r->kind == SHM_ROUTE_REFUSE, 0)) {
		refuse(w, p, v, DROP_NO_ROUTE, ICMP_ERROR_NO_ROUTE, FROM_PEER);
		return false;
	}
	if (__builtin_expect(v->ttl <= 1, 0)) {
		refuse(w, p, v, DROP_TTL, ICMP_ERROR_TTL_EXCEEDED, FROM_PEER);
		return false;
	}
	if (__builtin_expect((w->net->ports[r->port].flags & SHM_PORT_UP) == 0, 0)) {
		refuse(w, p, v, DROP_PORT_DOWN, ICMP_ERROR_HOST_UNREACHABLE, FROM_PEER);
		return false;
	}
	if (__builtin_expect(p->len > r->mtu, 0)) {
		if (!cut_is_possible(v, r->mtu)) {
			refuse_too_big(w, p, v, r->mtu, FROM_PEER);
			return false;
		}
		p->flags |= PKT_TO_CUT;
	}
	return true;
}

// Routes of a burst; ret_hash of those that leave by a port: where their neighbours are.
static void
find_routes(struct worker *w, struct burst *b, uint32_t ret_hash[BURST_MAX])
{
	const struct net_table *net = w->net;
	uint32_t place[BURST_MAX];

	for (uint32_t i = 0; i < b->n; i++)
		place[i] = net_route_begin(net, b->view[i].family, b->view[i].dst);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct ip_view *v = &b->view[i];
		uint32_t route = net_route_end(net, v->family, v->dst, place[i]);
		const struct net_route *r;

		b->pkt[i]->route = route;
		if (!is_ours(net, route) || net->routes[route].port == NET_NO_PORT)
			continue;
		r = &net->routes[route];
		ret_hash[i] = net_neighbour_begin(
			net, net->ports[r->port].ifindex, v->family, next_hop(r, v));
	}
}

static void
route_burst(struct worker *w, struct burst *b)
{
	struct burst *out = &w->to_links;
	uint32_t hash[BURST_MAX], kept = 0;

	find_routes(w, b, hash);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		const struct shm_neighbour_row *row;

		if (!is_ours(w->net, p->route)) {
			burst_keep(b, kept++, i);
			continue;
		}
		if (!may_leave(w, p, v))
			continue;
		row = find_neighbour(w, p, v, hash[i]);
		if (row == NULL)
			continue;
		if (!ip_decrement_ttl(p->data)) {
			drop(w, p, DROP_TTL);
			continue;
		}
		p->neighbour = (uint32_t)(row - w->sessions.state->neighbours);
		out->view[out->n] = *v;
		out->pkt[out->n++] = p;
	}
	b->n = kept;
	step_done(w->ticks, STEP_NET_ROUTE);
}

void
net_route(struct worker *w, struct burst *b)
{
	if (w->net->n_ports > 0 && b->n > 0)
		route_burst(w, b);
}
