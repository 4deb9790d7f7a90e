/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A session's life as the packet path sees it: next, current, previous; counters; where the peer
 * is.
 */

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/wg/limits.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;
static uint8_t inner[2048];

static void
make(bool to_far)
{
	packet_make(inner, 100,
		to_far ? &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" }
		       : &(struct packet_make){ .src = "10.2.0.5", .dst = "10.1.0.5" });
}

// The n-th session between near and far, in slots n of both.
static struct in_memory_session
nth(unsigned n, bool of_far, enum shm_role role)
{
	struct in_memory_session s = {
		.receiver_index = (of_far ? 0x22200000u : 0x11100000u) + n,
		.sender_index = (of_far ? 0x11100000u : 0x22200000u) + n,
		.role = role,
		.key_receive = of_far ? 0x77 : 0x88,
		.key_send = of_far ? 0x88 : 0x77,
	};

	return s;
}

static void
install(struct in_memory *m, unsigned n, enum shm_role role)
{
	struct in_memory_session s = nth(n, m == g.far, role);

	in_memory_install(m, &s);
}

static void
drain(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

static uint64_t
keypairs(struct in_memory *m)
{
	return atomic_load(&m->state->keypairs[0]);
}

static void
promotion(void)
{
	struct message old, early, out;
	struct shm_event event;

	gateways_create(&g, false);
	install(g.near, 1, SHM_ROLE_INITIATOR);
	tap_ok(keypairs(g.near) == SHM_KEYPAIRS(UINT64_C(0), UINT64_C(1), UINT64_C(0)),
		"an initiator's session is current at once");
	install(g.far, 1, SHM_ROLE_RESPONDER);
	tap_ok(keypairs(g.far) == SHM_KEYPAIRS(UINT64_C(0), UINT64_C(0), UINT64_C(1)),
		"a responder's is next");
	make(false);
	tap_ok(!gateway_seal(g.far, inner, 100, &out), "the responder does not send with it");
	drain(g.far);

	make(true);
	(void)gateway_seal(g.near, inner, 100, &early);
	out = early;
	out.data[60] ^= 1;
	gateway_receive(g.far, &out);
	tap_ok(keypairs(g.far) >> 40 == 1, "a forged message promotes nothing");
	tap_ok(gateway_open(g.far, &early, &out), "the first authentic one");
	tap_ok(keypairs(g.far) == SHM_KEYPAIRS(UINT64_C(0), UINT64_C(1), UINT64_C(0)),
		"makes it current");
	tap_ok(in_memory_wait_event(g.far, SHM_EV_PROMOTED, &event) && event.peer == 0 &&
			event.index == 0x22200001u,
		"the control plane hears of it");
	in_memory_round(g.far);
	tap_ok(gateway_take_wire(g.far, &out), "what waited for it leaves");

	// A second session; packets sealed with the first are still under way.
	make(true);
	(void)gateway_seal(g.near, inner, 100, &old);
	install(g.far, 2, SHM_ROLE_RESPONDER);
	install(g.near, 2, SHM_ROLE_INITIATOR);
	make(false);
	(void)gateway_seal(g.far, inner, 100, &out);
	tap_int(load_le32(out.data + 4), 0x11100001, "until it is confirmed the old one seals");
	make(true);
	(void)gateway_seal(g.near, inner, 100, &early);
	tap_int(load_le32(early.data + 4), 0x22200002, "the initiator uses the new one at once");
	tap_ok(gateway_open(g.far, &early, &out), "it is confirmed");
	make(false);
	(void)gateway_seal(g.far, inner, 100, &out);
	tap_int(load_le32(out.data + 4), 0x11100002, "and then used");
	tap_ok(gateway_open(g.far, &old, &out), "previous still opens");

	// A third: the first falls out.
	drain(g.far);
	install(g.far, 3, SHM_ROLE_RESPONDER);
	install(g.near, 3, SHM_ROLE_INITIATOR);
	make(true);
	(void)gateway_seal(g.near, inner, 100, &early);
	tap_ok(gateway_open(g.far, &early, &out), "a third is confirmed");
	tap_ok(keypairs(g.far) == SHM_KEYPAIRS(UINT64_C(2), UINT64_C(3), UINT64_C(0)),
		"second and third remain");
	tap_ok(in_memory_wait_event(g.far, SHM_EV_SESSION_FREED, &event) &&
			event.index == 0x22200001u,
		"the first slot is free");
	tap_ok(!gateway_open(g.far, &old, &out) && in_memory_drops(g.far, DROP_NO_SESSION) == 1,
		"and opens nothing");
	gateways_destroy(&g);
}

static void
unconfirmed_next_is_replaced(void)
{
	struct shm_event event;
	struct message msg, out;

	gateways_create(&g, true);
	install(g.far, 5, SHM_ROLE_RESPONDER);
	install(g.far, 6, SHM_ROLE_RESPONDER);
	tap_ok(in_memory_wait_event(g.far, SHM_EV_SESSION_FREED, &event) &&
			event.index == 0x22200005u,
		"a newer next frees the one that was never confirmed");
	install(g.near, 5, SHM_ROLE_INITIATOR);
	make(true);
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(!gateway_open(g.far, &msg, &out), "which opens nothing");
	install(g.near, 6, SHM_ROLE_INITIATOR);
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(gateway_open(g.far, &msg, &out), "the newer does");
	gateways_destroy(&g);
}

static void
counters_rise(void)
{
	uint64_t wanted = 1; // after the keepalive's 0
	bool in_order = true;
	struct message msg;

	gateways_create(&g, true);
	for (unsigned burst = 1; burst < 200; burst = burst * 2 + 1) {
		for (unsigned i = 0; i < burst; i++) {
			packet_make(inner, 100,
				&(struct packet_make){
					.src = "10.1.0.5", .dst = "10.2.0.5", .id = (uint16_t)i });
			(void)in_memory_push_host(g.near, 0, inner, 100);
		}
		while (in_memory_round(g.near) > 0)
			;
		for (unsigned i = 0; gateway_take_wire(g.near, &msg); i++)
			in_order &= load_le64(msg.data + 8) == wanted++;
	}
	tap_ok(in_order, "counters follow each other over bursts of any size");
	tap_int((long long)atomic_load(&g.near->keys->tx[1].counter), (long long)wanted,
		"the next one was never used");
	gateways_destroy(&g);
}

static void
counter_limits(void)
{
	struct shm_event event;
	struct message msg;

	gateways_create(&g, true);
	make(true);
	atomic_store(&g.near->keys->tx[1].counter, WG_REKEY_AFTER_MESSAGES - 1);
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(!in_memory_wait_event(g.near, SHM_EV_WANT_REKEY, &event),
		"the last message before REKEY_AFTER_MESSAGES");
	tap_ok(gateway_seal(g.near, inner, 100, &msg), "the next one goes");
	tap_ok(in_memory_wait_event(g.near, SHM_EV_WANT_REKEY, &event) && event.index == NEAR_INDEX,
		"and asks for another session");
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_ok(!in_memory_wait_event(g.near, SHM_EV_WANT_REKEY, &event), "once a second");

	atomic_store(&g.near->keys->tx[1].counter, WG_REJECT_AFTER_MESSAGES - 3);
	for (unsigned i = 0; i < 8; i++)
		(void)in_memory_push_host(g.near, 0, inner, 100);
	in_memory_round(g.near);
	for (unsigned i = 0; i < 3; i++)
		tap_ok(gateway_take_wire(g.near, &msg) &&
				load_le64(msg.data + 8) == WG_REJECT_AFTER_MESSAGES - 3 + i,
			"the last counters are used");
	tap_ok(!gateway_take_wire(g.near, &msg), "none beyond REJECT_AFTER_MESSAGES");
	tap_int((long long)in_memory_drops(g.near, DROP_COUNTER_EXHAUSTED), 5, "that is counted");
	(void)gateway_seal(g.near, inner, 100, &msg);
	tap_int(g.near->workers[0]->w.n_waiting, 1,
		"from then on packets wait for another session");
	gateways_destroy(&g);
}

// Deliver the n-th fresh message to far from there; number of SEEN_FROM events.
static unsigned
seen_from(const struct pkt_outer *from, struct shm_event *ret_event)
{
	struct shm_event event;
	struct message msg;
	unsigned n = 0;

	make(true);
	(void)gateway_seal(g.near, inner, 100, &msg);
	(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, from, 0);
	in_memory_round(g.far);
	while (in_memory_event(g.far, &event))
		if (event.kind == SHM_EV_SEEN_FROM) {
			*ret_event = event;
			n++;
		}
	return n;
}

static void
roaming(void)
{
	struct pkt_outer home = in_memory_outer(IN_MEMORY_REMOTE, NULL);
	struct pkt_outer away = in_memory_outer("198.51.100.7:1234", "192.0.2.2");
	struct pkt_outer other_port = in_memory_outer("192.0.2.1:51821", NULL);
	struct pkt_outer other_local = in_memory_outer(IN_MEMORY_REMOTE, "192.0.2.9");
	struct pkt_outer v6 = in_memory_outer("[2001:db8::7]:51820", NULL);
	struct waiting *wait;
	struct shm_event event;
	struct message msg;

	gateways_create(&g, true);
	wait = &g.far->workers[0]->w.waiting[0];
	tap_int(seen_from(&home, &event), 0, "from where it is expected: nothing to tell");
	tap_int(seen_from(&away, &event), 1, "from elsewhere: an event");
	tap_ok(event.peer == 0 && event.index == FAR_INDEX &&
			memcmp(&event.path, &away, sizeof(away)) == 0,
		"with peer, session and addresses");
	tap_int(seen_from(&away, &event), 0, "once per 100 ms");
	wait->seen_ns -= (uint64_t)WAITING_SEEN_NS;
	tap_int(seen_from(&away, &event), 1, "and then again");
	in_memory_path(g.far, 0, "198.51.100.7:1234", "192.0.2.2");
	wait->seen_ns = 0;
	tap_int(seen_from(&away, &event), 0, "the control plane has followed: nothing more");
	packet_make(inner, 100, &(struct packet_make){ .src = "10.2.0.5", .dst = "10.1.0.5" });
	tap_ok(gateway_seal(g.far, inner, 100, &msg) &&
			memcmp(&msg.outer, &away, sizeof(away)) == 0,
		"answers go there, from the address it wrote to");
	in_memory_path(g.far, 0, IN_MEMORY_REMOTE, NULL);
	tap_int(seen_from(&other_port, &event), 1, "another port");
	wait->seen_ns = 0;
	tap_int(seen_from(&other_local, &event), 1, "another address of ours");
	wait->seen_ns = 0;
	tap_int(seen_from(&v6, &event), 1, "the other family");
	wait->seen_ns = 0;
	make(true);
	(void)gateway_seal(g.near, inner, 100, &msg);
	msg.data[30] ^= 1;
	(void)in_memory_push_wire(g.far, 0, msg.data, msg.len, &away, 0);
	in_memory_round(g.far);
	tap_ok(!in_memory_wait_event(g.far, SHM_EV_SEEN_FROM, &event),
		"a forged message tells nothing");
	gateways_destroy(&g);
}

int
main(void)
{
	promotion();
	unconfirmed_next_is_replaced();
	counters_rise();
	counter_limits();
	roaming();
	return tap_done();
}
