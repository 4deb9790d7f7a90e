/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What workers remember of flows grows while they work: the main thread offers a larger memory, the
 * worker takes it and gives the old one back.  Nothing is lost or out of order meanwhile.  Made to
 * be run under ThreadSanitizer and AddressSanitizer, too.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/in_memory.h"
#include "dataplane/table/flow_cache.h"
#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/net/checksum.h"
#include "lib/wg/message.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define N_WORKERS   2u
#define N_FLOWS     20000u // of each worker
#define MAX_BUCKETS (4 * FLOW_CACHE_MIN_BUCKETS)
#define IN_FLIGHT   512u
#define SLOT        1u

// It stands still: no entry is ever over, however slow the machine.
int
clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_BOOTTIME)
		return (int)syscall(SYS_clock_gettime, id, ret);
	*ret = (struct timespec){ .tv_sec = 1000 };
	return 0;
}

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
say_network(struct in_memory *m)
{
	static struct shm_net net = {
		.n_ports = 1,
		.n_routes = 1,
		.ports = { { .ifindex = IN_MEMORY_IFINDEX(0),
			.mtu = 1500,
			.flags = SHM_PORT_UP,
			.mac = IN_MEMORY_MAC(0) } },
		.routes = { { .addr = { { 192, 168, 77, 0 } },
			.source = { { 192, 168, 77, 1 } },
			.ifindex = IN_MEMORY_IFINDEX(0),
			.family = ADDR_V4,
			.len = 24,
			.kind = SHM_ROUTE_CONNECTED } },
	};

	must(in_memory_net(m, &net) == 0);
}

static struct in_memory *
create(unsigned n_workers)
{
	const struct in_memory_config config = {
		.n_workers = n_workers, .n_frames = 4096, .n_links = 1, .small_pages = true
	};
	const struct in_memory_session session = {
		.receiver_index = SLOT,
		.sender_index = SLOT,
		.role = SHM_ROLE_INITIATOR,
		.key_receive = 0xae,
		.key_send = 0xfa,
	};
	struct shm_event event;
	struct in_memory *m;

	must(in_memory_create(&config, &m) == 0);
	for (unsigned i = 0; i < n_workers; i++)
		m->workers[i]->setup.max_flow_buckets = MAX_BUCKETS;
	in_memory_begin(m, true);
	in_memory_settings(m, 1280, NULL, NULL);
	in_memory_peer(m, 0);
	in_memory_prefix(m, "100.64.0.2/32", 0);
	must(in_memory_commit(m) == 0);
	in_memory_path(m, 0, IN_MEMORY_REMOTE, NULL);
	say_network(m);
	in_memory_install(m, &session);
	while (in_memory_event(m, &event))
		;
	return m;
}

static void
push(struct in_memory *m, unsigned worker, uint32_t flow, uint32_t number)
{
	static const struct packet_make what = { .src = "192.168.77.5", .dst = "100.64.0.2" };
	static const uint8_t mac[6] = IN_MEMORY_MAC(0);
	static uint8_t frame[14 + 60];
	uint8_t *udp = frame + 14 + 20;

	if (frame[12] == 0) {
		memcpy(frame, mac, 6);
		frame[6] = 2;
		store_be16(frame + 12, 0x0800);
		packet_make(frame + 14, 60, &what);
		store_be16(udp + 6, 0);
	}
	store_be16(udp, (uint16_t)(1 + flow));
	udp[8] = (uint8_t)worker;
	store_le32(udp + 12, flow);
	store_le32(udp + 16, number);
	must(in_memory_push_link(m, 0, worker, frame, sizeof(frame)));
}

// Whose packets have come, and up to which.
static uint32_t arrived[N_WORKERS], last[N_WORKERS][N_FLOWS], n_wrong;

static void
look_at(struct in_memory *m, unsigned worker, struct pkt *p)
{
	struct aead_job job = {
		.data = p->data + WG_TRANSPORT_HEADER_LEN,
		.key = m->keys->tx[SLOT].key,
		.counter = load_le64(p->data + 8),
		.len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
	};
	const uint8_t *udp = job.data + 20;
	uint32_t flow;

	aead_open(&job, 1);
	flow = load_le32(udp + 12);
	must(job.ok && flow < N_FLOWS && udp[8] == worker);
	n_wrong += load_le32(udp + 16) != last[worker][flow] + 1;
	last[worker][flow] = load_le32(udp + 16);
	arrived[worker]++;
	in_memory_put(m, p);
}

static uint32_t
buckets(const struct in_memory *m, unsigned worker)
{
	return m->workers[worker]->tended->mask + 1;
}

// Every flow once.
static void
send_round(struct in_memory *m, uint32_t number)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	uint32_t sent[N_WORKERS] = {}, before[N_WORKERS], n_done = 0;

	memcpy(before, arrived, sizeof(before));
	while (n_done < N_WORKERS) {
		bool came = false;

		n_done = 0;
		for (unsigned i = 0; i < N_WORKERS; i++) {
			uint32_t here = arrived[i] - before[i];
			struct pkt *p;

			while (sent[i] < N_FLOWS && sent[i] - here < IN_FLIGHT)
				push(m, i, sent[i]++, number);
			while ((p = in_memory_take_wire(m, i)) != NULL) {
				look_at(m, i, p);
				came = true;
			}
			n_done += arrived[i] - before[i] == N_FLOWS;
			worker_tend(m->workers[i]);
		}
		in_memory_main_round(m);
		if (!came)
			nanosleep(&pause, NULL);
	}
}

static bool
has_grown(const struct in_memory *m)
{
	return buckets(m, 0) == MAX_BUCKETS && buckets(m, 1) == MAX_BUCKETS;
}

static void
test_threads(void)
{
	struct in_memory *m = create(N_WORKERS);
	uint32_t number = 0;

	must(in_memory_start(m) == 0);
	while (number < 30 && !has_grown(m))
		send_round(m, ++number);
	tap_ok(has_grown(m), "both workers' memories grow to the bound");
	for (unsigned i = 0; i < 3; i++)
		send_round(m, ++number);
	in_memory_stop(m);
	in_memory_main_round(m);
	tap_ok(has_grown(m) && m->workers[0]->offered == NULL && m->workers[1]->offered == NULL,
		"... and no further");
	tap_int(n_wrong, 0, "every packet of every flow arrives, in order");
	tap_ok(m->state->workers[0].known > 0 && m->state->workers[1].known > 0,
		"some took the short way");
	tap_int((long long)in_memory_free_frames(m), pool_frame_count(m->pool),
		"all buffers are there");
	in_memory_destroy(m);
}

// By hand, one thread: what is offered and not taken, or not given back yet, is not lost.
static void
test_steps(void)
{
	struct in_memory *m = create(1);
	struct worker_thread *t = m->workers[0];
	struct flow_cache *first = t->w.flow_cache, *offered;

	worker_tend(t);
	tap_ok(t->offered == NULL, "nothing is offered where nobody was pushed out");
	atomic_store(&first->n_pushed_out, FLOW_CACHE_MIN_BUCKETS);
	worker_tend(t);
	tap_ok(t->offered != NULL && t->offered == atomic_load(&t->larger) &&
			t->offered->mask + 1 == 2 * FLOW_CACHE_MIN_BUCKETS,
		"a crowded one is offered twice the size");
	offered = t->offered;
	atomic_store(&first->n_pushed_out, 3 * FLOW_CACHE_MIN_BUCKETS);
	worker_tend(t);
	tap_ok(t->w.flow_cache == first && t->offered == offered,
		"and nothing more until it has taken it");
	in_memory_round(m);
	tap_ok(t->w.flow_cache == t->offered && atomic_load(&t->smaller) == first,
		"it takes it, and gives the old one back");
	worker_tend(t);
	tap_ok(t->tended == t->w.flow_cache && t->offered == NULL &&
			atomic_load(&t->smaller) == NULL,
		"which is freed");
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&t->w.flow_cache->n_pushed_out, 100 * FLOW_CACHE_MIN_BUCKETS);
		worker_tend(t);
		in_memory_round(m);
	}
	worker_tend(t);
	atomic_store(&t->w.flow_cache->n_pushed_out, 200 * FLOW_CACHE_MIN_BUCKETS);
	worker_tend(t);
	tap_ok(t->tended->mask + 1 == MAX_BUCKETS && t->offered == NULL, "up to the bound");
	in_memory_destroy(m);

	m = create(1);
	t = m->workers[0];
	atomic_store(&t->w.flow_cache->n_pushed_out, FLOW_CACHE_MIN_BUCKETS);
	worker_tend(t);
	in_memory_destroy(m); // offered
	m = create(1);
	t = m->workers[0];
	atomic_store(&t->w.flow_cache->n_pushed_out, FLOW_CACHE_MIN_BUCKETS);
	worker_tend(t);
	in_memory_round(m);
	in_memory_destroy(m); // taken
}

int
main(void)
{
	must(aead_init(NULL) == 0);
	test_steps();
	test_threads();
	return tap_done();
}
