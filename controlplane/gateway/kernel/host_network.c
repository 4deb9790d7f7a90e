/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the data plane is told about the network around the box, made from what host_mirror.c has
 * seen and the links.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/device.h"
#include "controlplane/gateway/kernel/host_state.h"
#include "controlplane/gateway/kernel/network_make.h"
#include "lib/base/err.h"

#define SERVE_WAIT_NS (2 * NS_PER_S)       /* for the data plane to open a port */
#define MAX_PINS      (NEIGHBOURS_MAX / 2) /* gateways that are always looked after */

/* --- links --- */

struct links {
	const struct host *h;
	struct choice_link *list;
	size_t n;
};

static bool
is_way(const struct host_ways *ways, uint32_t ifindex)
{
	for (size_t i = 0; i < ways->n; i++)
		if (ways->ifindex[i] == ifindex)
			return true;
	return false;
}

static int
take_link(const struct nlmsghdr *row, void *context)
{
	struct links *l = context;
	struct link_row link;
	struct choice_link *list;

	if (row == NULL) {
		l->n = 0;
		return 0;
	}
	if (!message_read_link(row, &link))
		return 0;
	list = reallocarray(l->list, l->n + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	l->list = list;
	l->list[l->n++] = (struct choice_link){ .link = link,
		.is_wan = is_way(&l->h->sight.wan, link.ifindex) };
	return 0;
}

static const struct link_row *
find_link(const struct links *l, uint32_t ifindex)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].link.ifindex == ifindex)
			return &l->list[i].link;
	return NULL;
}

/* --- routes --- */

static bool
is_link_local(const struct addr *a)
{
	return a->family == ADDR_V6 ? a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80
	                            : a->bytes[0] == 169 && a->bytes[1] == 254;
}

// RFC 6724 section 2.1 in short: addresses of one organisation go with their like.
static bool
is_private_v6(const struct addr *a)
{
	return a->family == ADDR_V6 && (a->bytes[0] & 0xfe) == 0xfc;
}

static int
merit(const struct address_row *a, const struct network_route *route, const struct addr *target)
{
	if (a->prefix.addr.family != route->prefix.addr.family)
		return 0;
	if (is_link_local(&a->prefix.addr) && !is_link_local(target))
		return 0;
	return 1 + 2 * (is_private_v6(&a->prefix.addr) == is_private_v6(&route->prefix.addr)) +
	       4 * !a->is_second_choice + 8 * prefix_contains(&a->prefix, target) +
	       16 * (a->ifindex == route->ifindex);
}

// As the kernel would: an address of the device, best of the network that the next hop is in.
static struct addr
choose_source(const struct host_sight *sight, const struct network_route *route)
{
	const struct addr *target =
		route->kind == SHM_ROUTE_GATEWAY && !is_link_local(&route->gateway)
			? &route->gateway
			: &route->prefix.addr;
	struct addr best = {};
	int best_merit = 0;

	for (size_t i = 0; i < sight->n_addresses; i++) {
		int m = merit(&sight->addresses[i], route, target);

		if (m > best_merit) {
			best_merit = m;
			best = sight->addresses[i].prefix.addr;
		}
	}
	return best;
}

// Frames of ours leave by Ethernet only.
static void
complete_route(const struct host *h, const struct links *l, struct network_route *route)
{
	const struct link_row *link;

	if (route->kind != SHM_ROUTE_CONNECTED && route->kind != SHM_ROUTE_GATEWAY)
		return;
	link = find_link(l, route->ifindex);
	if (link == NULL || !link->is_ethernet || link->is_tun ||
		link->ifindex == h->link.ifindex) {
		route->kind = SHM_ROUTE_KERNEL;
		route->gateway = (struct addr){};
		return;
	}
	if (route->source.family == ADDR_NONE)
		route->source = choose_source(&h->sight, route);
}

static int
take_routes(struct host *h, const struct links *l, struct network *n)
{
	struct route_merge *merge = &h->sight.routes;
	size_t n_left_out =
		route_merge_finish(merge, SHM_MAX_ROUTES, h->wish.advertised, h->wish.n_advertised);

	if (n_left_out > 0)
		notes_add(&h->notes,
			"the host has %zu routes more than the %u that the data plane can keep: "
			"what they lead to goes by the kernel, which is slower",
			n_left_out, SHM_MAX_ROUTES);
	n->routes = calloc(merge->n + 1, sizeof(*n->routes));
	if (n->routes == NULL)
		return -ENOMEM;
	n->n_routes = merge->n;
	for (size_t i = 0; i < merge->n; i++) {
		n->routes[i] = merge->rows[i];
		complete_route(h, l, &n->routes[i]);
	}
	return 0;
}

/* --- the whole --- */

static int
take_advertised(const struct host *h, struct network *n)
{
	n->advertised = calloc(h->wish.n_advertised + 1, sizeof(*n->advertised));
	if (n->advertised == NULL)
		return -ENOMEM;
	n->n_advertised = h->wish.n_advertised;
	for (size_t i = 0; i < n->n_advertised; i++)
		n->advertised[i].prefix = prefix_mask(h->wish.advertised[i]);
	return 0;
}

static void
ask_device(const struct links *l, struct network_port *p)
{
	const struct link_row *link = find_link(l, p->ifindex);
	struct device device;

	if (device_read(p->name, &device) < 0)
		return;
	memcpy(p->driver, device.driver, sizeof(p->driver));
	if (device.n_queues > 0)
		p->n_queues = device.n_queues;
	p->fills_checksum = device_fills_checksum(p->driver, link->kind);
}

static void
choose_ports(struct host *h, const struct links *l, struct network *n)
{
	const struct choice choice = { .driver = h->wish.driver,
		.is_resting = host_is_resting(h),
		.names = h->wish.names,
		.n_names = h->wish.n_names,
		.links = l->list,
		.n_links = l->n,
		.own_ifindex = h->link.ifindex };

	port_choice_make(&choice, n, &h->lans, &h->notes);
	for (size_t i = 0; i < n->n_ports; i++)
		ask_device(l, &n->ports[i]);
}

static int
make(struct host *h, struct network *n)
{
	struct links l = { .h = h };
	struct message m;
	int err = netlink_dump(&h->nl, message_dump_links(&m), take_link, &l);

	if (err == 0)
		err = take_routes(h, &l, n);
	if (err == 0)
		err = host_path_mtu_add(h, n);
	if (err == 0)
		err = take_advertised(h, n);
	if (err == 0)
		choose_ports(h, &l, n);
	free(l.list);
	n->nat = h->wish.nat;
	n->nat_port_first = h->wish.nat_port_first;
	n->nat_port_last = h->wish.nat_port_last;
	return err;
}

static bool
route_equal(const struct network_route *a, const struct network_route *b)
{
	return a->kind == b->kind && a->ifindex == b->ifindex && a->mtu == b->mtu &&
	       a->prefix.len == b->prefix.len && addr_equal(&a->prefix.addr, &b->prefix.addr) &&
	       addr_equal(&a->gateway, &b->gateway) && addr_equal(&a->source, &b->source);
}

static bool
port_equal(const struct network_port *a, const struct network_port *b)
{
	return a->ifindex == b->ifindex && strcmp(a->name, b->name) == 0 &&
	       memcmp(a->mac, b->mac, sizeof(a->mac)) == 0 && a->mtu == b->mtu && a->up == b->up &&
	       a->carrier == b->carrier && a->n_queues == b->n_queues &&
	       strcmp(a->driver, b->driver) == 0 && a->fills_checksum == b->fills_checksum &&
	       a->is_wan == b->is_wan && a->is_lan == b->is_lan && a->is_wanted == b->is_wanted &&
	       strcmp(a->why, b->why) == 0;
}

static bool
advertised_equal(const struct network_advertised *a, const struct network_advertised *b)
{
	return prefix_equal(&a->prefix, &b->prefix) && a->is_reached == b->is_reached &&
	       a->ifindex == b->ifindex && strcmp(a->name, b->name) == 0;
}

static bool
network_equal(const struct network *a, const struct network *b)
{
	bool equal = a->n_ports == b->n_ports && a->n_routes == b->n_routes &&
	             a->n_advertised == b->n_advertised && a->nat == b->nat &&
	             a->nat_port_first == b->nat_port_first && a->nat_port_last == b->nat_port_last;

	for (size_t i = 0; equal && i < a->n_ports; i++)
		equal = port_equal(&a->ports[i], &b->ports[i]);
	for (size_t i = 0; equal && i < a->n_routes; i++)
		equal = route_equal(&a->routes[i], &b->routes[i]);
	for (size_t i = 0; equal && i < a->n_advertised; i++)
		equal = advertised_equal(&a->advertised[i], &b->advertised[i]);
	return equal;
}

static const struct network_port *
wanted_port(const struct host *h, uint32_t ifindex)
{
	for (size_t i = 0; h->network != NULL && i < h->network->n_ports; i++)
		if (h->network->ports[i].ifindex == ifindex && h->network->ports[i].is_wanted)
			return &h->network->ports[i];
	return NULL;
}

// Every packet to other networks needs one of these.
static void
pin_gateways(struct host *h)
{
	size_t n_pins = 0;

	neighbours_begin_pins(h->neighbours);
	for (size_t i = 0; i < h->network->n_routes && n_pins < MAX_PINS; i++) {
		const struct network_route *r = &h->network->routes[i];
		const struct network_port *p =
			r->kind == SHM_ROUTE_GATEWAY ? wanted_port(h, r->ifindex) : NULL;

		if (p == NULL)
			continue;
		neighbours_pin(h->neighbours, p->ifindex, p->name, &r->gateway);
		n_pins++;
	}
}

static int
follow_neighbours(struct host *h)
{
	int err = 0;

	neighbours_keep_ports(h->neighbours, h->network);
	if (!h->is_adopted)
		err = neighbours_adopt(h->neighbours, h->network);
	h->is_adopted |= err == 0;
	pin_gateways(h);
	return err;
}

// What is new to the data plane it has yet to open.
static void
wait_for_new_ports(struct host *h, const struct network *n)
{
	for (size_t i = 0; i < n->n_ports; i++)
		if (n->ports[i].is_wanted && wanted_port(h, n->ports[i].ifindex) == NULL)
			h->served_due = mono_add_ns(mono_now(), SERVE_WAIT_NS);
}

static int
take_over(struct host *h, struct network *n)
{
	if (h->network != NULL && network_equal(n, h->network)) {
		network_put(n);
		return 0;
	}
	wait_for_new_ports(h, n);
	n->serial = h->network != NULL ? h->network->serial + 1 : 1;
	network_put(h->network);
	h->network = n;
	if (h->network_changed != NULL)
		h->network_changed(h->context);
	return follow_neighbours(h);
}

int
host_network_look(struct host *h)
{
	struct network *n;
	int err;

	if (!h->has_desired || !h->sight.is_fresh)
		return 0;
	n = network_create();
	if (n == NULL)
		return -ENOMEM;
	err = make(h, n);
	host_sight_fini(&h->sight);
	if (err == 0) {
		err = take_over(h, n);
	} else {
		network_put(n);
		notes_add(
			&h->notes, "the network around the host cannot be read: %s", err_str(err));
	}
	neighbours_note(h->neighbours, &h->notes);
	return err;
}

bool
host_is_served(const struct host *h, uint32_t ifindex)
{
	for (size_t i = 0; i < h->n_served; i++)
		if (h->served[i] == ifindex)
			return true;
	return false;
}

bool
host_kernel_forwards(const struct host *h, bool *ret_undecided)
{
	bool has_wanted = false, all_served = true;

	*ret_undecided = false;
	if (h->network == NULL)
		return true;
	for (size_t i = 0; i < h->network->n_ports; i++) {
		const struct network_port *p = &h->network->ports[i];

		has_wanted |= p->is_wanted;
		all_served = all_served && (!p->is_wanted || host_is_served(h, p->ifindex));
	}
	for (size_t i = 0; i < h->lans.n; i++)
		all_served = all_served && host_is_served(h, h->lans.ifindex[i]);
	*ret_undecided = has_wanted && !all_served && mono_diff_ns(mono_now(), h->served_due) < 0;
	return !has_wanted || !all_served || h->lans.has_others;
}

int
host_want_neighbour(struct host *h, uint32_t ifindex, const struct addr *addr)
{
	const struct network_port *p = wanted_port(h, ifindex);
	const struct network_route *r;
	bool is_there;

	if (p == NULL || addr_bits((enum addr_family)addr->family) == 0)
		return -EINVAL;
	r = network_route_of(h->network, addr);
	is_there = is_link_local(addr) && addr->family == ADDR_V6;
	if (r != NULL && r->ifindex == ifindex && r->kind == SHM_ROUTE_CONNECTED)
		is_there = true;
	for (size_t i = 0; !is_there && i < h->network->n_routes; i++)
		is_there = h->network->routes[i].ifindex == ifindex &&
		           addr_equal(&h->network->routes[i].gateway, addr);
	if (!is_there || (r != NULL && r->kind == SHM_ROUTE_LOCAL))
		return -EINVAL;
	return neighbours_want(h->neighbours, ifindex, p->name, addr);
}
