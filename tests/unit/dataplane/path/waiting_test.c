/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets that wait for a session: asked for once, kept in order, bounded, and never for ever.
 */

#include <stdio.h>
#include <string.h>

#include "dataplane/stage/stages.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;
static uint8_t inner[2048];

static void
push_id(const char *dst, unsigned id)
{
	packet_make(inner, 100,
		&(struct packet_make){ .src = strchr(dst, ':') != NULL ? "fd01::5" : "10.1.0.5",
			.dst = dst,
			.id = (uint16_t)id });
	if (!in_memory_push_host(g.near, 0, inner, 100))
		tap_ok(false, "there is room");
}

static unsigned
count_events(enum shm_event_kind kind)
{
	struct shm_event event;
	unsigned n = 0;

	while (in_memory_event(g.near, &event))
		n += event.kind == (uint32_t)kind;
	return n;
}

static uint32_t
n_waiting(void)
{
	return g.near->workers[0]->w.n_waiting;
}

// Carry what near sent to far; true if ids `first` to `last` come out, in order, and no others.
static bool
arrive(unsigned first, unsigned last)
{
	struct message out;
	unsigned next = first;
	bool in_order = true;

	gateway_carry(g.near, g.far);
	for (; gateway_take_host(g.far, &out); next++)
		in_order &= packet_id(out.data, out.len) == (int)next;
	return in_order && next == last + 1;
}

static void
waits_and_goes(void)
{
	struct shm_event event;

	gateways_create(&g, false);
	for (unsigned i = 0; i < 10; i++)
		push_id("10.2.0.5", i);
	in_memory_round(g.near);
	tap_int(n_waiting(), 10, "without a session packets wait");
	tap_ok(in_memory_wait_event(g.near, SHM_EV_WANT_SESSION, &event) && event.peer == 0,
		"the control plane hears of it");
	tap_int(count_events(SHM_EV_WANT_SESSION), 0, "once");
	push_id("10.2.0.5", 10);
	in_memory_round(g.near);
	tap_int(count_events(SHM_EV_WANT_SESSION), 0, "not again within the second");
	g.near->workers[0]->w.waiting[0].asked_ns -= (uint64_t)WAITING_ASK_NS;
	push_id("10.2.0.5", 11);
	in_memory_round(g.near);
	tap_int(count_events(SHM_EV_WANT_SESSION), 1, "after a second with the next packet");

	push_id("10.2.0.5", 12); // comes in the same round as the session
	gateways_connect_far(&g);
	tap_int(n_waiting(), 0, "a session has come: nothing waits");
	tap_ok(arrive(0, 12), "all arrive, in order, before the newer one");
	gateways_destroy(&g);
}

// The session appears while a worker is in its round: what it takes from the port must not
// overtake what waits.
static void
session_comes_in_a_round(void)
{
	struct worker *w;
	struct burst b = {};

	gateways_create(&g, false);
	w = &g.near->workers[0]->w;
	push_id("10.2.0.5", 0);
	push_id("10.2.0.5", 1);
	in_memory_round(g.near);
	in_memory_install(g.near, &(struct in_memory_session){ .receiver_index = NEAR_INDEX,
					  .sender_index = FAR_INDEX,
					  .role = SHM_ROLE_INITIATOR });
	push_id("10.2.0.5", 2);
	b.n = w->host->ops->rx(w->host, 0, b.pkt, BURST_MAX);
	b.pkt[0]->peer = 0;
	session_select(w, &b);
	tap_int(b.n, 0, "a packet behind others that wait joins them");
	tap_int(n_waiting(), 3, "three wait");
	in_memory_round(g.near);
	tap_int(n_waiting(), 0, "the next round sends them");
	gateways_destroy(&g);
}

static void
limit_per_peer(void)
{
	gateways_create(&g, false);
	for (unsigned i = 0; i < 70; i++) {
		push_id("10.2.0.5", i);
		in_memory_round(g.near);
	}
	tap_int(n_waiting(), WAITING_MAX_PER_PEER, "64 of a peer wait at most");
	tap_int((long long)in_memory_drops(g.near, DROP_STAGE_FULL), 6, "the others are counted");
	gateways_connect_far(&g);
	tap_ok(arrive(6, 69), "the newest have stayed");
	gateways_destroy(&g);
}

static void
limit_of_all(void)
{
	uint32_t most;
	char prefix[32], dst[32];

	gateways_create(&g, false);
	most = g.near->workers[0]->w.max_waiting;
	in_memory_begin(g.near, false);
	for (unsigned peer = 1; peer <= 10; peer++) {
		in_memory_peer(g.near, peer);
		snprintf(prefix, sizeof(prefix), "10.4.%u.0/24", peer);
		in_memory_prefix(g.near, prefix, peer);
	}
	tap_int(in_memory_commit(g.near), 0, "ten peers more");
	for (unsigned peer = 1; peer <= 10; peer++)
		for (unsigned i = 0; i < 60; i++) {
			snprintf(dst, sizeof(dst), "10.4.%u.1", peer);
			push_id(dst, i);
			in_memory_round(g.near);
		}
	tap_int(n_waiting(), most, "an eighth of all buffers may wait");
	tap_int((long long)in_memory_drops(g.near, DROP_STAGE_FULL), 600 - most,
		"the others are counted");
	gateways_connect_far(&g);
	push_id("10.2.0.5", 0);
	in_memory_round(g.near);
	tap_ok(arrive(0, 0), "a peer with a session is not concerned");
	gateways_destroy(&g);
}

static bool
is_unreachable(const struct message *m)
{
	unsigned at = m->data[0] >> 4 == 4 ? 20 : 40;

	return packet_is_sound(m->data, m->len) &&
	       (at == 20 ? m->data[20] == 3 && m->data[21] == 1
			 : m->data[40] == 1 && m->data[41] == 3);
}

static void
given_up(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_UNREACHABLE };
	struct message out;

	gateways_create(&g, false);
	push_id("10.2.0.5", 0);
	push_id("fd02::5", 1);
	in_memory_round(g.near);
	in_memory_command(g.near, &cmd);
	in_memory_round(g.near);
	tap_int(n_waiting(), 0, "given up: nothing waits");
	tap_int((long long)in_memory_drops(g.near, DROP_STAGE_EXPIRED), 2, "both are counted");
	tap_ok(gateway_take_host(g.near, &out) && is_unreachable(&out), "the host is told");
	tap_ok(gateway_take_host(g.near, &out) && is_unreachable(&out), "for IPv6 as well");
	gateways_destroy(&g);
}

static void
given_up_for_a_peer(void)
{
	struct shm_command cmd = { .kind = SHM_CMD_UNREACHABLE };
	struct message msg, out;

	gateways_create(&g, false);
	gateways_connect_far(&g);
	push_id("10.3.0.5", 0);
	in_memory_round(g.near);
	gateway_carry(g.near, g.far);
	tap_int(g.far->workers[0]->w.n_waiting, 1, "a packet from one peer waits for another");
	cmd.one.peer = 1;
	in_memory_command(g.far, &cmd);
	in_memory_round(g.far);
	tap_ok(gateway_take_wire(g.far, &msg) && gateway_open(g.near, &msg, &out) &&
			is_unreachable(&out),
		"given up: the answer goes back through the tunnel");
	gateways_destroy(&g);
}

static void
expires(void)
{
	struct worker_thread *t;
	struct message out;

	gateways_create(&g, false);
	t = g.near->workers[0];
	push_id("10.2.0.5", 0);
	in_memory_round(g.near);
	push_id("10.2.0.5", 1);
	in_memory_round(g.near);
	t->w.waiting[0].first->rx_ns -= (uint64_t)WAITING_MAX_AGE_NS;
	in_memory_round(g.near);
	tap_int(n_waiting(), 2, "age is looked at now and then, not in every round");
	t->swept_ns -= (uint64_t)NS_PER_S;
	in_memory_round(g.near);
	tap_int(n_waiting(), 1, "the one that is 95 s old has gone");
	tap_ok(gateway_take_host(g.near, &out) && is_unreachable(&out), "its sender is told");
	gateways_connect_far(&g);
	tap_ok(arrive(1, 1), "the other one arrives");
	gateways_destroy(&g);
}

static void
peer_leaves(void)
{
	gateways_create(&g, false);
	push_id("10.2.0.5", 0);
	in_memory_round(g.near);
	in_memory_begin(g.near, false);
	in_memory_peer_gone(g.near, 0);
	tap_int(in_memory_commit(g.near), 0, "the peer leaves");
	in_memory_round(g.near);
	tap_int(n_waiting(), 0, "what waited for it is given up");
	gateways_destroy(&g);
}

// What waits was addressed by an older table: where it leads now counts.
static void
prefix_moves(void)
{
	gateways_create(&g, false);
	push_id("10.2.5.5", 0);
	push_id("10.2.0.5", 1);
	in_memory_round(g.near);
	in_memory_begin(g.near, false);
	in_memory_peer(g.near, 1);
	in_memory_prefix(g.near, "10.2.5.0/24", 1);
	tap_int(in_memory_commit(g.near), 0, "a prefix moves to another peer");
	gateways_connect_far(&g);
	tap_ok(arrive(1, 1), "what waits for the old peer does not go there");
	tap_int((long long)in_memory_drops(g.near, DROP_NO_PEER), 1, "it is dropped");
	tap_int(n_waiting(), 0, "nothing is left");
	gateways_destroy(&g);
}

// A session that has sent all it may is none; asking twice must not become a loop.
static void
exhausted_session(void)
{
	gateways_create(&g, false);
	push_id("10.2.0.5", 0);
	in_memory_round(g.near);
	in_memory_install(g.near, &(struct in_memory_session){ .receiver_index = NEAR_INDEX,
					  .sender_index = FAR_INDEX,
					  .role = SHM_ROLE_INITIATOR });
	atomic_store(&g.near->keys->tx[1].counter, WG_REJECT_AFTER_MESSAGES);
	in_memory_round(g.near);
	tap_int(n_waiting(), 1, "a session that may send nothing more lets packets wait");
	gateways_destroy(&g);
}

static void
expired_session(void)
{
	gateways_create(&g, false);
	gateways_connect_far(&g);
	g.near->keys->tx[1].birth_ns -= (uint64_t)(181 * NS_PER_S);
	push_id("10.2.0.5", 0);
	in_memory_round(g.near);
	tap_int(n_waiting(), 1, "a session of 181 s sends nothing more");
	tap_int(count_events(SHM_EV_WANT_SESSION), 1, "another one is asked for");
	gateways_destroy(&g);
}

int
main(void)
{
	waits_and_goes();
	session_comes_in_a_round();
	limit_per_peer();
	limit_of_all();
	given_up();
	given_up_for_a_peer();
	expires();
	peer_leaves();
	prefix_moves();
	exhausted_session();
	expired_session();
	return tap_done();
}
