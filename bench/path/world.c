/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/world.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness/run.h"
#include "bench/path/rules.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define PEER_BITS   17 // of our_index; the rest counts sessions
#define SUBNET_BITS 4  // of a /28

#define OLD_AFTER_REKEY 4 // packets of a peer that come by turns of the old and the new session

static_assert(WORLD_PEERS_MAX == 1u << PEER_BITS, "our index holds a peer's number");

// --- sessions ----------------------------------------------------------------------------------

// What in_memory_install() makes of a key byte and two indices.
static void
fill_key(uint8_t key[32], uint8_t byte, uint32_t one_index, uint32_t other_index)
{
	uint32_t both = one_index ^ other_index;

	memset(key, byte, 32);
	memcpy(key, &both, sizeof(both));
}

static void
eat_events(struct world *w)
{
	struct shm_event event;

	while (in_memory_event(w->gateway, &event))
		if (event.kind == SHM_EV_SESSION_FREED)
			w->free_slots[w->n_free++] = shm_index_slot(event.index);
}

#define KEY_TO_GATEWAY 0x11
#define KEY_TO_PEER    0x22

static uint32_t
index_of(uint32_t peer, uint32_t generation)
{
	return generation << PEER_BITS | peer;
}

static void
install(struct world *w, uint32_t peer, enum shm_role role)
{
	struct world_peer *p = &w->peers[peer];
	uint32_t slot = w->free_slots[--w->n_free], generation = ++p->generation;
	struct in_memory_session theirs = {
		.peer = peer,
		.receiver_index = (uint32_t)w->slot_generation[slot]++ << SHM_SLOT_BITS | slot,
		.sender_index = index_of(peer, generation),
		.role = role,
		.key_receive = KEY_TO_GATEWAY,
		.key_send = KEY_TO_PEER,
	};

	p->their_index[generation % 4] = theirs.receiver_index;
	p->counter[generation % 2] = 0;
	in_memory_install(w->gateway, &theirs);
	eat_events(w);
}

void
world_rekey(struct world *w, uint32_t n, bool confirm)
{
	in_memory_main_round(w->gateway); // promotions, and the slots that they freed
	eat_events(w);
	for (uint32_t tries = 0; n > 0 && w->n_free > 0 && tries < w->config.n_peers; tries++) {
		uint32_t peer = w->rekey_next++ % w->config.n_peers;
		struct world_peer *p = &w->peers[peer];

		if (confirm && !p->is_settled)
			continue;
		install(w, peer,
			confirm && p->generation % 2 == 0 ? SHM_ROLE_RESPONDER
							  : SHM_ROLE_INITIATOR);
		p->old_left = confirm ? OLD_AFTER_REKEY : 0;
		p->is_settled = false;
		w->n_rekeys++;
		n--;
	}
}

void
world_sending(struct world *w, uint32_t peer, struct world_seal *ret_seal)
{
	struct world_peer *p = &w->peers[peer];
	uint32_t generation = p->generation;

	// By turns, so that old and new arrive mixed.
	if (p->old_left > 0 && (p->old_left-- & 1) == 0)
		generation--;
	else
		p->is_settled = p->old_left == 0;
	ret_seal->counter = p->counter[generation % 2]++;
	ret_seal->receiver_index = p->their_index[generation % 4];
	fill_key(ret_seal->key, KEY_TO_GATEWAY, ret_seal->receiver_index,
		index_of(peer, generation));
}

bool
world_receiving(const struct world *w, uint32_t index, uint8_t ret_key[32])
{
	uint32_t peer = index & (WORLD_PEERS_MAX - 1), generation = index >> PEER_BITS;

	if (peer >= w->config.n_peers || w->peers[peer].generation - generation > 2)
		return false;
	fill_key(ret_key, KEY_TO_PEER, w->peers[peer].their_index[generation % 4], index);
	return true;
}

uint32_t
world_address(const struct world *w, uint32_t peer, uint32_t i)
{
	if (i == 0)
		return WORLD_ADDRESSES + peer;
	return WORLD_SUBNETS + ((peer * (w->config.prefixes - 1) + i - 1) << SUBNET_BITS) + 1;
}

uint64_t
world_drops(const struct world *w)
{
	uint64_t n = 0;

	for (unsigned i = DROP_NONE + 1; i < N_DROP_REASONS; i++)
		n += in_memory_drops(w->gateway, i);
	return n;
}

// --- making it ---------------------------------------------------------------------------------

static void
add_prefix(struct in_memory *m, uint32_t address, unsigned len, uint32_t to)
{
	struct in_addr a = { htonl(address) };
	char text[INET_ADDRSTRLEN], prefix[INET_ADDRSTRLEN + 4];

	inet_ntop(AF_INET, &a, text, sizeof(text));
	snprintf(prefix, sizeof(prefix), "%s/%u", text, len);
	in_memory_prefix(m, prefix, to);
}

static void
load_filter(struct in_memory *m, uint32_t n_rules)
{
	const struct shm_settings settings = { .mtu = IN_MEMORY_MTU,
		.filter = SHM_FILTER_ENFORCED };
	struct acl_table *table;

	if (n_rules == 0)
		return;
	table = rules_make(n_rules);
	in_memory_all_settings(m, &settings);
	in_memory_filter(m, table);
	free(table);
}

static uint32_t
load_tables(struct world *w)
{
	struct in_memory *m = w->gateway;

	in_memory_begin(m, true);
	in_memory_settings(m, IN_MEMORY_MTU, NULL, NULL);
	load_filter(m, w->config.n_rules);
	in_memory_prefix(m, "10.0.0.0/8", SHM_TO_HOST);
	for (uint32_t i = 0; i < w->config.n_peers; i++) {
		in_memory_peer(m, i);
		add_prefix(m, world_address(w, i, 0), 32, i);
		for (uint32_t k = 1; k < w->config.prefixes; k++)
			add_prefix(m, world_address(w, i, k) & ~0xfu, 32 - SUBNET_BITS, i);
	}
	return in_memory_commit(m);
}

static void
load_sessions(struct world *w)
{
	for (uint32_t i = 0; i < w->config.n_peers; i++) {
		struct in_addr a = { htonl(world_outer(i)) };
		char text[INET_ADDRSTRLEN], endpoint[INET_ADDRSTRLEN + 8];

		inet_ntop(AF_INET, &a, text, sizeof(text));
		snprintf(endpoint, sizeof(endpoint), "%s:%u", text, WORLD_UDP_PORT);
		in_memory_path(w->gateway, i, endpoint, "198.51.100.1");
		install(w, i, SHM_ROLE_INITIATOR);
		w->peers[i].is_settled = true;
	}
}

static void
load_neighbours(struct world *w)
{
	for (uint32_t i = 0; i < w->config.lan_hosts; i++) {
		struct in_addr a = { htonl(WORLD_LAN_HOSTS + i) };
		char text[INET_ADDRSTRLEN];

		inet_ntop(AF_INET, &a, text, sizeof(text));
		in_memory_neighbour(w->gateway, 0, text, (uint8_t)i, SHM_NEIGHBOUR_REACHABLE);
	}
}

static void
make_route(struct shm_net_route *r, uint32_t address, uint8_t len, enum shm_route_kind kind)
{
	const uint32_t ours = htonl(WORLD_LAN_OURS);

	address = htonl(address);
	*r = (struct shm_net_route){
		.ifindex = IN_MEMORY_IFINDEX(0), .family = 4, .len = len, .kind = (uint8_t)kind
	};
	memcpy(r->addr.bytes, &address, sizeof(address));
	memcpy(r->source.bytes, &ours, sizeof(ours));
}

// The LAN behind a link port, with source NAT.
static int
load_network(struct world *w)
{
	struct shm_net *net = calloc(1, sizeof(*net));
	uint32_t refused;

	if (net == NULL)
		return -ENOMEM;
	net->n_ports = 1;
	net->n_routes = 2;
	net->nat = SHM_NAT_V4;
	net->nat_port_first = WORLD_NAT_FIRST;
	net->nat_port_last = WORLD_NAT_LAST;
	net->ports[0] = (struct shm_net_port){
		.ifindex = IN_MEMORY_IFINDEX(0), .mtu = 1500, .flags = SHM_PORT_UP, .name = "link0"
	};
	memcpy(net->ports[0].mac, WORLD_LAN_MAC, sizeof(net->ports[0].mac));
	make_route(&net->routes[0], WORLD_LAN, 8, SHM_ROUTE_CONNECTED);
	make_route(&net->routes[1], WORLD_LAN_OURS, 32, SHM_ROUTE_LOCAL);
	refused = in_memory_net(w->gateway, net);
	free(net);
	if (refused != 0)
		return -EINVAL;
	load_neighbours(w);
	return 0;
}

static int
load(struct world *w)
{
	uint64_t began = mono_now().ns;
	uint32_t refused = load_tables(w);

	if (refused != 0) {
		bench_error("the gateway has no room for so many prefixes or peers",
			"take fewer --peers or --prefixes", "%u peers with %u prefixes each",
			w->config.n_peers, w->config.prefixes);
		return ERR_FULL;
	}
	w->tables_seconds = (double)(mono_now().ns - began) * 1e-9;
	load_sessions(w);
	if (w->link != NULL && load_network(w) < 0) {
		bench_error("the gateway refuses the network", "this is a mistake in the bench",
			"a LAN behind a link port");
		return -EINVAL;
	}
	w->load_seconds = (double)(mono_now().ns - began) * 1e-9;
	return 0;
}

// Three sessions a peer, as many as it has; the lowest slots first.
static int
make_slots(struct world *w)
{
	w->n_slots = w->config.n_peers * 3 + 64;
	if (w->n_slots >= SHM_MAX_SESSIONS)
		w->n_slots = SHM_MAX_SESSIONS - 1;
	w->free_slots = calloc(w->n_slots + 1, sizeof(*w->free_slots));
	w->slot_generation = calloc(w->n_slots + 1, sizeof(*w->slot_generation));
	w->peers = calloc(w->config.n_peers, sizeof(*w->peers));
	if (w->free_slots == NULL || w->slot_generation == NULL || w->peers == NULL)
		return -ENOMEM;
	for (uint32_t slot = w->n_slots; slot > 0; slot--)
		w->free_slots[w->n_free++] = slot;
	return 0;
}

static int
make_cards(struct world *w)
{
	struct worker *worker = &w->gateway->workers[0]->w;
	struct nic_config config = {
		.name = "wire",
		.kind = PKT_WIRE,
		.ring = w->config.ring,
		.burst = w->config.burst,
		.lines = w->config.lines,
		.address = WORLD_GATEWAY,
		.udp_port = WORLD_UDP_PORT,
		.cache = &worker->pool,
	};
	int err = nic_create(&config, &w->wire);

	config.name = "host";
	config.kind = PKT_INNER;
	config.port_index = 1;
	if (err == 0)
		err = nic_create(&config, &w->host);
	if (err == 0 && w->config.n_flows > 0) {
		config.name = "link0";
		config.kind = PKT_FRAME;
		config.port_index = IN_MEMORY_ROW(0);
		err = nic_create(&config, &w->link);
	}
	if (err == 0) {
		worker->wire = nic_port(w->wire);
		worker->host = nic_port(w->host);
	}
	// Published with the network.
	if (err == 0 && w->link != NULL)
		w->gateway->network.ports[0].io = nic_port(w->link);
	return err;
}

int
world_create(const struct world_config *config, struct world **ret_world)
{
	const struct in_memory_config memory = {
		.n_workers = 1,
		// What is posted in two rings, what waits to be sent in two, and some under way.
		.n_frames = (config->n_flows > 0 ? 6 : 4) * config->ring + 4096,
		.n_links = config->n_flows > 0,
		.is_shared = config->is_shared,
		.small_pages = config->small_pages,
		.no_flow_cache = config->no_flow_cache,
	};
	struct world *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (w != NULL) {
		w->config = *config;
		err = in_memory_create(&memory, &w->gateway);
		if (err == 0)
			err = make_slots(w);
		if (err == 0)
			err = make_cards(w);
		if (err < 0)
			bench_error(err_str(err), "free memory, or take a smaller --working-set",
				"a gateway in memory");
		else
			err = load(w);
	}
	if (err < 0) {
		world_destroy(w);
		return err;
	}
	*ret_world = w;
	return 0;
}

void
world_destroy(struct world *w)
{
	if (w == NULL)
		return;
	nic_destroy(w->wire);
	nic_destroy(w->host);
	nic_destroy(w->link);
	in_memory_destroy(w->gateway);
	free(w->free_slots);
	free(w->slot_generation);
	free(w->peers);
	free(w);
}
