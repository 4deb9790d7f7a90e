/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Peers without a direct path that is known to work: what is sealed for them goes to the control
 * plane, which holds the relays, alone or as a copy.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/wg/message.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define N_FRAMES 1024

static struct gateways g;

static void
make_inner(uint8_t inner[100], uint16_t id)
{
	const struct packet_make what = { .src = "10.1.0.5", .dst = "10.2.0.5", .id = id };

	packet_make(inner, 100, &what);
}

static void
push(uint16_t id)
{
	uint8_t inner[100];

	make_inner(inner, id);
	if (!in_memory_push_host(g.near, 0, inner, sizeof(inner)))
		abort();
}

// What the control plane of `to` does with what came by a relay.
static void
bring(struct in_memory *to, const void *data, size_t len)
{
	if (!in_memory_inject(to, SHM_PKT_WIRE, data, len))
		abort();
	in_memory_round(to); // the main thread's part
	in_memory_round(to);
}

static bool
arrives(struct in_memory *to, uint16_t id)
{
	struct message inner;

	return gateway_take_host(to, &inner) && packet_id(inner.data, inner.len) == id;
}

static void
test_relay_only(void)
{
	struct shm_packet punted;
	struct shm_event event;
	struct message msg;

	gateways_create(&g, true);
	in_memory_relay_path(g.near, 0, NULL);
	push(7);
	in_memory_round(g.near);
	tap_ok(!gateway_take_wire(g.near, &msg), "with the relay alone nothing leaves by the wire");
	tap_ok(in_memory_punted(g.near, &punted) && punted.kind == SHM_PKT_RELAY &&
			punted.peer == 0 && punted.path.family == 0,
		"it goes to the control plane, with the peer's number");
	tap_int(wg_message_type(punted.data, punted.len), WG_MESSAGE_TRANSPORT_DATA,
		"as a whole WireGuard message");
	tap_ok(!in_memory_punted(g.near, &punted), "once");

	bring(g.far, punted.data, punted.len);
	tap_ok(arrives(g.far, 7), "the other end opens what its relay brought");
	tap_ok(in_memory_wait_event(g.far, SHM_EV_SEEN_FROM, &event) && event.peer == 0 &&
			event.path.family == 0 && event.path.relay == 1,
		"and says that the peer is heard through a relay");

	in_memory_relay_path(g.far, 0, NULL);
	for (uint16_t id = 8; id < 11; id++) {
		push(id);
		in_memory_round(g.near);
		if (!in_memory_punted(g.near, &punted))
			abort();
		g.far->workers[0]->w.waiting[0].seen_ns = 0;
		bring(g.far, punted.data, punted.len);
		tap_ok(arrives(g.far, id), "more of them arrive");
	}
	tap_ok(!in_memory_wait_event(g.far, SHM_EV_SEEN_FROM, &event),
		"where the relay is the peer's path, that is nothing new");
	gateways_destroy(&g);
}

static void
test_both(void)
{
	struct shm_packet punted;
	struct message msg, inner;

	gateways_create(&g, true);
	in_memory_relay_path(g.near, 0, "192.0.2.2:51820");
	push(1);
	push(2);
	in_memory_round(g.near);
	for (uint16_t id = 1; id < 3; id++) {
		tap_ok(gateway_take_wire(g.near, &msg) && msg.outer.family == 4 &&
				msg.outer.remote_port == 51820,
			"both ways: it leaves directly");
		tap_ok(in_memory_punted(g.near, &punted) && punted.kind == SHM_PKT_RELAY,
			"and to the control plane");
		tap_ok(punted.len == msg.len && memcmp(punted.data, msg.data, msg.len) == 0,
			"the same message");
		tap_ok(gateway_open(g.far, &msg, &inner) && packet_id(inner.data, inner.len) == id,
			"the first to come is opened");
		bring(g.far, punted.data, punted.len);
		tap_ok(!gateway_take_host(g.far, &inner), "the second is not");
	}
	tap_int((long long)in_memory_drops(g.far, DROP_REPLAY), 2, "it is a repeat");
	tap_int((long long)g.near->state->counters[0][0].tx_packets, 3,
		"sent is counted once (and the keepalive)");
	gateways_destroy(&g);
}

// One burst to peers of every kind: each packet goes its way, in order.
static void
test_mixed(void)
{
	const struct packet_make near = { .src = "10.2.0.5", .dst = "10.1.0.5", .id = 1 };
	const struct packet_make third = { .src = "10.2.0.5", .dst = "10.3.0.5", .id = 2 };
	uint8_t inner[100];
	struct shm_packet punted;
	struct message msg;
	unsigned n_wire = 0, n_relay = 0;

	gateways_create(&g, true);
	in_memory_relay_path(g.far, 0, NULL);
	for (unsigned i = 0; i < 10; i++) {
		packet_make(inner, sizeof(inner), i % 3 == 0 ? &near : &third);
		if (!in_memory_push_host(g.far, 0, inner, sizeof(inner)))
			abort();
	}
	in_memory_round(g.far);
	while (gateway_take_wire(g.far, &msg))
		n_wire += msg.outer.family == 6;
	while (in_memory_punted(g.far, &punted))
		n_relay += punted.peer == 0;
	tap_int(n_wire, 6, "of a mixed burst those with a direct path leave directly");
	tap_int(n_relay, 4, "the others by the relay");
	gateways_destroy(&g);
}

static void
test_no_buffer(void)
{
	struct pkt *taken[N_FRAMES];
	struct shm_packet punted;
	struct message msg;
	uint32_t n;

	gateways_create(&g, true);
	in_memory_relay_path(g.near, 0, "192.0.2.2:51820");
	push(1);
	n = pool_get(&g.near->workers[0]->w.pool, taken, N_FRAMES);
	n += pool_get(&g.near->cache, taken + n, N_FRAMES - n);
	n += pool_get(&g.near->workers[0]->w.pool, taken + n, N_FRAMES - n);
	in_memory_round(g.near);
	tap_ok(gateway_take_wire(g.near, &msg), "with no buffer for a copy it goes directly");
	tap_ok(!in_memory_punted(g.near, &punted), "and only so");
	tap_int((long long)in_memory_drops(g.near, DROP_NO_BUFFER), 1, "which is counted");
	for (uint32_t i = 0; i < n; i++)
		in_memory_put(g.near, taken[i]);
	gateways_destroy(&g);
}

static uint64_t
main_drops(enum drop_reason reason)
{
	return g.near->state->workers[SHM_MAIN_ROW].drops[reason];
}

static void
test_nobody_takes(void)
{
	uint8_t initiation[WG_INITIATION_LEN] = { WG_MESSAGE_INITIATION };
	struct shm_packet punted;
	unsigned n = 0;

	gateways_create(&g, true);
	in_memory_relay_path(g.near, 0, NULL);
	for (uint16_t id = 0; id < SHM_N_PACKETS; id++) {
		push(id);
		in_memory_round(g.near);
	}
	tap_int((long long)main_drops(DROP_RELAY_FULL), SHM_N_PUNT_URGENT,
		"a control plane that does not read: the rest is dropped, not kept");
	if (!in_memory_push_wire(g.near, 0, initiation, sizeof(initiation), NULL, 0))
		abort();
	in_memory_round(g.near);
	tap_int((long long)main_drops(DROP_PUNT_FULL), 0, "a handshake message still has room");
	while (in_memory_punted(g.near, &punted))
		n++;
	tap_int(n, SHM_N_PACKETS - SHM_N_PUNT_URGENT + 1, "everything that was taken is there");
	tap_ok(punted.kind == SHM_PKT_WIRE && punted.peer == SHM_NO_PEER, "that message last");

	g.near->rings.attached = false;
	push(1);
	in_memory_round(g.near);
	tap_int((long long)main_drops(DROP_RELAY_FULL), SHM_N_PUNT_URGENT + 1,
		"no control plane: dropped too");
	g.near->rings.attached = true;
	gateways_destroy(&g);
}

static void
say_path(struct shm_path path)
{
	struct shm_command cmd = { .kind = SHM_CMD_PATH, .path = { .path = path } };

	in_memory_command(g.near, &cmd);
}

static void
test_paths(void)
{
	struct shm_command keepalive = { .kind = SHM_CMD_KEEPALIVE };
	struct shm_packet punted;
	struct message msg;

	gateways_create(&g, true);
	in_memory_path(g.near, 0, NULL, NULL);
	push(1);
	in_memory_round(g.near);
	tap_int((long long)in_memory_drops(g.near, DROP_NO_PATH), 1, "no path at all: dropped");

	in_memory_relay_path(g.near, 0, NULL);
	say_path((struct shm_path){ .family = 4, .remote_port = 1, .relay = 2 });
	in_memory_command(g.near, &keepalive);
	in_memory_round(g.near);
	tap_ok(in_memory_punted(g.near, &punted) && punted.kind == SHM_PKT_RELAY &&
			punted.len == WG_TRANSPORT_MIN_LEN,
		"keepalives go by the relay too");
	tap_ok(!gateway_take_wire(g.near, &msg), "a path that is none was not taken");

	say_path((struct shm_path){ .relay = 1, .remote_port = 9, .remote = { { 1, 2 } } });
	tap_ok(session_path(&g.near->apply.sessions, 0)->remote_port == 0,
		"what a relay's path says besides does not stay");

	in_memory_path(g.near, 0, "192.0.2.2:51820", NULL);
	push(2);
	in_memory_round(g.near);
	tap_ok(gateway_take_wire(g.near, &msg) && !in_memory_punted(g.near, &punted),
		"a direct path again: nothing goes to the relay any more");
	gateways_destroy(&g);
}

int
main(void)
{
	test_relay_only();
	test_both();
	test_mixed();
	test_no_buffer();
	test_nobody_takes();
	test_paths();
	return tap_done();
}
