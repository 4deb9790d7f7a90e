/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around the box: which blocks are sound, what is looked up in them, and neighbours
 * that come, change and go.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/in_memory.h"
#include "dataplane/table/net.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"

static struct shm_state *state;
static struct shm_sessions *keys;
static struct shm_net *net;

static struct shm_addr
shm_addr_of(const char *text)
{
	struct shm_addr out = {};
	struct addr addr;

	if (text == NULL)
		return out;
	if (addr_parse(text, &addr) < 0)
		abort();
	memcpy(out.bytes, addr.bytes, sizeof(out.bytes));
	return out;
}

static void
add(const char *prefix,
	enum shm_route_kind kind,
	uint32_t ifindex,
	const char *gateway,
	uint16_t mtu)
{
	struct shm_net_route *r = &net->routes[net->n_routes++];
	struct prefix parsed;

	if (prefix_parse(prefix, &parsed) < 0)
		abort();
	*r = (struct shm_net_route){
		.gateway = shm_addr_of(gateway),
		.ifindex = ifindex,
		.mtu = mtu,
		.family = parsed.addr.family,
		.len = parsed.len,
		.kind = (uint8_t)kind,
	};
	memcpy(r->addr.bytes, parsed.addr.bytes, sizeof(r->addr.bytes));
}

static void
describe(void)
{
	memset(net, 0, SHM_NET_LEN(64));
	net->n_ports = 2;
	net->ports[0] = (struct shm_net_port){
		.ifindex = 3, .mtu = 1500, .flags = SHM_PORT_UP, .mac = { 2, 3 }, .name = "wan0"
	};
	net->ports[1] = (struct shm_net_port){ .ifindex = 4, .mtu = 9000, .name = "lan0" };
	add("192.0.2.1/32", SHM_ROUTE_LOCAL, 3, NULL, 0);
	add("2001:db8::1/128", SHM_ROUTE_LOCAL, 3, NULL, 0);
	add("127.0.0.0/8", SHM_ROUTE_LOCAL, 1, NULL, 0);
	add("192.0.2.0/24", SHM_ROUTE_CONNECTED, 3, NULL, 0);
	add("192.0.2.9/32", SHM_ROUTE_GATEWAY, 4, "10.0.0.2", 0);
	add("10.0.0.0/8", SHM_ROUTE_CONNECTED, 4, NULL, 1400);
	add("10.1.0.0/16", SHM_ROUTE_CONNECTED, 5, NULL, 0);
	add("2001:db8::/64", SHM_ROUTE_CONNECTED, 4, NULL, 1000);
	add("0.0.0.0/0", SHM_ROUTE_GATEWAY, 3, "192.0.2.254", 0);
	add("198.51.100.0/24", SHM_ROUTE_REFUSE, 3, NULL, 0);
}

static struct net_table *
make_table(bool with_block)
{
	const struct net_port open[2] = { { .ifindex = 3, .row = 2 }, { .ifindex = 4, .row = 5 } };
	const struct net_table_setup setup = {
		.net = with_block ? net : NULL,
		.state = state,
		.ports = open,
		.n_ports = 2,
		.listen_port = 51820,
		.seed = { 1, 2 },
		.serial = 7,
	};
	struct net_table *t;

	if (net_table_create(&setup, &t) < 0)
		abort();
	return t;
}

// ---- blocks ----

enum change {
	NOTHING,
	SHORTER,
	LONGER,
	MANY_ROUTES,
	MANY_PORTS,
	NO_IFINDEX,
	PORT_TWICE,
	PORT_MTU,
	PORT_NAME,
	FAMILY,
	LEN,
	KIND_ZERO,
	KIND,
	HOST_BITS,
	V4_REST,
	GATEWAY_REST,
	SOURCE_REST,
	NO_GATEWAY,
	ROUTE_TWICE,
	HOST_TWICE,
	NAT_FLAGS,
	NAT_RANGE,
	NAT_ZERO,
	NAT_FINE,
};

static const struct {
	const char *what;
	enum change change;
	int err;
} blocks[] = {
	{ "a sound block", NOTHING, 0 },
	{ "one byte less than its routes", SHORTER, -EINVAL },
	{ "a route more than it says", LONGER, -EINVAL },
	{ "more routes than there may be", MANY_ROUTES, -EINVAL },
	{ "more ports than there may be", MANY_PORTS, -EINVAL },
	{ "a port without an interface", NO_IFINDEX, -EINVAL },
	{ "two ports of one interface", PORT_TWICE, -EEXIST },
	{ "a port of no length", PORT_MTU, -EINVAL },
	{ "a name without an end", PORT_NAME, -EINVAL },
	{ "a family of its own", FAMILY, -EINVAL },
	{ "a prefix of 33 bits", LEN, -EINVAL },
	{ "no kind", KIND_ZERO, -EINVAL },
	{ "a kind that is none", KIND, -EINVAL },
	{ "bits behind the prefix", HOST_BITS, -EINVAL },
	{ "an IPv4 prefix of more than four bytes", V4_REST, -EINVAL },
	{ "an IPv4 gateway of more than four bytes", GATEWAY_REST, -EINVAL },
	{ "an IPv4 source of more than four bytes", SOURCE_REST, -EINVAL },
	{ "a gateway route without one", NO_GATEWAY, -EINVAL },
	{ "a prefix twice", ROUTE_TWICE, -EEXIST },
	{ "an address twice", HOST_TWICE, -EEXIST },
	{ "NAT of a third family", NAT_FLAGS, -EINVAL },
	{ "a NAT range that ends before it begins", NAT_RANGE, -EINVAL },
	{ "a NAT range from 0 on", NAT_ZERO, -EINVAL },
	{ "NAT of both families", NAT_FINE, 0 },
};

static size_t
spoil(enum change change, size_t len)
{
	struct shm_net_route *r = &net->routes[5]; // 10.0.0.0/8

	switch (change) {
	case NOTHING:
		break;
	case SHORTER:
		return len - 1;
	case LONGER:
		return len + sizeof(*r);
	case MANY_ROUTES:
		net->n_routes = SHM_MAX_ROUTES + 1;
		break;
	case MANY_PORTS:
		net->n_ports = SHM_MAX_PORTS + 1;
		break;
	case NO_IFINDEX:
		net->ports[1].ifindex = 0;
		break;
	case PORT_TWICE:
		net->ports[1].ifindex = 3;
		break;
	case PORT_MTU:
		net->ports[1].mtu = 0;
		break;
	case PORT_NAME:
		memset(net->ports[1].name, 'x', sizeof(net->ports[1].name));
		break;
	case FAMILY:
		r->family = 5;
		break;
	case LEN:
		r->len = 33;
		break;
	case KIND_ZERO:
		r->kind = 0;
		break;
	case KIND:
		r->kind = SHM_ROUTE_REFUSE + 1;
		break;
	case HOST_BITS:
		r->addr.bytes[3] = 1;
		break;
	case V4_REST:
		r->addr.bytes[4] = 1;
		break;
	case GATEWAY_REST:
		r->gateway.bytes[15] = 1;
		break;
	case SOURCE_REST:
		r->source.bytes[7] = 1;
		break;
	case NO_GATEWAY:
		r->kind = SHM_ROUTE_GATEWAY;
		break;
	case ROUTE_TWICE:
		add("10.0.0.0/8", SHM_ROUTE_KERNEL, 1, NULL, 0);
		return SHM_NET_LEN(net->n_routes);
	case HOST_TWICE:
		add("192.0.2.1/32", SHM_ROUTE_KERNEL, 1, NULL, 0);
		return SHM_NET_LEN(net->n_routes);
	case NAT_FLAGS:
		net->nat = 4;
		break;
	case NAT_RANGE:
		net->nat = SHM_NAT_V4;
		net->nat_port_first = 2000;
		net->nat_port_last = 1999;
		break;
	case NAT_ZERO:
		net->nat = SHM_NAT_V4;
		net->nat_port_last = 1999;
		break;
	case NAT_FINE:
		net->nat = SHM_NAT_V4 | SHM_NAT_V6;
		net->nat_port_first = net->nat_port_last = 61000;
		break;
	}
	return len;
}

static void
test_blocks(void)
{
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		size_t len;

		describe();
		len = spoil(blocks[i].change, SHM_NET_LEN(net->n_routes));
		tap_int(net_block_check(net, len), blocks[i].err, blocks[i].what);
	}
	tap_int(net_block_check(net, 3), -EINVAL, "three bytes");
}

// ---- look-ups ----

static const struct {
	const char *addr;
	int route; /* or -1 */
	uint8_t port;
	uint32_t mtu;
} lookups[] = {
	{ "192.0.2.1", 0, NET_NO_PORT, UINT32_MAX },
	{ "2001:db8::1", 1, NET_NO_PORT, UINT32_MAX },
	{ "127.0.0.5", 2, NET_NO_PORT, UINT32_MAX },
	{ "192.0.2.2", 3, 0, 1500 },
	{ "192.0.2.9", 4, 1, 9000 },
	{ "10.0.0.1", 5, 1, 1400 },
	{ "10.1.0.1", 6, NET_NO_PORT, UINT32_MAX }, // its interface is no open port
	{ "2001:db8::2", 7, 1, 1280 },              // never less, whatever a route says
	{ "8.8.8.8", 8, 0, 1500 },
	{ "198.51.100.1", 9, NET_NO_PORT, UINT32_MAX },
	{ "2001:db9::1", -1, 0, 0 },
};

static void
test_lookups(void)
{
	struct net_table *t;

	describe();
	t = make_table(true);
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++) {
		struct addr addr;
		uint32_t route;

		if (addr_parse(lookups[i].addr, &addr) < 0)
			abort();
		route = net_route_lookup(t, addr.family, addr.bytes);
		tap_int((int)route, lookups[i].route, lookups[i].addr);
		if (route == NET_NO_ROUTE)
			continue;
		tap_int(t->routes[route].port, lookups[i].port, "... by this port");
		tap_int(t->routes[route].mtu, lookups[i].mtu, "... in such packets");
		tap_ok(net_is_local(t, addr.family, addr.bytes) == (i < 2),
			"... the box's own or not; loopback does not count");
	}
	tap_ok(net_port_of_row(t, 5) == &t->ports[1] && net_port_of_row(t, 3) == NULL,
		"ports by their rows");
	tap_ok(net_port_of_ifindex(t, 3) == &t->ports[0] && net_port_of_ifindex(t, 5) == NULL,
		"ports by their interfaces");
	tap_ok(t->ports[0].mac[1] == 3 && (t->ports[0].flags & SHM_PORT_UP) != 0 &&
			(t->ports[1].flags & SHM_PORT_UP) == 0,
		"ports are as the block says");
	net_table_destroy(t);

	add("10.9.0.0/16", SHM_ROUTE_LOCAL, 1, NULL, 0);
	t = make_table(true);
	tap_ok(net_is_local(t, ADDR_V4, (uint8_t[]){ 10, 9, 1, 1 }),
		"a whole prefix may be the box's own");
	net_table_destroy(t);

	t = make_table(false);
	tap_ok(net_route_lookup(t, ADDR_V4, (uint8_t[]){ 10, 9, 1, 1 }) == NET_NO_ROUTE &&
			net_route_lookup(t, ADDR_V6, (uint8_t[16]){ 1 }) == NET_NO_ROUTE &&
			t->n_ports == 2 && t->ports[0].flags == 0,
		"without a block nothing is known, and no port is up");
	net_table_destroy(t);
}

// ---- neighbours ----

static int
set(struct net_table *t, uint32_t number, enum shm_neighbour_state as)
{
	struct shm_cmd_neighbour cmd = {
		.ifindex = 3,
		.family = 6,
		.state = (uint8_t)as,
		.mac = { 2, 0, 0, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			(uint8_t)number },
		.addr.bytes = { 0xfe, 0x80 },
	};

	store_be32(cmd.addr.bytes + 12, number);
	return net_neighbour_set(t, &cmd);
}

// The number in the link-layer address; -1: not known.
static long
get(const struct net_table *t, uint32_t number)
{
	uint8_t addr[16] = { 0xfe, 0x80 };
	const struct shm_neighbour_row *row;
	uint64_t word;

	store_be32(addr + 12, number);
	row = net_neighbour_lookup(t, 3, 6, addr);
	if (row == NULL)
		return -1;
	word = atomic_load_explicit(&row->word, memory_order_relaxed);
	if (net_neighbour_state(word) != SHM_NEIGHBOUR_REACHABLE)
		return -2;
	return (long)((word >> 24 & 0xff) << 16 | (word >> 32 & 0xff) << 8 | (word >> 40 & 0xff));
}

static void
test_neighbours(void)
{
	struct net_table *t = make_table(false), *next;
	struct shm_cmd_neighbour bad = { .ifindex = 3, .family = 4, .state = 3 };

	tap_int(get(t, 5), -1, "nobody is known at first");
	tap_int(set(t, 5, SHM_NEIGHBOUR_NONE), 0, "nobody is forgotten");
	tap_int(atomic_load(&state->neighbours_end), 0, "... and takes no row");
	tap_int(set(t, 5, SHM_NEIGHBOUR_REACHABLE), 0, "one comes");
	tap_int(get(t, 5), 5, "... and is found");
	tap_int(set(t, 5, SHM_NEIGHBOUR_FAILED), 0, "it does not answer");
	tap_int(get(t, 5), -2, "... which is seen");
	tap_ok(net_neighbour_lookup(t, 4, 6, state->neighbours[0].addr.bytes) == NULL,
		"behind another interface lives another one");
	bad.family = 5;
	tap_int(net_neighbour_set(t, &bad), -EINVAL, "no family");
	bad.family = 4;
	bad.addr.bytes[4] = 1;
	tap_int(net_neighbour_set(t, &bad), -EINVAL, "an IPv4 address of more than four bytes");
	bad.addr.bytes[4] = 0;
	bad.ifindex = 0;
	tap_int(net_neighbour_set(t, &bad), -EINVAL, "no interface");
	bad.ifindex = 3;
	bad.state = 4;
	tap_int(net_neighbour_set(t, &bad), -EINVAL, "no state");

	set(t, 5, SHM_NEIGHBOUR_REACHABLE);
	next = make_table(false);
	tap_int(get(next, 5), 5, "a new table knows whom the old one knew");
	net_table_destroy(t);
	set(next, 5, SHM_NEIGHBOUR_NONE);
	net_neighbours_reclaim(next);
	tap_int(set(next, 5, SHM_NEIGHBOUR_REACHABLE), 0, "one that was forgotten comes back");
	tap_ok(get(next, 5) == 5 && atomic_load(&state->neighbours_end) == 1,
		"... into its old row");
	set(next, 5, SHM_NEIGHBOUR_NONE);
	net_neighbours_reclaim(next);
	set(next, 6, SHM_NEIGHBOUR_REACHABLE);
	tap_int(atomic_load(&state->neighbours_end), 2,
		"a row that this table's index knows is nobody else's");
	set(next, 6, SHM_NEIGHBOUR_NONE);
	set(next, 5, SHM_NEIGHBOUR_NONE);
	net_table_destroy(next);
}

static void
test_many(void)
{
	struct net_table *t = make_table(false), *next;
	bool fine = true;

	net_neighbours_reclaim(t);
	for (uint32_t i = 0; i < SHM_MAX_NEIGHBOURS; i++)
		fine &= set(t, i, SHM_NEIGHBOUR_REACHABLE) == 0;
	for (uint32_t i = 0; i < SHM_MAX_NEIGHBOURS; i++)
		fine &= get(t, i) == (long)i;
	tap_ok(fine, "as many as there are rows are found");
	tap_int(set(t, SHM_MAX_NEIGHBOURS, SHM_NEIGHBOUR_REACHABLE), -ENOSPC, "one more is not");
	tap_int(get(t, SHM_MAX_NEIGHBOURS), -1, "... and looking for it ends");
	for (uint32_t i = 100; i < 200; i++)
		set(t, i, SHM_NEIGHBOUR_NONE);
	tap_int(set(t, SHM_MAX_NEIGHBOURS, SHM_NEIGHBOUR_REACHABLE), -ENOSPC,
		"rows that somebody may still look at are not used again");
	next = make_table(false);
	net_neighbours_reclaim(next);
	for (uint32_t i = 0; i < 100; i++)
		fine &= set(next, SHM_MAX_NEIGHBOURS + i, SHM_NEIGHBOUR_REACHABLE) == 0;
	tap_int(set(next, 1, SHM_NEIGHBOUR_REACHABLE), 0, "a row that is in use");
	tap_int(set(next, 99999, SHM_NEIGHBOUR_REACHABLE), -ENOSPC, "then all are in use again");
	for (uint32_t i = 0; i < SHM_MAX_NEIGHBOURS + 100; i++)
		fine &= get(next, i) == (i >= 100 && i < 200 ? -1 : (long)i);
	tap_ok(fine, "with a new table they are, and each is who it is");
	net_table_destroy(t);
	net_table_destroy(next);
}

// ---- neighbours that come while others look ----

static struct net_table *shared;
static _Atomic uint32_t n_set;
static _Atomic bool stop;

static void *
look(void *wrong)
{
	while (!atomic_load(&stop)) {
		uint32_t end = atomic_load(&n_set);

		for (uint32_t i = 0; i < end; i += 7)
			if (get(shared, i) != (long)i)
				*(bool *)wrong = true;
	}
	return NULL;
}

static void
test_threads(void)
{
	bool wrong[2] = {};
	pthread_t threads[2];

	memset(state->neighbours, 0, sizeof(state->neighbours));
	shared = make_table(false);
	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, look, &wrong[i]) != 0)
			abort();
	for (uint32_t i = 0; i < 4000; i++) {
		set(shared, i, SHM_NEIGHBOUR_REACHABLE);
		atomic_store(&n_set, i + 1);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	tap_ok(!wrong[0] && !wrong[1], "who comes is found at once, and as nobody else");
	net_table_destroy(shared);
}

int
main(void)
{
	net = calloc(1, sizeof(*net));
	if (net == NULL || in_memory_regions(&state, &keys) < 0)
		abort();
	test_blocks();
	test_lookups();
	test_neighbours();
	test_many();
	test_threads();
	in_memory_regions_free(state, keys);
	free(net);
	return tap_done();
}
