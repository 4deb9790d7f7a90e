/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network as one block over a real command ring, with a forwarder that may be slow, refuse and
 * die.
 */

#include "controlplane/gateway/publish/net.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/fake_forwarder.h"

struct site {
	struct fake_forwarder f;
	struct dataplane dp;
	struct net_publisher p;
	unsigned n_answers;
};

static void
attach(struct site *s)
{
	struct dataplane_grant g = fake_grant(&s->f);

	tap_int(dataplane_join(&s->dp, &g), 0, "the control plane joins");
	net_publisher_start_over(&s->p);
}

static void
start(struct site *s)
{
	*s = (struct site){};
	fake_start(&s->f, 1);
	dataplane_init(&s->dp);
	net_publisher_init(&s->p, &s->dp);
	attach(s);
}

static void
end(struct site *s)
{
	net_publisher_fini(&s->p);
	dataplane_fini(&s->dp);
	fake_end(&s->f);
}

static void
hear(struct site *s)
{
	struct shm_event e;

	while (shm_ring_peek(&s->dp.events, &e)) {
		shm_ring_advance(&s->dp.events);
		if (e.kind == SHM_EV_NET)
			s->n_answers += net_publisher_on_answer(&s->p, e.generation, e.value);
		else if (e.kind == SHM_EV_RESYNC)
			net_publisher_start_over(&s->p);
	}
}

static void
run(struct site *s)
{
	for (int i = 0; i < 100; i++) {
		net_publisher_pump(&s->p);
		dataplane_flush(&s->dp);
		fake_work(&s->f);
		hear(s);
	}
}

static struct net_block *
block_of(size_t n_routes, uint32_t nat)
{
	struct network network = { .serial = 1, .nat = nat, .nat_port_first = 61000, .n_ports = 1 };
	struct net_block *block;

	network.ports[0] = (struct network_port){ .ifindex = 7,
		.name = "lan0",
		.mac = { 2, 0, 0, 0, 0, 7 },
		.mtu = 1500,
		.up = true,
		.carrier = true,
		.fills_checksum = true };
	network.routes = calloc(n_routes + 1, sizeof(network.routes[0]));
	network.n_routes = n_routes;
	for (size_t i = 0; i < n_routes; i++)
		network.routes[i] = (struct network_route){
			.prefix = { { ADDR_V4, { 10, (uint8_t)(i >> 8), (uint8_t)i } }, 24 },
			.gateway = { ADDR_V4, { 192, 0, 2, 1 } },
			.source = { ADDR_V4, { 192, 0, 2, 2 } },
			.ifindex = 7,
			.mtu = 1400,
			.kind = SHM_ROUTE_GATEWAY,
		};
	if (net_block_create(&network, &block) < 0)
		abort();
	free(network.routes);
	return block;
}

static void
test_block(void)
{
	struct net_block *block = block_of(3, SHM_NAT_V4);
	const struct shm_net *net = (const struct shm_net *)block->bytes;

	tap_int(block->len, SHM_NET_LEN(3), "a block is as long as its routes make it");
	tap_int(net->n_ports, 1, "it has the ports");
	tap_int(net->ports[0].flags, SHM_PORT_UP | SHM_PORT_FILL_CHECKSUM, "with what they can");
	tap_text(net->ports[0].name, "lan0", "and their names");
	tap_int(net->nat, SHM_NAT_V4, "which family is translated");
	tap_int(net->nat_port_first, 61000, "and to which ports");
	tap_int(net->routes[2].addr.bytes[2], 2, "the routes in order");
	tap_ok(net->routes[2].kind == SHM_ROUTE_GATEWAY && net->routes[2].gateway.bytes[3] == 1 &&
			net->routes[2].source.bytes[3] == 2 && net->routes[2].mtu == 1400 &&
			net->routes[2].family == 4 && net->routes[2].len == 24,
		"with all that belongs to one");
	free(block);
}

static uint32_t
n_routes_said(const struct site *s)
{
	struct shm_net net;

	memcpy(&net, s->f.net, offsetof(struct shm_net, routes));
	return net.n_routes;
}

static void
test_saying(void)
{
	struct site s;

	start(&s);
	net_publisher_wish(&s.p, block_of(3, 0));
	run(&s);
	tap_int(s.f.n_nets, 1, "the block is said");
	tap_ok(s.f.net_len == SHM_NET_LEN(3) && s.f.net_total == s.f.net_len, "whole");
	tap_int(s.n_answers, 1, "its answer is heard");
	net_publisher_wish(&s.p, block_of(3, 0));
	run(&s);
	tap_int(s.f.n_nets, 1, "the same is not said again");
	net_publisher_wish(&s.p, block_of(3, SHM_NAT_V6));
	run(&s);
	tap_int(s.f.n_nets, 2, "another one is");
	end(&s);
}

static void
test_newest_wins(void)
{
	struct site s;

	start(&s);
	s.f.silent = true;
	net_publisher_wish(&s.p, block_of(5000, 0));
	net_publisher_pump(&s.p);
	tap_ok(net_publisher_is_talking(&s.p), "a block larger than the ring waits for room");
	tap_ok(shm_ring_used(&s.dp.commands) <= SHM_N_COMMANDS - DATAPLANE_URGENT_SLOTS,
		"and leaves some to what is urgent");
	net_publisher_wish(&s.p, block_of(4, 0));
	net_publisher_wish(&s.p, block_of(5, 0));
	s.f.silent = false;
	run(&s);
	tap_int(s.f.n_nets, 2, "what was begun is ended; of the others only the newest is said");
	tap_int(n_routes_said(&s), 5, "and that is the newest");
	tap_ok(!net_publisher_is_talking(&s.p), "then there is silence");

	s.f.silent = true;
	net_publisher_wish(&s.p, block_of(6, 0));
	net_publisher_pump(&s.p);
	net_publisher_wish(&s.p, block_of(5, 0));
	s.f.silent = false;
	run(&s);
	tap_int(n_routes_said(&s), 5, "what is taken back meanwhile is said again");
	end(&s);
}

static void
test_refused(void)
{
	struct site s;

	start(&s);
	s.f.refuse_net = true;
	net_publisher_wish(&s.p, block_of(3, 0));
	run(&s);
	tap_int(s.p.n_refused, 1, "a refusal is counted");
	net_publisher_wish(&s.p, block_of(3, 0));
	run(&s);
	tap_int(s.f.n_nets, 2, "what was refused is said again when it is wanted again");
	tap_ok(!net_publisher_on_answer(&s.p, 99, 0) && !net_publisher_on_answer(&s.p, 2, 0),
		"answers to nothing are ignored");
	end(&s);
}

static void
test_again(void)
{
	struct site s;

	start(&s);
	net_publisher_wish(&s.p, block_of(3, 0));
	run(&s);
	fake_restart_forwarder(&s.f);
	run(&s);
	tap_int(s.f.n_nets, 2, "a new forwarder hears it again");
	tap_int(s.f.net_serial, 2, "by another number");

	net_publisher_wish(&s.p, block_of(4, 0));
	net_publisher_pump(&s.p);
	dataplane_leave(&s.dp);
	net_publisher_start_over(&s.p);
	tap_ok(!net_publisher_is_talking(&s.p), "without a data plane nothing is said");
	s.f.state->net_serial = 77;
	attach(&s);
	run(&s);
	tap_int(n_routes_said(&s), 4, "after an attach the newest is said");
	tap_int(s.f.net_serial, 78, "by a number that nobody had");
	end(&s);
}

int
main(void)
{
	test_block();
	test_saying();
	test_newest_wins();
	test_refused();
	test_again();
	return tap_done();
}
