/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a LAN sends towards the tunnel: not everything that a link port brings may enter it.
 */

#include <string.h>

#include "dataplane/stage/cut.h"
#include "dataplane/stage/stages.h"

// No host sends from these: many, nobody, oneself.
static bool
is_no_source(const struct ip_view *v)
{
	if (v->family == ADDR_V4)
		return v->src[0] == 0 || v->src[0] == 127 || v->src[0] >= 224;
	return v->src[0] == 0xff || (load_be64(v->src) == 0 && load_be64(v->src + 8) <= 1);
}

/*
 * A source that belongs behind a tunnel.  Where a peer has all addresses (0.0.0.0/0), those do not
 * count that a route of ours leads to by this very port.
 */
static bool
is_of_tunnel(const struct worker *w,
	const struct net_port *port,
	const struct ip_view *v,
	uint32_t to)
{
	uint32_t route;

	if (!fib_is_peer(to) && to != FIB_NOBODY)
		return false;
	if (to != (v->family == ADDR_V4 ? w->tables->all4 : w->tables->all6))
		return true;
	route = net_route_lookup(w->net, v->family, v->src);
	return route == NET_NO_ROUTE || w->net->routes[route].len == 0 ||
	       w->net->routes[route].port != port - w->net->ports;
}

static bool
is_spoofed(const struct worker *w,
	const struct net_port *port,
	const struct ip_view *v,
	uint32_t place)
{
	uint32_t to = fib_end(&w->tables->fib, v->family, v->src, place);

	return is_no_source(v) || is_of_tunnel(w, port, v, to) ||
	       net_is_local(w->net, v->family, v->src);
}

static void
to_host(struct worker *w, struct pkt *p)
{
	if (w->host->ops->tx(w->host, w->id, &p, 1) == 0)
		drop(w, p, DROP_TX_FULL);
}

void
link_source_check(struct worker *w, const struct net_port *port, struct burst *b)
{
	uint32_t place[BURST_MAX], kept = 0;

	for (uint32_t i = 0; i < b->n; i++)
		place[i] = fib_begin(&w->tables->fib, b->view[i].family, b->view[i].src);
	for (uint32_t i = 0; i < b->n; i++) {
		if (is_spoofed(w, port, &b->view[i], place[i]))
			drop(w, b->pkt[i], DROP_SOURCE_SPOOFED);
		else
			burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_SOURCE_CHECK);
}

void
link_enter(struct worker *w, struct burst *b)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];

		p->fib_place = fib_begin(&w->tables->fib, v->family, v->dst);
		if (net_is_local(w->net, v->family, v->dst))
			to_host(w, p);
		else
			burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_LINK_ENTER);
}

bool
link_may_enter(struct worker *w, struct pkt *p, const struct ip_view *v)
{
	if (v->ttl <= 1) {
		refuse(w, p, v, DROP_TTL, ICMP_ERROR_TTL_EXCEEDED, FROM_LINK);
		return false;
	}
	if (p->len > w->tables->mtu && !cut_is_possible(v, w->tables->mtu)) {
		refuse_too_big(w, p, v, w->tables->mtu, FROM_LINK);
		return false;
	}
	return true;
}
