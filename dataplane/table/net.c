/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/headers.h"

#define IPV6_MIN_MTU 1280
#define IPV4_MIN_MTU 68
#define MAX_MTU      65535

static const uint8_t zeros[16];

static bool
is_zero(const struct shm_addr *a)
{
	return memcmp(a->bytes, zeros, sizeof(a->bytes)) == 0;
}

static struct addr
addr_of(const struct shm_addr *a, uint8_t family)
{
	struct addr out = { .family = family };

	memcpy(out.bytes, a->bytes, family == ADDR_V4 ? IPV4_ADDR_LEN : IPV6_ADDR_LEN);
	return out;
}

static struct prefix
prefix_of(const struct shm_net_route *r)
{
	return (struct prefix){ addr_of(&r->addr, r->family), r->len };
}

// --- is it sound? ------------------------------------------------------------------------------

// What is not of the family is zero.
static bool
is_addr(const struct shm_addr *a, uint8_t family)
{
	return family == ADDR_V6 ||
	       memcmp(a->bytes + IPV4_ADDR_LEN, zeros, sizeof(a->bytes) - IPV4_ADDR_LEN) == 0;
}

static bool
is_port(const struct shm_net_port *p)
{
	return p->ifindex != 0 && p->mtu >= IPV4_MIN_MTU && p->mtu <= MAX_MTU &&
	       p->name[sizeof(p->name) - 1] == '\0';
}

static bool
is_route(const struct shm_net_route *r)
{
	struct prefix prefix, masked;

	if ((r->family != ADDR_V4 && r->family != ADDR_V6) || r->len > addr_bits(r->family))
		return false;
	if (r->kind < SHM_ROUTE_LOCAL || r->kind > SHM_ROUTE_REFUSE)
		return false;
	if (!is_addr(&r->addr, r->family) || !is_addr(&r->gateway, r->family) ||
		!is_addr(&r->source, r->family))
		return false;
	prefix = prefix_of(r);
	masked = prefix_mask(prefix);
	return addr_equal(&prefix.addr, &masked.addr) &&
	       (r->kind != SHM_ROUTE_GATEWAY || !is_zero(&r->gateway));
}

static int
check_ports(const struct shm_net *net)
{
	for (uint32_t i = 0; i < net->n_ports; i++) {
		if (!is_port(&net->ports[i]))
			return -EINVAL;
		for (uint32_t j = 0; j < i; j++)
			if (net->ports[j].ifindex == net->ports[i].ifindex)
				return -EEXIST;
	}
	return 0;
}

// Each prefix once: the table that is built of them says.
static int
check_unique(const struct shm_net *net)
{
	struct prefix_item *items = malloc((net->n_routes + 1) * sizeof(*items));
	struct prefix_table *table = NULL;
	int err;

	if (items == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < net->n_routes; i++)
		items[i] = (struct prefix_item){ prefix_of(&net->routes[i]), i };
	err = prefix_table_create(items, net->n_routes, &table, NULL);
	prefix_table_destroy(table);
	free(items);
	return err;
}

int
net_block_check(const void *bytes, size_t len)
{
	const struct shm_net *net = bytes;
	int err;

	if (len < SHM_NET_LEN(0) || net->n_routes > SHM_MAX_ROUTES ||
		len != SHM_NET_LEN(net->n_routes) || net->n_ports > SHM_MAX_PORTS)
		return -EINVAL;
	if ((net->nat & ~(SHM_NAT_V4 | SHM_NAT_V6)) != 0 ||
		(net->nat != 0 &&
			(net->nat_port_first == 0 || net->nat_port_first > net->nat_port_last)))
		return -EINVAL;
	for (uint32_t i = 0; i < net->n_routes; i++)
		if (!is_route(&net->routes[i]))
			return -EINVAL;
	err = check_ports(net);
	return err < 0 ? err : check_unique(net);
}

// --- building ----------------------------------------------------------------------------------

static const struct shm_net_port *
block_port(const struct shm_net *net, uint32_t ifindex)
{
	for (uint32_t i = 0; net != NULL && i < net->n_ports; i++)
		if (net->ports[i].ifindex == ifindex)
			return &net->ports[i];
	return NULL;
}

static void
take_ports(struct net_table *t, const struct net_table_setup *setup)
{
	for (unsigned i = 0; i < setup->n_ports; i++) {
		struct net_port *p = &t->ports[t->n_ports++];
		const struct shm_net_port *of = block_port(setup->net, setup->ports[i].ifindex);

		*p = (struct net_port){
			.io = setup->ports[i].io,
			.ifindex = setup->ports[i].ifindex,
			.row = setup->ports[i].row,
		};
		if (of == NULL)
			continue;
		p->mtu = of->mtu;
		p->flags = of->flags;
		memcpy(p->mac, of->mac, sizeof(p->mac));
	}
}

static uint8_t
port_index(const struct net_table *t, uint32_t ifindex)
{
	const struct net_port *p = net_port_of_ifindex(t, ifindex);

	return p != NULL ? (uint8_t)(p - t->ports) : NET_NO_PORT;
}

static uint32_t
mtu_of(const struct net_table *t, const struct shm_net_route *r, uint8_t port)
{
	uint32_t least = r->family == ADDR_V4 ? IPV4_MIN_MTU : IPV6_MIN_MTU, mtu;

	if (port == NET_NO_PORT)
		return UINT32_MAX;
	mtu = t->ports[port].mtu;
	if (r->mtu != 0 && r->mtu < mtu)
		mtu = r->mtu;
	return mtu > least ? mtu : least;
}

static struct net_route
route_of(const struct net_table *t, const struct shm_net_route *r)
{
	struct net_route out = {
		.gateway = r->gateway,
		.source = r->source,
		.kind = r->kind,
		.family = r->family,
		.len = r->len,
		.port = NET_NO_PORT,
	};

	if (r->kind == SHM_ROUTE_CONNECTED || r->kind == SHM_ROUTE_GATEWAY)
		out.port = port_index(t, r->ifindex);
	out.mtu = mtu_of(t, r, out.port);
	return out;
}

static bool
is_wide_local(const struct shm_net_route *r)
{
	bool is_loopback = r->family == ADDR_V4 && r->addr.bytes[0] == 127;

	return r->kind == SHM_ROUTE_LOCAL && r->len < addr_bits(r->family) && !is_loopback;
}

static int
take_routes(struct net_table *t, const struct shm_net *net, uint32_t n)
{
	struct exact_item *hosts = malloc((n + 1) * sizeof(*hosts));
	struct prefix_item *prefixes = malloc((n + 1) * sizeof(*prefixes));
	struct net_route *routes = aligned_alloc(SHM_CACHE_LINE, (n + 1) * sizeof(*routes));
	size_t n_hosts = 0, n_prefixes = 0;
	int err = -ENOMEM;

	t->routes = routes;
	if (hosts == NULL || prefixes == NULL || routes == NULL)
		goto out;
	for (uint32_t i = 0; i < n; i++) {
		const struct shm_net_route *r = &net->routes[i];
		struct prefix prefix = prefix_of(r);

		routes[i] = route_of(t, r);
		t->has_wide_local |= is_wide_local(r);
		if (r->len == addr_bits(r->family))
			hosts[n_hosts++] = (struct exact_item){ prefix.addr, i };
		else
			prefixes[n_prefixes++] = (struct prefix_item){ prefix, i };
	}
	t->n_routes = n;
	err = exact_table_create(hosts, n_hosts, t->seed, &t->hosts, NULL);
	if (err == 0)
		err = prefix_table_create(prefixes, n_prefixes, &t->prefixes, NULL);
out:
	free(prefixes);
	free(hosts);
	return err;
}

// --- neighbours --------------------------------------------------------------------------------

static uint64_t
word_of(const struct shm_neighbour_row *row)
{
	return atomic_load_explicit(&row->word, memory_order_relaxed);
}

static uint32_t
rows_end(const struct shm_state *state)
{
	uint32_t end = atomic_load_explicit(&state->neighbours_end, memory_order_relaxed);

	return end < SHM_MAX_NEIGHBOURS ? end : SHM_MAX_NEIGHBOURS;
}

// The row's key is written; from here on workers find it.
static void
add_to_index(struct net_neighbours *n, uint32_t row)
{
	const struct shm_neighbour_row *r = &n->state->neighbours[row];
	uint32_t hash = net_neighbour_hash(n, r->ifindex, r->family, r->addr.bytes);
	uint32_t at = hash;

	while (atomic_load_explicit(&n->slots[at % NET_NEIGHBOUR_SLOTS], memory_order_relaxed) != 0)
		at++;
	// Pairs with the acquire in net_neighbour_end().
	atomic_store_explicit(&n->slots[at % NET_NEIGHBOUR_SLOTS], (hash & 0xffff0000) | (row + 1),
		memory_order_release);
}

static struct net_neighbours *
index_neighbours(struct shm_state *state, const uint64_t seed[2])
{
	struct net_neighbours *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->state = state;
	memcpy(n->seed, seed, sizeof(n->seed));
	for (uint32_t i = 0; i < rows_end(state); i++) {
		const struct shm_neighbour_row *row = &state->neighbours[i];

		if (row->family != 0 && net_neighbour_state(word_of(row)) != SHM_NEIGHBOUR_NONE)
			add_to_index(n, i);
	}
	return n;
}

static struct shm_neighbour_row *
unused_row(struct net_neighbours *n)
{
	while (n->free_from < SHM_MAX_NEIGHBOURS) {
		struct shm_neighbour_row *row = &n->state->neighbours[n->free_from];

		if (row->family == 0)
			return row;
		n->free_from++;
	}
	return NULL;
}

static void
write_row(struct net_neighbours *n,
	struct shm_neighbour_row *row,
	const struct shm_cmd_neighbour *cmd,
	uint64_t word)
{
	uint32_t number = (uint32_t)(row - n->state->neighbours);

	row->addr = cmd->addr;
	row->ifindex = cmd->ifindex;
	atomic_store_explicit(&row->word, word, memory_order_relaxed);
	// Last: a row without a family is an unused one, whenever we die.
	atomic_signal_fence(memory_order_seq_cst);
	row->family = cmd->family;
	if (number >= rows_end(n->state))
		atomic_store_explicit(&n->state->neighbours_end, number + 1, memory_order_release);
	add_to_index(n, number);
}

int
net_neighbour_set(const struct net_table *t, const struct shm_cmd_neighbour *cmd)
{
	struct net_neighbours *n = t->neighbours;
	uint64_t word = SHM_NEIGHBOUR_WORD(cmd->mac, cmd->state);
	struct shm_neighbour_row *row;

	if ((cmd->family != ADDR_V4 && cmd->family != ADDR_V6) ||
		!is_addr(&cmd->addr, cmd->family) || cmd->ifindex == 0 ||
		cmd->state > SHM_NEIGHBOUR_REACHABLE)
		return -EINVAL;
	row = (struct shm_neighbour_row *)net_neighbour_lookup(
		t, cmd->ifindex, cmd->family, cmd->addr.bytes);
	if (row != NULL) {
		atomic_store_explicit(&row->word, word, memory_order_relaxed);
		return 0;
	}
	if (cmd->state == SHM_NEIGHBOUR_NONE)
		return 0;
	row = unused_row(n);
	if (row == NULL)
		return -ENOSPC;
	write_row(n, row, cmd, word);
	return 0;
}

void
net_neighbours_reclaim(const struct net_table *t)
{
	struct net_neighbours *n = t->neighbours;

	for (uint32_t i = 0; i < rows_end(n->state); i++) {
		struct shm_neighbour_row *row = &n->state->neighbours[i];

		if (row->family == 0 || net_neighbour_state(word_of(row)) != SHM_NEIGHBOUR_NONE ||
			net_neighbour_lookup(t, row->ifindex, row->family, row->addr.bytes) == row)
			continue;
		row->family = 0;
		if (i < n->free_from)
			n->free_from = i;
	}
}

// --- the whole ---------------------------------------------------------------------------------

int
net_table_create(const struct net_table_setup *setup, struct net_table **ret)
{
	const struct shm_net *net = setup->net;
	struct net_table *t;
	int err;

	if (setup->n_ports > SHM_MAX_PORTS)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->serial = setup->serial;
	t->listen_port = setup->listen_port;
	memcpy(t->seed, setup->seed, sizeof(t->seed));
	if (net != NULL) {
		t->nat = (uint16_t)net->nat;
		t->nat_port_first = net->nat_port_first;
		t->nat_port_last = net->nat_port_last;
	}
	take_ports(t, setup);
	err = take_routes(t, net, net != NULL ? net->n_routes : 0);
	if (err == 0) {
		t->neighbours = index_neighbours(setup->state, setup->seed);
		if (t->neighbours == NULL)
			err = -ENOMEM;
	}
	if (err < 0) {
		net_table_destroy(t);
		return err;
	}
	*ret = t;
	return 0;
}

void
net_table_destroy(struct net_table *t)
{
	if (t == NULL)
		return;
	exact_table_destroy(t->hosts);
	prefix_table_destroy(t->prefixes);
	free((void *)t->routes);
	free(t->neighbours);
	free(t);
}
