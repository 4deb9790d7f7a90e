/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Blocks of the network in parts, whole or not at all; ports and neighbours; and a successor that
 * goes on with what was applied.
 */

#include "dataplane/ctl/network.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/io/io.h"
#include "dataplane/table/net.h"
#include "tests/lib/tap.h"

static struct shm_state *state;
static struct quiescent quiescent; // no worker runs
static _Atomic(const struct net_table *) published;
static struct network network;
static unsigned n_woken;

static void
wake(void *context)
{
	(void)context;
	n_woken++;
}

static const struct net_table *
table(void)
{
	return atomic_load(&published);
}

static void
join(void)
{
	network = (struct network){
		.state = state,
		.quiescent = &quiescent,
		.published = &published,
		.listen_port = 51820,
		.seed = { 1, 2 },
		.wake = wake,
	};
	if (network_init(&network) < 0)
		abort();
}

static void
start(void)
{
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (state == MAP_FAILED)
		abort();
	join();
}

static void
end(void)
{
	network_fini(&network);
	munmap(state, sizeof(*state));
}

// A LAN by interface 5, and an address of the box.
static struct shm_net *
make_block(uint32_t mtu, uint32_t n_more)
{
	struct shm_net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		abort();
	net->n_ports = 1;
	net->ports[0] = (struct shm_net_port){ .ifindex = 5,
		.mtu = mtu,
		.flags = SHM_PORT_UP,
		.mac = { 2, 0, 0, 0, 0, 1 },
		.name = "lan0" };
	net->routes[0] = (struct shm_net_route){ .addr = { { 192, 168, 77 } },
		.source = { { 192, 168, 77, 1 } },
		.ifindex = 5,
		.family = 4,
		.len = 24,
		.kind = SHM_ROUTE_CONNECTED };
	net->routes[1] = (struct shm_net_route){ .addr = { { 192, 168, 77, 1 } },
		.ifindex = 1,
		.family = 4,
		.len = 32,
		.kind = SHM_ROUTE_LOCAL };
	net->n_routes = 2 + n_more;
	for (uint32_t i = 0; i < n_more; i++)
		net->routes[2 + i] =
			(struct shm_net_route){ .addr = { { 10, (uint8_t)(i >> 8), (uint8_t)i } },
				.ifindex = 9,
				.family = 4,
				.len = 24,
				.kind = SHM_ROUTE_KERNEL };
	return net;
}

// Parts from `from` on, up to `until`.  Returns the answer's value; -1: there was none.
static int
send_parts(const struct shm_net *net,
	uint64_t serial,
	uint32_t from,
	uint32_t until,
	uint32_t total)
{
	struct shm_event event;
	int answer = -1;

	for (uint32_t at = from; at < until; at += SHM_NET_PART) {
		struct shm_cmd_net part = { .serial = serial, .offset = at, .total = total };
		uint32_t n = total - at < SHM_NET_PART ? total - at : SHM_NET_PART;

		memcpy(part.bytes, (const uint8_t *)net + at, n);
		if (!network_part(&network, &part, &event))
			continue;
		if (answer >= 0 || event.kind != SHM_EV_NET || event.generation != serial)
			return -2;
		answer = (int)event.value;
	}
	return answer;
}

static int
apply(uint32_t mtu, uint64_t serial, uint32_t n_more)
{
	struct shm_net *net = make_block(mtu, n_more);
	uint32_t total = (uint32_t)SHM_NET_LEN(net->n_routes);
	int answer = send_parts(net, serial, 0, total, total);

	free(net);
	return answer;
}

static uint32_t
mtu(void)
{
	const struct shm_net *net = network_applied(&network);

	return net != NULL ? net->ports[0].mtu : 0;
}

static void
test_blocks(void)
{
	struct shm_net *net = make_block(1400, 0);
	uint32_t total = (uint32_t)SHM_NET_LEN(2), serial;
	const uint8_t lan[4] = { 192, 168, 77, 9 };

	start();
	tap_ok(network_applied(&network) == NULL && table() != NULL && table()->n_routes == 0,
		"at first nothing is known, and the table is empty");
	tap_int(apply(1500, 7, 0), 0, "a block in parts is applied");
	tap_int((long long)atomic_load(&state->net_serial), 7, "and its serial is told");
	tap_ok(net_route_lookup(table(), 4, lan) != NET_NO_ROUTE, "workers see its routes");
	serial = table()->serial;

	tap_int(send_parts(net, 8, SHM_NET_PART, total, total), SHM_REFUSED_NET,
		"one that lacks its beginning is refused, once");
	tap_int(send_parts(net, 15, 0, SHM_NET_PART, total), -1, "a part");
	tap_int(send_parts(net, 15, 2 * SHM_NET_PART, total, total), SHM_REFUSED_NET,
		"and not the one behind it: refused, once");
	tap_int(send_parts(net, 9, 0, total, (uint32_t)SHM_NET_LEN(SHM_MAX_ROUTES + 1)),
		SHM_REFUSED_NET, "one that is too long is refused, once");
	tap_int(send_parts(net, 10, 0, 40, 40), SHM_REFUSED_NET, "one shorter than any is refused");
	tap_int(send_parts(net, 0, 0, total, total), SHM_REFUSED_NET, "a serial of 0 is none");
	net->routes[0].kind = 99;
	tap_int(send_parts(net, 11, 0, total, total), SHM_REFUSED_NET,
		"one that is not sound is refused");
	net->routes[0].kind = SHM_ROUTE_CONNECTED;
	tap_ok(mtu() == 1500 && table()->serial == serial, "all the while the first one counts");

	// A second one begins before the first has come to its end.
	tap_int(send_parts(net, 12, 0, total - SHM_NET_PART, total), -1,
		"a block that does not end");
	tap_int(apply(1300, 13, 300), 0, "gives way to one that does");
	tap_int(mtu(), 1300, "which counts");
	tap_int(send_parts(net, 12, total - total % SHM_NET_PART, total, total), SHM_REFUSED_NET,
		"its end comes too late");
	tap_int(apply(1200, 14, 0), 0, "and does not spoil the next one");
	tap_int(mtu(), 1200, "which counts");
	end();
	free(net);
}

static void
test_ports(void)
{
	struct port io = { .index = 2, .is_link = true };
	const struct network_port ports[] = { { &io, 5 } };
	unsigned woken;

	start();
	tap_int(apply(1500, 1, 0), 0, "a block");
	tap_int(table()->n_ports, 0, "no port is open");
	woken = n_woken;
	tap_int(network_set_ports(&network, ports, 1), 0, "one opens");
	tap_ok(table()->n_ports == 1 && table()->ports[0].io == &io && table()->ports[0].row == 2 &&
			table()->ports[0].mtu == 1500,
		"workers see it with what the block says");
	tap_ok(n_woken > woken, "and are woken to look");
	tap_int(apply(1400, 2, 0), 0, "another block");
	tap_ok(table()->n_ports == 1 && table()->ports[0].mtu == 1400, "it stays, and changes");
	tap_int(network_set_ports(&network, NULL, 0), 0, "it closes");
	tap_int(table()->n_ports, 0, "workers do not see it any more");
	end();
}

static struct shm_cmd_neighbour
neighbour(uint32_t number, uint8_t mac, enum shm_neighbour_state how)
{
	return (struct shm_cmd_neighbour){ .ifindex = 5,
		.family = 4,
		.state = how,
		.mac = { 2, 0, 0, 0, 0, mac },
		.addr = { { 192, 168, (uint8_t)(number >> 8), (uint8_t)number } } };
}

static uint64_t
word(uint32_t number)
{
	const uint8_t addr[4] = { 192, 168, (uint8_t)(number >> 8), (uint8_t)number };
	const struct shm_neighbour_row *row = net_neighbour_lookup(table(), 5, 4, addr);

	return row != NULL ? atomic_load(&row->word) : 0;
}

static void
say(uint32_t number, uint8_t mac, enum shm_neighbour_state how)
{
	struct shm_cmd_neighbour cmd = neighbour(number, mac, how);

	network_neighbour(&network, &cmd);
}

static void
test_neighbours(void)
{
	uint32_t serial;

	start();
	tap_int(apply(1500, 1, 0), 0, "a block");
	serial = table()->serial;
	say(9, 1, SHM_NEIGHBOUR_REACHABLE);
	tap_ok(word(9) == SHM_NEIGHBOUR_WORD(
				  ((uint8_t[]){ 2, 0, 0, 0, 0, 1 }), SHM_NEIGHBOUR_REACHABLE),
		"a neighbour is found");
	say(9, 7, SHM_NEIGHBOUR_REACHABLE);
	tap_ok((word(9) >> 40 & 0xff) == 7 && table()->serial == serial,
		"another MAC needs no other table");
	say(9, 7, (enum shm_neighbour_state)77);
	tap_ok((word(9) >> 40 & 0xff) == 7, "a state that is none changes nothing");

	for (uint32_t i = 1; i < SHM_MAX_NEIGHBOURS; i++)
		say(1000 + i, 1, SHM_NEIGHBOUR_REACHABLE);
	say(50000, 1, SHM_NEIGHBOUR_REACHABLE);
	tap_int((long long)word(50000), 0, "one more than there is room for is passed over");
	serial = table()->serial;
	say(50001, 1, SHM_NEIGHBOUR_REACHABLE);
	say(50002, 1, SHM_NEIGHBOUR_REACHABLE);
	tap_ok(table()->serial == serial, "and the next ones cost no table each");
	say(9, 0, SHM_NEIGHBOUR_NONE);
	say(50003, 5, SHM_NEIGHBOUR_REACHABLE);
	tap_ok((word(50003) >> 40 & 0xff) == 5, "one that was forgotten makes room");
	tap_int((long long)(word(9) >> 48), SHM_NEIGHBOUR_NONE, "and is not found as known");
	end();
}

static void
test_successor(void)
{
	start();
	tap_int(apply(1500, 1, 0), 0, "a block");
	say(9, 3, SHM_NEIGHBOUR_REACHABLE);
	network_fini(&network);
	join();
	tap_ok(mtu() == 1500 && table()->n_routes == 2, "the next forwarder has its routes");
	tap_ok((word(9) >> 40 & 0xff) == 3, "and its neighbours");
	network_fini(&network);

	// What a dying one left half way: the other half of the two was being filled.
	state->nets[atomic_load(&state->net_which) ^ 1].n_routes = 0xffffffff;
	join();
	tap_int(mtu(), 1500, "a block that had not come to its end is not looked at");
	network_fini(&network);

	state->nets[atomic_load(&state->net_which)].n_routes = 0xffffffff;
	join();
	tap_ok(network_applied(&network) == NULL && table()->n_routes == 0,
		"damaged memory is a start with nothing");
	tap_int(apply(1400, 2, 0), 0, "until the control plane has said all again");
	tap_int(mtu(), 1400, "which counts");
	end();
}

int
main(void)
{
	test_blocks();
	test_ports();
	test_neighbours();
	test_successor();
	return tap_done();
}
