/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows that workers share: the question leaves by one, the answer comes to another, and the rules
 * change all the while.  Made to be run under ThreadSanitizer, too.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "tests/lib/acl.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define N_BATCHES 300u
#define BATCH     48u // of questions under way
#define LOCAL     "10.2.0.0/16"
#define RULES(n)                                                                   \
	"[{\"SrcIPs\":[\"*\"],\"IPProto\":[6],\"DstPorts\":[{\"IP\":\"10.2.0.5\"," \
	"\"Ports\":{\"First\":" #n ",\"Last\":" #n "}}]}]"

static struct in_memory *member; // two workers in threads of their own
static struct in_memory *peer;   // plain, run by this thread
static struct acl_table *tables[2];

static struct in_memory *
create(unsigned n_workers)
{
	const struct in_memory_config config = { .n_workers = n_workers, .n_frames = 2048 };
	struct in_memory *m;

	if (in_memory_create(&config, &m) < 0)
		abort();
	return m;
}

static void
drain(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

static void
apply(struct in_memory *m, const char *ours, const char *theirs, enum shm_filter filter)
{
	const struct shm_settings settings = { .mtu = IN_MEMORY_MTU, .filter = filter };

	in_memory_begin(m, true);
	in_memory_all_settings(m, &settings);
	in_memory_prefix(m, ours, SHM_TO_HOST);
	in_memory_peer(m, 0);
	in_memory_prefix(m, theirs, 0);
	if (in_memory_commit(m) != 0)
		abort();
	in_memory_path(m, 0, IN_MEMORY_REMOTE, NULL);
}

static void
connect(void)
{
	struct in_memory_session s = { .receiver_index = 0x11100001,
		.sender_index = 0x22200001,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 1,
		.key_send = 2 };
	struct in_memory_session other = { .receiver_index = s.sender_index,
		.sender_index = s.receiver_index,
		.role = SHM_ROLE_RESPONDER,
		.key_receive = 2,
		.key_send = 1 };

	in_memory_install(peer, &other);
	in_memory_install(member, &s);
}

static void
change_rules(uint32_t n)
{
	in_memory_begin(member, false);
	if (n % 5 != 4) // or one that keeps what there is
		in_memory_filter(member, tables[n % 2]);
	if (in_memory_commit(member) != 0)
		abort();
	drain(member);
}

static void
make_udp(uint8_t buf[60], bool is_answer, uint16_t port)
{
	packet_make(buf, 60,
		&(struct packet_make){ .src = is_answer ? "10.1.0.5" : "10.2.0.5",
			.dst = is_answer ? "10.2.0.5" : "10.1.0.5",
			.id = port });
	store_be16(buf + 20, is_answer ? 53 : port);
	store_be16(buf + 22, is_answer ? port : 53);
}

// Take n packets of a port, or what has come after a second.
static uint32_t
await(struct pkt *(*take)(struct in_memory *, unsigned), unsigned worker, uint32_t n)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	uint32_t taken = 0;

	for (unsigned idle = 0; taken < n && idle < 20000;) {
		struct pkt *p = take(member, worker);

		in_memory_main_round(member);
		if (p == NULL) {
			idle++;
			nanosleep(&pause, NULL);
			continue;
		}
		in_memory_put(member, p);
		taken++;
		idle = 0;
	}
	return taken;
}

// The peer's answer arrives at the other worker.
static void
push_answer(uint16_t port)
{
	uint8_t buf[60];
	struct message msg;

	make_udp(buf, true, port);
	if (!gateway_seal(peer, buf, sizeof(buf), &msg) ||
		!in_memory_push_wire(member, 1, msg.data, msg.len, NULL, 0))
		abort();
}

static void
questions_and_answers(void)
{
	uint32_t asked = 0, answered = 0;
	uint8_t buf[60];

	for (uint32_t batch = 0; batch < N_BATCHES && answered == asked; batch++) {
		for (uint16_t i = 0; i < BATCH; i++) {
			make_udp(buf, false, (uint16_t)(1000 + batch * BATCH + i));
			if (!in_memory_push_host(member, 0, buf, sizeof(buf)))
				abort();
		}
		change_rules(batch);
		asked += await(in_memory_take_wire, 0, BATCH);
		for (uint16_t i = 0; i < BATCH; i++)
			push_answer((uint16_t)(1000 + batch * BATCH + i));
		change_rules(batch + 1);
		answered += await(in_memory_take_host, 1, BATCH);
		// One that nobody asked for.
		push_answer(900);
	}
	tap_int(asked, N_BATCHES * BATCH, "every question leaves");
	tap_int(answered, asked, "every answer comes in, at whichever worker, by whatever rules");
}

int
main(void)
{
	if (aead_init(NULL) < 0)
		abort();
	tables[0] = acl_make(RULES(80), LOCAL);
	tables[1] = acl_make(RULES(81), LOCAL);
	member = create(2);
	peer = create(1);
	apply(member, "10.2.0.0/16", "10.1.0.0/16", SHM_FILTER_ENFORCED);
	apply(peer, "10.1.0.0/16", "10.2.0.0/16", SHM_FILTER_NONE);
	connect();
	if (in_memory_start(member) < 0)
		abort();
	// The responder of a session may send once it has heard something.
	change_rules(0);
	in_memory_command(member, &(struct shm_command){ .kind = SHM_CMD_KEEPALIVE });
	{
		const struct timespec pause = { .tv_nsec = 100000 };
		struct message msg;
		unsigned tries = 0;

		while (!gateway_take_wire(member, &msg) && tries++ < 10000)
			nanosleep(&pause, NULL);
		gateway_receive(peer, &msg);
		drain(peer);
	}
	questions_and_answers();
	in_memory_stop(member);
	in_memory_main_round(member);
	tap_ok(in_memory_drops(member, DROP_ACL) >= N_BATCHES - 1,
		"what nobody asked for does not come in");
	in_memory_destroy(member);
	in_memory_destroy(peer);
	free(tables[0]);
	free(tables[1]);
	return tap_done();
}
