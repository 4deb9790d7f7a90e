/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets that cannot go on and whose sender is told.  Source: RFC 1812 4.3, RFC 4443;
 * ../shared/design/reliability.md 2.8.
 */

#include "dataplane/stage/link_batch.h"
#include "dataplane/stage/stages.h"

static const struct addr *
tunnel_source(const struct worker *w, uint8_t family)
{
	return family == ADDR_V4 ? &w->tables->icmp_source4 : &w->tables->icmp_source6;
}

/*
 * The address that our answer comes from.  To a LAN: ours in that network, which its hosts know us
 * by; to anybody else the one in the tunnel's.
 */
static struct addr
source_for(const struct worker *w, const struct ip_view *v, enum origin from)
{
	uint32_t route;
	struct addr own = { .family = v->family };

	if (from != FROM_LINK)
		return *tunnel_source(w, v->family);
	route = net_route_lookup(w->net, v->family, v->src);
	if (route == NET_NO_ROUTE)
		return *tunnel_source(w, v->family);
	memcpy(own.bytes, w->net->routes[route].source.bytes, sizeof(own.bytes));
	if (load_le64(own.bytes) == 0 && load_le64(own.bytes + 8) == 0)
		return *tunnel_source(w, v->family);
	return own;
}

static void
answer_host(struct worker *w, struct pkt *answer)
{
	if (w->host->ops->tx(w->host, w->id, &answer, 1) == 0)
		drop(w, answer, DROP_TX_FULL);
}

// By the way it came, to whoever put it on the link: its Ethernet header is still there.
static void
answer_link(struct worker *w, struct pkt *answer, const struct pkt *p, uint8_t family)
{
	const struct net_port *port = net_port_of_row(w->net, p->port);
	const uint8_t *from = p->data - ETHER_LEN + ETHER_ADDR_LEN;
	uint16_t type = family == ADDR_V4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6;

	if (port == NULL || (from[0] & 1) != 0 || !link_write_header(answer, port, from, type) ||
		port->io->ops->tx(port->io, w->id, &answer, 1) == 0)
		drop(w, answer, DROP_TX_FULL);
}

void
answer_peer(struct worker *w, struct pkt *answer)
{
	struct burst *out = &w->to_peers;
	struct ip_view *v = &out->view[out->n]; // not looked at beyond the end

	answer->kind = PKT_INNER;
	answer->port = PKT_PORT_OWN;
	if (out->n == BURST_MAX || !ip_parse(answer->data, answer->len, v)) {
		drop(w, answer, DROP_TX_FULL);
		return;
	}
	answer->fib_place = fib_begin(&w->tables->fib, v->family, v->dst);
	out->pkt[out->n++] = answer;
}

static void
tell(struct worker *w,
	const struct pkt *p,
	const struct ip_view *v,
	enum icmp_error error,
	uint32_t mtu,
	enum origin from)
{
	struct addr source = source_for(w, v, from);
	struct pkt *answer;
	uint32_t room;

	if (source.family == ADDR_NONE || !icmp_error_is_allowed(p->data, v) ||
		!icmp_limiter_allow(&w->icmp_limit, (struct mono){ w->now_ns }) ||
		pool_get(&w->pool, &answer, 1) == 0)
		return;
	room = pkt_capacity(answer->frame_len);
	answer->len = icmp_error_build(error, p->data, v, &source, mtu, answer->data,
		room < ICMP_ERROR_MAX ? room : ICMP_ERROR_MAX);
	if (answer->len == 0)
		pool_put(&w->pool, &answer, 1);
	else if (from == FROM_HOST)
		answer_host(w, answer);
	else if (from == FROM_LINK)
		answer_link(w, answer, p, v->family);
	else
		answer_peer(w, answer);
}

void
refuse(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	enum drop_reason reason,
	enum icmp_error error,
	enum origin from)
{
	tell(w, p, v, error, 0, from);
	drop(w, p, reason);
}

void
refuse_too_big(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	uint32_t mtu,
	enum origin from)
{
	tell(w, p, v, ICMP_ERROR_TOO_BIG, mtu, from);
	drop(w, p, DROP_TOO_BIG);
}
