/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Workers in threads of their own, while the main thread publishes tables, replaces sessions and
 * moves paths: nothing is lost, doubled or out of order, no counter is used twice, and loading
 * 10,000 peers stalls nobody.  Made to be run under ThreadSanitizer, too.
 */

#include "dataplane/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define N_WORKERS 2u
#define N_PACKETS 120000u // from the host, for each worker
#define MAX_SLOTS 4096u
#define IN_FLIGHT 256u
#define N_LOADED  10000u

static struct in_memory *near;
static struct in_memory *far; // opens what near sends; no thread

static struct flow {
	uint32_t sent;        // packets pushed to near's worker
	uint32_t arrived;     // at far's host
	uint32_t sent_before; // the latest session was made
	uint16_t next_id;
	bool in_order;
} flows[N_WORKERS];

// Highest counter + 1 seen of each session, of all workers together, and one bit for each.
static uint8_t *seen_counters[MAX_SLOTS];
static unsigned doubled;

static struct in_memory *
create(unsigned n_workers)
{
	const struct in_memory_config config = { .n_workers = n_workers, .n_frames = 4096 };
	struct in_memory *m;

	if (in_memory_create(&config, &m) < 0)
		abort();
	return m;
}

static void
apply_first(struct in_memory *m, const char *ours, const char *theirs)
{
	in_memory_begin(m, true);
	in_memory_settings(m, IN_MEMORY_MTU, NULL, NULL);
	in_memory_prefix(m, ours, SHM_TO_HOST);
	in_memory_peer(m, 0);
	in_memory_prefix(m, theirs, 0);
	if (in_memory_commit(m) != 0)
		abort();
	in_memory_path(m, 0, IN_MEMORY_REMOTE, NULL);
}

static void
drain(struct in_memory *m)
{
	struct shm_event event;

	while (in_memory_event(m, &event))
		;
}

// The n-th session: near is its initiator.  Slots are used one after the other.
static void
connect(uint32_t n)
{
	struct in_memory_session s = {
		.receiver_index = 0x11100000u + n,
		.sender_index = 0x22200000u + n,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 1,
		.key_send = 2,
	};
	struct in_memory_session other = {
		.receiver_index = s.sender_index,
		.sender_index = s.receiver_index,
		.role = SHM_ROLE_RESPONDER,
		.key_receive = 2,
		.key_send = 1,
	};

	in_memory_install(far, &other);
	in_memory_install(near, &s);
	drain(near);
	drain(far);
}

static void
note_counter(const uint8_t *message)
{
	uint32_t slot = shm_index_slot(load_le32(message + 4)) % MAX_SLOTS;
	uint64_t counter = load_le64(message + 8);

	if (seen_counters[slot] == NULL)
		seen_counters[slot] = calloc(1, N_PACKETS * N_WORKERS);
	if (seen_counters[slot] == NULL || counter >= N_PACKETS * N_WORKERS)
		abort();
	doubled += seen_counters[slot][counter];
	seen_counters[slot][counter] = 1;
}

// Give each worker of near something to do, as far as less than IN_FLIGHT are under way.
static bool
feed(void)
{
	static uint8_t inner[200];
	bool all_sent = true;

	for (unsigned i = 0; i < N_WORKERS; i++) {
		struct flow *f = &flows[i];

		while (f->sent < N_PACKETS && f->sent - f->arrived < IN_FLIGHT) {
			packet_make(inner, 60 + f->sent % 140,
				&(struct packet_make){ .src = i == 0 ? "10.1.0.1" : "10.1.0.2",
					.dst = "10.2.0.5",
					.id = (uint16_t)f->sent });
			if (!in_memory_push_host(near, i, inner, 60 + f->sent % 140))
				break;
			f->sent++;
		}
		all_sent &= f->sent == N_PACKETS;
	}
	return all_sent;
}

// What near's workers sent, opened by far; true if there was something.
static bool
collect(void)
{
	bool some = false;

	for (unsigned i = 0; i < N_WORKERS; i++) {
		struct pkt *p;

		while ((p = in_memory_take_wire(near, i)) != NULL) {
			some = true;
			note_counter(p->data);
			if (!in_memory_push_wire(far, 0, p->data, p->len, NULL, 0))
				abort();
			in_memory_put(near, p);
			in_memory_round(far);
			while ((p = in_memory_take_host(far, 0)) != NULL) {
				struct flow *f = &flows[p->data[15] - 1];

				f->in_order &= packet_id(p->data, p->len) == (int)f->next_id;
				f->next_id++;
				f->arrived++;
				in_memory_put(far, p);
			}
		}
	}
	return some;
}

// Far keeps three sessions.  In life minutes lie between them; here nothing sealed with one may be
// under way any more when the next but one comes.
static void
connect_in_time(void)
{
	static uint32_t n = 2;

	for (unsigned i = 0; i < N_WORKERS; i++)
		if (flows[i].arrived < flows[i].sent_before)
			return;
	if (n == MAX_SLOTS || shm_keypairs_next(far->state->keypairs[0]) != 0)
		return;
	for (unsigned i = 0; i < N_WORKERS; i++)
		flows[i].sent_before = flows[i].sent;
	connect(n++);
}

static void
print_drops(const struct in_memory *m, const char *name)
{
	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		if (in_memory_drops(m, i) > 0)
			printf("# %s dropped %lu: %s\n", name, (unsigned long)in_memory_drops(m, i),
				drop_name(i));
}

// One thing that the control plane may do at any time.
static void
change_something(uint32_t n)
{
	char text[48];

	switch (n % 4) {
	case 0: // a table of another size each time
		in_memory_begin(near, false);
		for (unsigned i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "10.77.%u.%u/32", n % 200, i);
			in_memory_prefix(near, text, 0);
		}
		if (in_memory_commit(near) != 0)
			abort();
		break;
	case 1:
		snprintf(text, sizeof(text), "192.0.2.%u:%u", n % 250 + 1, n % 60000 + 1);
		in_memory_path(near, 0, text, NULL);
		break;
	case 2:
		connect_in_time();
		break;
	case 3:
		in_memory_begin(near, false);
		snprintf(text, sizeof(text), "10.77.%u.0/24", n % 200);
		in_memory_prefix(near, text, SHM_TO_HOST);
		if (in_memory_commit(near) != 0)
			abort();
		break;
	}
}

static void
changes_under_load(void)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	uint32_t changes = 0, idle = 0;

	near = create(N_WORKERS);
	far = create(1);
	apply_first(near, "10.1.0.0/16", "10.2.0.0/16");
	apply_first(far, "10.2.0.0/16", "10.1.0.0/16");
	for (unsigned i = 0; i < N_WORKERS; i++)
		flows[i].in_order = true;
	connect(1);
	if (in_memory_start(near) < 0)
		abort();
	while (idle < 20000) { // a second without anything: what is missing is lost
		bool all_sent = feed();
		bool some = collect();

		in_memory_main_round(near);
		drain(near);
		if (!all_sent && changes / 4 < 1000)
			change_something(changes++);
		if (all_sent && flows[0].arrived == N_PACKETS && flows[1].arrived == N_PACKETS)
			break;
		idle = some ? 0 : idle + 1;
		if (!some)
			nanosleep(&pause, NULL);
	}
	in_memory_stop(near);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		tap_int(flows[i].arrived, N_PACKETS, "every packet of a flow arrives");
		tap_ok(flows[i].in_order, "once, and in order");
		tap_ok(near->state->workers[i].packets >= N_PACKETS &&
				!near->state->workers[i].running,
			"its worker has done it");
	}
	tap_int(doubled, 0, "no counter of a session was used twice");
	tap_int(in_memory_free_frames(near), pool_frame_count(near->pool), "all buffers are back");
	print_drops(near, "near");
	print_drops(far, "far");
	printf("# %u changes under load\n", changes);
	in_memory_destroy(near);
	in_memory_destroy(far);
	for (unsigned i = 0; i < MAX_SLOTS; i++)
		free(seen_counters[i]);
}

// --- 10,000 peers come ---------------------------------------------------------------------------

static struct rounds {
	struct worker_thread *worker;
	_Atomic uint64_t n;
	uint64_t longest_cpu_ns, longest_wall_ns;
	uint64_t n_long; // rounds of more than a millisecond of work
	_Atomic bool stop;
} rounds;

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * (uint64_t)NS_PER_S + (uint64_t)t.tv_nsec;
}

static void *
run_rounds(void *arg)
{
	struct rounds *r = arg;

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		uint64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		(void)worker_round(r->worker);
		quiescent_round(r->worker->setup.quiescent);
		cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
		wall = clock_ns(CLOCK_MONOTONIC) - wall;
		if (cpu > r->longest_cpu_ns)
			r->longest_cpu_ns = cpu;
		r->n_long += cpu > (uint64_t)NS_PER_MS;
		if (wall > r->longest_wall_ns)
			r->longest_wall_ns = wall;
		atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
	}
	return NULL;
}

static void
load_peers(struct in_memory *m)
{
	char text[32];

	in_memory_begin(m, false);
	for (uint32_t peer = 1; peer <= N_LOADED; peer++) {
		in_memory_peer(m, peer);
		snprintf(text, sizeof(text), "10.%u.%u.%u/32", 100 + (peer >> 16), peer >> 8 & 255,
			peer & 255);
		in_memory_prefix(m, text, peer);
		snprintf(text, sizeof(text), "172.%u.%u.0/24", 16 + (peer >> 8), peer & 255);
		in_memory_prefix(m, text, peer);
	}
	if (in_memory_commit(m) != 0)
		abort();
}

static void
many_peers_at_once(void)
{
	uint64_t before, during, start;
	uint8_t inner[100];
	pthread_t thread;
	struct pkt *p;

	near = create(1);
	apply_first(near, "10.1.0.0/16", "10.2.0.0/16");
	in_memory_install(near, &(struct in_memory_session){ .receiver_index = 0x00100001,
					.sender_index = 1,
					.role = SHM_ROLE_INITIATOR });
	packet_make(inner, 100, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
	rounds.worker = near->workers[0];
	near->quiescent.n_workers = 1;
	if (pthread_create(&thread, NULL, run_rounds, &rounds) != 0)
		abort();
	for (unsigned i = 0; i < 1000; i++)
		(void)in_memory_push_host(near, 0, inner, 100);
	while (atomic_load(&rounds.n) < 1000)
		usleep(100);
	before = atomic_load(&rounds.n);
	start = clock_ns(CLOCK_MONOTONIC);
	load_peers(near);
	start = clock_ns(CLOCK_MONOTONIC) - start;
	during = atomic_load(&rounds.n) - before;
	atomic_store(&rounds.stop, true);
	pthread_join(thread, NULL);
	near->quiescent.n_workers = 0;
	while ((p = in_memory_take_wire(near, 0)) != NULL)
		in_memory_put(near, p);

	tap_ok(during > 100, "the worker goes on while 10,000 peers are loaded");
	// Not the longest one: a busy machine may take its processor away at any moment.
	tap_ok(rounds.n_long <= 3, "its rounds do not get long");
	printf("# loaded in %.1f ms, %lu rounds meanwhile; longest round %.0f us of work, %.0f us "
	       "of time\n",
		(double)start / 1e6, (unsigned long)during, (double)rounds.longest_cpu_ns / 1e3,
		(double)rounds.longest_wall_ns / 1e3);
	in_memory_destroy(near);
}

static void
sleeps_and_wakes(void)
{
	uint8_t inner[100];
	struct pkt *p = NULL;
	uint64_t sleeps;

	near = create(1);
	apply_first(near, "10.1.0.0/16", "10.2.0.0/16");
	in_memory_install(near, &(struct in_memory_session){ .receiver_index = 0x00100001,
					.sender_index = 1,
					.role = SHM_ROLE_INITIATOR });
	packet_make(inner, 100, &(struct packet_make){ .src = "10.1.0.5", .dst = "10.2.0.5" });
	if (in_memory_start(near) < 0)
		abort();
	for (unsigned i = 0; i < 50; i++) {
		usleep(2000);
		(void)in_memory_push_host(near, 0, inner, 100);
		for (unsigned k = 0; k < 10000 && (p = in_memory_take_wire(near, 0)) == NULL; k++)
			usleep(50);
		if (p == NULL)
			break;
		in_memory_put(near, p);
	}
	tap_ok(p != NULL, "a worker that sleeps is woken by a packet");
	in_memory_stop(near);
	sleeps = near->state->workers[0].sleeps;
	tap_ok(sleeps > 0, "it did sleep");
	in_memory_destroy(near);
}

int
main(void)
{
	if (aead_init(NULL) < 0)
		return 1;
	changes_under_load();
	many_peers_at_once();
	sleeps_and_wakes();
	return tap_done();
}
