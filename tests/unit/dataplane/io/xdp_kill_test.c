/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A forwarder that is killed while it uses link ports: no frame is lost, none is used twice, no
 * packet leaves twice.
 *
 * First instruction by instruction: a child does one round under ptrace and is killed after so many
 * steps.  Then by chance: two threads, two queues, traffic, and a kill every few milliseconds.
 */

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "dataplane/io/io_xdp.h"
#include "dataplane/io/xdp_ring.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/io/veth_net.h"

#define FRAME_LEN  2112u
#define MAX_FRAMES 4096u
#define PORT       2u
#define MAX_NUMBER (1u << 22)
#define N_STEPPED  100 /* places in a round at which it is killed; with SLUICE_EVERY_STEP=1 all */
#define N_KILLS    100
#define ROUND_LEN  10 /* frames in a stepped round */

// What outlives a child.
static void *memory;
static size_t memory_len;
static uint32_t n_frames;
static struct frame_ledger *ledger;
static struct xdp_fds ports[SHM_MAX_PORTS];
static int far;

// Of packets that came back, by number; and how many came twice.  Shared.
static struct seen {
	_Atomic uint64_t twice, back, sent;
	uint8_t times[MAX_NUMBER];
} * seen;

static void *
share(size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		abort();
	return map;
}

static void
nap(long us)
{
	const struct timespec pause = { .tv_nsec = us * 1000 };

	nanosleep(&pause, NULL);
}

// --- the world ---------------------------------------------------------------------------------

static void
far_send(uint64_t number)
{
	uint8_t frame[128];

	veth_frame(frame, sizeof(frame), number);
	if (send(far, frame, sizeof(frame), 0) == (ssize_t)sizeof(frame))
		atomic_fetch_add(&seen->sent, 1);
}

static void
far_receive_all(void)
{
	uint8_t frame[4096];
	ssize_t len;

	while ((len = recv(far, frame, sizeof(frame), MSG_DONTWAIT)) >= 0) {
		uint64_t number = veth_number(frame, (size_t)len);

		if (number >= MAX_NUMBER)
			continue;
		if (seen->times[number]++ > 0)
			atomic_fetch_add(&seen->twice, 1);
		atomic_fetch_add(&seen->back, 1);
	}
}

static pid_t
start_world(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t number = 0; number < MAX_NUMBER;) {
		for (unsigned i = 0; i < 32; i++)
			far_send(number++);
		far_receive_all();
		nap(200);
	}
	_exit(0);
}

// --- the forwarder -----------------------------------------------------------------------------

static struct port *port;
static struct pool *pool;
static struct port_counters counters;

// As a new forwarder does.
static bool
start_forwarder(unsigned n_workers)
{
	if (frame_ledger_settle(ledger, ports, n_frames, FRAME_LEN) < 0 ||
		pool_create_from_ledger(memory, memory_len, FRAME_LEN, ledger, &pool) < 0)
		return false;
	return io_xdp_create(
		       &(struct io_xdp_config){
			       .fds = &ports[PORT],
			       .pool = pool,
			       .ledger = ledger,
			       .n_workers = n_workers,
			       .port_index = PORT,
			       .counters = &counters,
		       },
		       &port) == 0;
}

static void
round_of(unsigned worker, uint32_t max)
{
	struct pkt *pkts[64];
	uint32_t n = port->ops->rx(port, worker, pkts, max), sent;

	sent = port->ops->tx(port, worker, pkts, n);
	if (sent < n)
		abort(); // the ring is as long as the pool
	port->ops->flush(port, worker);
}

static void *
forward(void *arg)
{
	unsigned worker = (unsigned)(uintptr_t)arg;
	struct pkt *held[32];
	struct pool_cache cache;
	uint32_t n_held = 0;

	pool_cache_init(&cache, pool);
	for (unsigned i = 0;; i++) {
		struct pkt *pkts[32];
		uint32_t n = port->ops->rx(port, worker, pkts, 32);

		// Some wait, some are dropped, most are sent.
		for (uint32_t k = 0; k < n; k++) {
			if ((i + k) % 5 == 0 && n_held < 32)
				held[n_held++] = pkts[k];
			else if ((i + k) % 7 == 0)
				pool_put(&cache, &pkts[k], 1);
			else if (port->ops->tx(port, worker, &pkts[k], 1) == 0)
				pool_put(&cache, &pkts[k], 1);
		}
		if (i % 64 == 0) {
			uint32_t sent = port->ops->tx(port, worker, held, n_held);

			pool_put(&cache, held + sent, n_held - sent);
			n_held = 0;
		}
		port->ops->flush(port, worker);
	}
	return NULL;
}

// --- the ledger against the rings --------------------------------------------------------------

struct audit {
	uint8_t places[MAX_FRAMES]; // how often a frame stands in some ring
	unsigned wrong_holder;
};

static void
audit_ring(struct audit *a, const struct xdp_ring *r, bool has_descs, uint8_t holder)
{
	uint32_t consumer = atomic_load(r->consumer), n = xdp_ring_level(r);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = (consumer + i) & (r->n_slots - 1);
		uint64_t addr = has_descs ? r->descs[slot].addr : r->frames[slot];
		uint64_t number = (addr & XSK_UNALIGNED_BUF_ADDR_MASK) / FRAME_LEN;

		if (number >= n_frames) {
			a->wrong_holder++;
			continue;
		}
		a->places[number]++;
		a->wrong_holder += ledger->holder[number] != holder;
	}
}

// Is every frame in one place, the one that the ledger says?  Settled, with nothing under way.
static bool
is_sound(void)
{
	struct audit a = {};
	uint32_t n_wrong = 0;

	for (unsigned q = 0; q < ports[PORT].n_queues; q++) {
		struct xdp_rings r;

		if (xdp_rings_map(ports[PORT].socket[q], &r) < 0)
			return false;
		audit_ring(&a, &r.done, false, FRAME_TO_SEND(PORT));
		audit_ring(&a, &r.tx, true, FRAME_TO_SEND(PORT));
		audit_ring(&a, &r.rx, true, FRAME_TO_FILL(PORT));
		audit_ring(&a, &r.fill, false, FRAME_TO_FILL(PORT));
		xdp_rings_unmap(&r);
	}
	for (uint32_t i = 0; i < n_frames; i++)
		n_wrong += a.places[i] != (ledger->holder[i] != FRAME_OURS);
	return a.wrong_holder == 0 && n_wrong == 0;
}

// What is being sent or delivered comes to its place by itself.
static bool
is_sound_at_last(void)
{
	if (frame_ledger_settle(ledger, ports, n_frames, FRAME_LEN) < 0)
		return false;
	for (unsigned i = 0; i < 2000; i++) {
		if (is_sound())
			return true;
		nap(1000);
	}
	return false;
}

// --- tests -------------------------------------------------------------------------------------

static bool
open_port(unsigned n_queues, uint32_t frames)
{
	struct xdp_open_config config = {
		.name = VETH_NEAR,
		.packets = memory,
		.packets_len = memory_len,
		.frame_len = FRAME_LEN,
		.attach = veth_attach,
	};
	char why[XDP_WHY_LEN];
	int err;

	veth_make(n_queues, n_queues, 1500);
	n_frames = frames;
	memory_len = ((size_t)frames * FRAME_LEN + 4095) / 4096 * 4096;
	config.packets_len = memory_len;
	config.ifindex = if_nametoindex(VETH_NEAR);
	memset(ledger, 0, frame_ledger_size(MAX_FRAMES));
	memset(seen, 0, sizeof(*seen));
	err = xdp_open(&config, &ports[PORT], why);
	if (err < 0)
		printf("# %d %s\n", err, why);
	far = veth_far_socket();
	return err == 0 && far >= 0;
}

static void
close_port(void)
{
	xdp_close(&ports[PORT]);
	close(far);
	veth_remove();
}

// One more step of a traced child.  False: it stopped by itself, having done its round.
static bool
step(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

// A child joins, does a round with what stands in the ring, and is killed after max steps.  How
// many it did; UINT32_MAX: it never began.
static uint32_t
run_stepped(uint32_t max)
{
	uint32_t n = 0;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		if (!start_forwarder(1))
			_exit(1);
		raise(SIGSTOP);
		round_of(0, 64);
		round_of(0, 64);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return UINT32_MAX;
	while (n < max && step(pid))
		n++;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
		;
	return n;
}

// A child that does what the killed one has left.
static void
clear_up(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!start_forwarder(1))
			_exit(1);
		for (unsigned i = 0; i < 4; i++)
			round_of(0, 64);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	far_receive_all();
}

static void
test_every_step(void)
{
	const char *all = getenv("SLUICE_EVERY_STEP");
	uint32_t n_steps, n_places, unsound = 0, ran = 0, at = 0;
	uint64_t number = 0;

	if (!tap_ok(open_port(1, 512), "a port for a child that is killed at each step"))
		return;
	tap_ok(run_stepped(0) == 0, "the first one fills the rings");
	for (unsigned i = 0; i < ROUND_LEN; i++)
		far_send(number++);
	n_steps = run_stepped(UINT32_MAX - 1);
	tap_ok(n_steps > 500 && n_steps != UINT32_MAX, "a round has some instructions: %u",
		n_steps);
	tap_ok(is_sound_at_last(), "and leaves every frame in its place");
	n_places = all != NULL ? n_steps : N_STEPPED;
	for (unsigned i = 0; i < n_places && unsound == 0; i++) {
		at = (uint32_t)((uint64_t)n_steps * i / n_places);
		for (unsigned k = 0; k < ROUND_LEN; k++)
			far_send(number++);
		ran += run_stepped(at) == at;
		unsound += !is_sound_at_last();
		clear_up();
	}
	tap_ok(ran > n_places / 2, "%u children were killed where it was meant", ran);
	tap_ok(unsound == 0, "wherever a round ends, each frame is in one place (last at %u)", at);
	tap_int((long long)seen->twice, 0, "and no packet left twice");
	tap_ok(seen->back > seen->sent / 4, "many did leave: %llu of %llu",
		(unsigned long long)seen->back, (unsigned long long)seen->sent);
	close_port();
}

static void
run_forwarder(void)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!start_forwarder(2))
		_exit(1);
	pthread_create(&thread, NULL, forward, (void *)1);
	forward((void *)0);
}

static void
test_storm(void)
{
	unsigned n_killed = 0;
	uint64_t back;
	pid_t world;
	int status;

	if (!tap_ok(open_port(2, MAX_FRAMES), "a port with two queues under traffic"))
		return;
	fflush(stdout);
	world = start_world();
	srand(1);
	for (unsigned i = 0; i < N_KILLS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			run_forwarder();
		nap(1000 + rand() % 8000);
		kill(pid, SIGKILL);
		n_killed += waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
	}
	tap_int(n_killed, N_KILLS, "forwarders were killed, none ended by itself");
	back = seen->back;
	tap_ok(back > 0, "packets came back meanwhile: %llu of %llu", (unsigned long long)back,
		(unsigned long long)seen->sent);

	// A last one, which stays until something comes back.
	pid_t last = fork();

	if (last == 0)
		run_forwarder();
	for (unsigned i = 0; i < 10000 && seen->back < back + 1000; i++)
		nap(1000);
	tap_ok(seen->back >= back + 1000, "the last one goes on");
	kill(world, SIGKILL);
	waitpid(world, &status, 0);
	kill(last, SIGKILL);
	waitpid(last, &status, 0);
	tap_ok(is_sound_at_last(), "then each frame is in one place");
	far_receive_all();
	tap_int((long long)seen->twice, 0, "and no packet left twice");
	close_port();
}

int
main(void)
{
	const char *why = veth_enter();

	memory_len = ((size_t)MAX_FRAMES * FRAME_LEN + 4095) / 4096 * 4096;
	memory = share(memory_len);
	ledger = share(frame_ledger_size(MAX_FRAMES));
	seen = share(sizeof(*seen));
	n_frames = MAX_FRAMES;
	if (why == NULL) {
		if (!open_port(1, 512))
			why = "AF_XDP on veth is not possible here";
		close_port();
	}
	if (why != NULL) {
		tap_skip("forwarders that are killed", why);
		return tap_done();
	}
	test_every_step();
	test_storm();
	return tap_done();
}
