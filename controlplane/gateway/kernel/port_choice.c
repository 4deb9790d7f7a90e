/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/port_choice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/kernel/device.h"
#include "controlplane/gateway/kernel/network_make.h"

struct choosing {
	const struct choice *c;
	struct network *network;
	struct choice_lans *lans;
	struct notes *notes;
	size_t n_too_many;
};

static const struct choice_link *
find_link(const struct choice *c, uint32_t ifindex)
{
	for (size_t i = 0; i < c->n_links && ifindex != 0; i++)
		if (c->links[i].link.ifindex == ifindex)
			return &c->links[i];
	return NULL;
}

static const struct choice_link *
find_name(const struct choice *c, const char *name)
{
	for (size_t i = 0; i < c->n_links; i++)
		if (strcmp(c->links[i].link.name, name) == 0)
			return &c->links[i];
	return NULL;
}

// Where frames of Ethernet come and go.
static bool
carries_frames(const struct choice *c, const struct choice_link *l)
{
	return l->link.is_ethernet && !l->link.is_tun && l->link.ifindex != c->own_ifindex;
}

static struct network_port *
find_port(struct network *n, uint32_t ifindex)
{
	for (size_t i = 0; i < n->n_ports; i++)
		if (n->ports[i].ifindex == ifindex)
			return &n->ports[i];
	return NULL;
}

static void
fill_port(struct network_port *p, const struct link_row *link)
{
	p->ifindex = link->ifindex;
	snprintf(p->name, sizeof(p->name), "%s", link->name);
	memcpy(p->mac, link->mac, sizeof(p->mac));
	p->mtu = link->mtu;
	p->up = link->up;
	p->carrier = link->carrier;
	p->fills_checksum = device_fills_checksum("", link->kind);
	p->n_queues = link->n_rx_queues > 0 && link->n_rx_queues <= UINT16_MAX
	                      ? (uint16_t)link->n_rx_queues
	                      : 1;
}

// The port of an interface that may be one, made if need be.  NULL: it cannot be one.
static struct network_port *
add_port(struct choosing *g, const struct choice_link *l)
{
	struct network *n = g->network;
	struct network_port *p = l != NULL ? find_port(n, l->link.ifindex) : NULL;

	if (p != NULL || l == NULL || !carries_frames(g->c, l))
		return p;
	if (n->n_ports == NETWORK_MAX_PORTS) {
		g->n_too_many++;
		return NULL;
	}
	p = &n->ports[n->n_ports++];
	memset(p, 0, sizeof(*p));
	fill_port(p, &l->link);
	return p;
}

__attribute__((format(printf, 2, 3))) static void
say(struct network_port *p, const char *format, ...)
{
	va_list args;

	if (p->why[0] != '\0')
		return; // the first reason is enough
	va_start(args, format);
	vsnprintf(p->why, sizeof(p->why), format, args);
	va_end(args);
}

static void
take_names(struct choosing *g)
{
	for (size_t i = 0; i < g->c->n_names; i++) {
		const char *name = g->c->names[i];
		const struct choice_link *l = find_name(g->c, name);
		struct network_port *p = add_port(g, l);

		if (l == NULL) {
			notes_add(g->notes,
				"dataplane.ports names %s, but there is no such interface: it is "
				"opened as soon as it appears",
				name);
		} else if (p == NULL) {
			notes_add(g->notes,
				"dataplane.ports names %s, which does not carry Ethernet frames: "
				"it stays with the kernel; remove it from the list",
				name);
		} else {
			p->is_wan = l->is_wan;
			p->is_lan = !l->is_wan; // until an advertised prefix says more
			say(p, "named in dataplane.ports");
		}
	}
}

static void
take_wan(struct choosing *g)
{
	for (size_t i = 0; i < g->c->n_links; i++) {
		struct network_port *p =
			g->c->links[i].is_wan ? add_port(g, &g->c->links[i]) : NULL;

		if (p == NULL)
			continue;
		p->is_wan = true;
		say(p, "has the default route");
	}
}

static void
add_lan(struct choice_lans *lans, uint32_t ifindex)
{
	for (size_t i = 0; i < lans->n; i++)
		if (lans->ifindex[i] == ifindex)
			return;
	if (lans->n < CHOICE_MAX_LANS)
		lans->ifindex[lans->n++] = ifindex;
	else
		lans->has_others = true;
}

// With names given, they are the ports; a prefix behind another interface is the kernel's.
static void
take_lan(struct choosing *g, const struct network_route *row, const struct prefix *advertised)
{
	const struct choice_link *l = find_link(g->c, row->ifindex);
	struct network_port *p = l == NULL            ? NULL
	                         : g->c->n_names == 0 ? add_port(g, l)
	                                              : find_port(g->network, l->link.ifindex);
	char text[ADDR_TEXT_LEN];

	add_lan(g->lans, row->ifindex);
	if (p == NULL)
		return;
	p->is_lan = true;
	say(p,
		row->kind == SHM_ROUTE_CONNECTED ? "holds the advertised %s"
						 : "leads to the advertised %s",
		prefix_format(advertised, text));
}

static bool
leads_to_lan(const struct choosing *g, const struct network_route *row)
{
	return row->prefix.len > 0 && row->ifindex != g->c->own_ifindex &&
	       (row->kind == SHM_ROUTE_CONNECTED || row->kind == SHM_ROUTE_GATEWAY ||
		       (row->kind == SHM_ROUTE_KERNEL && row->ifindex != 0));
}

struct reach {
	bool is_reached, is_refused, by_several;
	uint32_t ifindex;
};

static void
take_route(struct choosing *g,
	const struct network_route *row,
	const struct prefix *advertised,
	struct reach *reach)
{
	if (row->kind == SHM_ROUTE_KERNEL && row->ifindex == 0 && row->prefix.len > 0) {
		reach->is_reached = reach->by_several = true;
		g->lans->has_others = true;
		return;
	}
	if (row->kind == SHM_ROUTE_LOCAL) {
		reach->is_reached = true; // the box itself
		return;
	}
	if (!leads_to_lan(g, row))
		return;
	reach->by_several |= reach->is_reached && reach->ifindex != row->ifindex;
	reach->is_reached = true;
	reach->ifindex = row->ifindex;
	take_lan(g, row, advertised);
}

// The route that holds the whole prefix, and each one inside it.
static struct reach
look_up(struct choosing *g, const struct prefix *p)
{
	const struct network *n = g->network;
	const struct network_route *row = network_route_covering(n->routes, n->n_routes, p);
	struct reach reach = {};

	if (row != NULL && row->kind == SHM_ROUTE_REFUSE)
		reach.is_refused = true;
	else if (row != NULL)
		take_route(g, row, p, &reach);
	for (size_t i = 0; i < n->n_routes; i++)
		if (&n->routes[i] != row && prefix_covers(p, &n->routes[i].prefix) &&
			n->routes[i].kind != SHM_ROUTE_LOCAL)
			take_route(g, &n->routes[i], p, &reach);
	return reach;
}

static void
note_unreached(struct choosing *g, const struct prefix *p, const struct reach *reach)
{
	char text[ADDR_TEXT_LEN];

	prefix_format(p, text);
	if (reach->is_refused)
		notes_add(g->notes,
			"the advertised %s is unreachable by the host's own routes, so members get "
			"no answer from it; remove that route, or stop advertising the prefix",
			text);
	else
		notes_add(g->notes,
			"the advertised %s is not reached: no interface holds it and no route but "
			"a default one leads there; add `ip route add %s via ROUTER`, or stop "
			"advertising it",
			text, text);
}

static void
take_advertised(struct choosing *g)
{
	struct network *n = g->network;

	for (size_t i = 0; i < n->n_advertised; i++) {
		struct network_advertised *a = &n->advertised[i];
		const struct choice_link *l;
		struct reach reach;

		if (a->prefix.len == 0)
			continue; // an exit is not a subnet
		reach = look_up(g, &a->prefix);
		a->is_reached = reach.is_reached;
		a->ifindex = reach.by_several ? 0 : reach.ifindex;
		l = find_link(g->c, a->ifindex);
		if (l != NULL)
			snprintf(a->name, sizeof(a->name), "%s", l->link.name);
		if (!reach.is_reached)
			note_unreached(g, &a->prefix, &reach);
	}
}

// A candidate is wanted, unless nobody needs it.
static void
decide(struct choosing *g)
{
	const struct choice *c = g->c;
	bool routes_for_others = g->network->n_advertised > 0 || c->n_names > 0;

	for (size_t i = 0; i < g->network->n_ports; i++) {
		struct network_port *p = &g->network->ports[i];

		p->is_wanted = !c->is_resting &&
		               (c->driver == CONFIG_DRIVER_AF_XDP ||
				       (c->driver == CONFIG_DRIVER_AUTO && routes_for_others));
		if (!p->is_wanted)
			snprintf(p->why, sizeof(p->why), "%s",
				c->is_resting ? "the gateway is down"
				: c->driver == CONFIG_DRIVER_KERNEL
					? "dataplane.driver is kernel"
					: "no subnet is advertised and dataplane.ports names none");
	}
}

void
port_choice_make(const struct choice *c,
	struct network *network,
	struct choice_lans *ret_lans,
	struct notes *notes)
{
	struct choosing g = { .c = c, .network = network, .lans = ret_lans, .notes = notes };

	*ret_lans = (struct choice_lans){};
	network->n_ports = 0;
	if (c->n_names > 0)
		take_names(&g);
	else
		take_wan(&g);
	take_advertised(&g);
	decide(&g);
	if (g.n_too_many > 0)
		notes_add(notes,
			"%zu more interfaces could be ports than the %d that there is room for: "
			"they stay with the kernel; name the ones that matter in dataplane.ports",
			g.n_too_many, NETWORK_MAX_PORTS);
}
