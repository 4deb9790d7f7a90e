/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "dataplane/path/inbound.h"
#include "dataplane/path/outbound.h"
#include "dataplane/stage/outer.h"
#include "dataplane/stage/stages.h"
#include "dataplane/table/flow_cache.h"
#include "dataplane/table/nat_worker.h"
#include "dataplane/table/net.h"
#include "lib/base/clock.h"

#define SPIN_TSC 60000 /* about 20 us without a packet before a worker that spins sleeps */
/* An adaptive worker that does not spin collects packets that come faster than DENSE_PPS: one with
 * I/O of its own, or with link ports. */
#define DENSE_PPS     20000
#define WINDOW_NS     NS_PER_MS /* of measuring that */
#define NAP_NS        60000
#define HELD_UP_NS    100000
#define SWEEP_NS      (NS_PER_S / 2)
#define SLEEP_MAX_MS  500 /* so that packets that wait for ever are found */
#define ICMP_RATE_PPS 200
#define ICMP_BURST    50
#define TSMP_RATE_PPS 50 // to the control plane
#define TSMP_BURST    20
#define N_VERDICTS    4096
/* Rounds in a row before I/O of its own has its turn, though a link port brings ever more. */
#define MAX_ROUNDS_WITH_IO 64
#define MAX_SLEEP_FDS      (1 + WORKER_MAX_IO * IO_MAX_FDS + SHM_MAX_PORTS * (unsigned)PORT_MAX_WAIT_FDS)

static bool
create_nat(struct worker *w, struct nat *nat)
{
	if (nat == NULL)
		return true;
	w->nat = calloc(1, sizeof(*w->nat));
	if (w->nat != NULL)
		w->nat->nat = nat;
	return w->nat != NULL;
}

static bool
create_flow_cache(struct worker *w, const struct worker_setup *setup)
{
	uint32_t n = setup->max_flow_buckets < FLOW_CACHE_MIN_BUCKETS ? setup->max_flow_buckets
	                                                              : FLOW_CACHE_MIN_BUCKETS;

	return n == 0 || flow_cache_create(n, setup->cache_seed, &w->flow_cache) == 0;
}

int
worker_create(const struct worker_setup *setup, struct worker_thread **ret_worker)
{
	struct worker_thread *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
	struct worker *w;

	if (t == NULL)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->setup = *setup;
	t->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w = &t->w;
	w->waiting = calloc(SHM_MAX_PEERS, sizeof(*w->waiting));
	w->waiting_peers = calloc(SHM_MAX_PEERS, sizeof(*w->waiting_peers));
	w->ways = calloc(OUTER_WAYS, sizeof(*w->ways));
	if (t->bell.fd < 0 || w->waiting == NULL || w->waiting_peers == NULL || w->ways == NULL ||
		verdict_cache_create(N_VERDICTS, setup->cache_seed, &w->verdicts) < 0 ||
		!create_flow_cache(w, setup) || !create_nat(w, setup->nat)) {
		worker_destroy(t);
		return -ENOMEM;
	}
	w->id = setup->id;
	w->is_alone = setup->is_alone;
	w->sessions = (struct session_table){ setup->state, setup->keys };
	w->counters = &setup->state->workers[setup->id];
	w->peers = setup->state->counters[setup->id];
	w->wire = setup->wire;
	w->host = setup->host;
	w->events = &t->events;
	w->punt = &t->punt;
	w->main_bell = setup->main_bell;
	w->flows = setup->flows;
	w->capture = setup->capture;
	w->outer_id = (uint16_t)(setup->id << 12); // far from the other workers'
	w->max_waiting = pool_frame_count(setup->pool) / 8;
	pool_cache_init(&w->pool, setup->pool);
	icmp_limiter_init(&w->icmp_limit, ICMP_RATE_PPS, ICMP_BURST);
	icmp_limiter_init(&w->wants.limit, WANT_RATE_PPS, WANT_BURST);
	icmp_limiter_init(&w->tsmp_limit, TSMP_RATE_PPS, TSMP_BURST);
	w->counters->core = setup->core;
	t->tended = w->flow_cache;
	*ret_worker = t;
	return 0;
}

void
worker_destroy(struct worker_thread *t)
{
	if (t == NULL)
		return;
	if (t->bell.fd >= 0)
		close(t->bell.fd);
	free(t->w.waiting);
	free(t->w.waiting_peers);
	free(t->w.ways);
	free(t->w.nat);
	verdict_cache_destroy(t->w.verdicts);
	flow_cache_destroy(t->w.flow_cache);
	flow_cache_destroy(atomic_load(&t->larger));
	flow_cache_destroy(atomic_load(&t->smaller));
	free(t);
}

bool
worker_give_up(struct worker_thread *t, uint32_t peer)
{
	const struct shm_event request = { .kind = SHM_CMD_UNREACHABLE, .peer = peer };

	if (!event_ring_put(&t->requests, &request))
		return false;
	doorbell_ring(&t->bell);
	return true;
}

void
worker_stop(struct worker_thread *t)
{
	atomic_store_explicit(&t->stop, true, memory_order_seq_cst);
	doorbell_ring(&t->bell);
}

// What the main thread hands in: keepalives, datagrams and inner packets of the control plane.
static uint32_t
run_injected(struct worker_thread *t)
{
	struct pkt *pkts[BURST_MAX];
	struct burst wire = {}, inner = {}, keepalives = {};
	uint32_t n = pkt_ring_get(&t->inject, pkts, BURST_MAX);

	for (uint32_t i = 0; i < n; i++) {
		struct burst *b = pkts[i]->kind == PKT_WIRE        ? &wire
		                  : pkts[i]->kind == PKT_KEEPALIVE ? &keepalives
		                                                   : &inner;

		b->pkt[b->n++] = pkts[i];
	}
	if (wire.n > 0)
		inbound_run(&t->w, &wire);
	if (inner.n > 0)
		outbound_run(&t->w, &inner);
	if (keepalives.n > 0)
		outbound_run_with_peer(&t->w, &keepalives);
	return n;
}

static void
run_waiting(struct worker_thread *t)
{
	uint64_t epoch = atomic_load_explicit(t->setup.sessions_epoch, memory_order_acquire);
	const struct shm_event *request;
	struct worker *w = &t->w;
	struct burst b;

	if (w->n_waiting_peers > 0 &&
		(epoch != t->epoch_seen || w->now_ns - t->swept_ns > (uint64_t)SWEEP_NS)) {
		t->swept_ns = w->now_ns;
		while (waiting_take(w, &b))
			outbound_run_with_peer(w, &b);
		waiting_expire(w, SHM_NO_PEER);
		outbound_run_to_peers(w);
	}
	t->epoch_seen = epoch;
	for (request = event_ring_peek(&t->requests); request != NULL;
		request = event_ring_peek(&t->requests)) {
		waiting_expire(w, request->peer);
		outbound_run_to_peers(w);
		event_ring_advance(&t->requests);
	}
}

// The open link ports.  Valid until the next quiescent point.
static const struct net_table *
net_of(const struct worker_thread *t)
{
	static const struct net_table none; // of tests that have no network

	// Pairs with the release in ctl/network.c.
	return t->setup.net != NULL ? atomic_load_explicit(t->setup.net, memory_order_acquire)
	                            : &none;
}

// A larger cache: flows are learnt anew.
static void
take_larger_cache(struct worker_thread *t)
{
	// Pairs with the release in worker_tend(), as the store of the other one.
	struct flow_cache *larger = atomic_load_explicit(&t->larger, memory_order_acquire);

	if (__builtin_expect(larger == NULL, 1))
		return;
	atomic_store_explicit(&t->larger, NULL, memory_order_relaxed);
	atomic_store_explicit(&t->smaller, t->w.flow_cache, memory_order_release);
	t->w.flow_cache = larger;
}

void
worker_tend(struct worker_thread *t)
{
	struct flow_cache *smaller = atomic_exchange(&t->smaller, NULL), *larger;

	if (t->tended == NULL)
		return;
	if (smaller != NULL) {
		flow_cache_destroy(smaller);
		t->tended = t->offered;
		t->offered = NULL;
		t->n_pushed_out = 0;
	}
	if (t->offered != NULL || !flow_cache_is_crowded(t->tended, &t->n_pushed_out) ||
		t->tended->mask + 1 >= t->setup.max_flow_buckets ||
		flow_cache_create(2 * (t->tended->mask + 1), t->tended->seed, &larger) < 0)
		return; // the one it has goes on being of use
	t->offered = larger;
	atomic_store_explicit(&t->larger, larger, memory_order_release);
}

// Frames of a link port: from peers, and from the LAN.
static uint32_t
run_link(struct worker *w, const struct net_port *port)
{
	struct burst frames, wire;
	uint32_t n = port->io->ops->rx(port->io, w->id, frames.pkt, BURST_MAX);

	step_done(w->ticks, STEP_LINK_RX);
	if (n == 0)
		return 0;
	frames.n = n;
	w->counters->bursts++;
	link_unwrap(w, port, &frames, &wire);
	if (wire.n > 0)
		inbound_run(w, &wire);
	if (frames.n > 0)
		outbound_run_from_link(w, port, &frames);
	return n;
}

static void
flush(struct worker *w, struct port *port)
{
	if (port->ops->flush != NULL)
		port->ops->flush(port, w->id);
}

uint32_t
worker_round(struct worker_thread *t)
{
	struct worker *w = &t->w;
	struct burst b;
	uint32_t n = 0;

	w->now_ns = mono_now().ns;
	// Pairs with the release in apply.c; what is read through it is dropped at the round's end.
	w->tables = atomic_load_explicit(t->setup.tables, memory_order_acquire);
	w->net = net_of(t);
	take_larger_cache(t);
	run_waiting(t);
	step_done(w->ticks, STEP_ROUND);

	b.n = w->wire->ops->rx(w->wire, w->id, b.pkt, BURST_MAX);
	step_done(w->ticks, STEP_WIRE_RX);
	if (b.n > 0) {
		n += b.n;
		w->counters->bursts++;
		inbound_run(w, &b);
	}
	b.n = w->host->ops->rx(w->host, w->id, b.pkt, BURST_MAX);
	step_done(w->ticks, STEP_HOST_RX);
	if (b.n > 0) {
		n += b.n;
		w->counters->bursts++;
		outbound_run(w, &b);
	}
	for (uint32_t i = 0; i < w->net->n_ports; i++)
		n += run_link(w, &w->net->ports[i]);
	if (!pkt_ring_is_empty(&t->inject))
		n += run_injected(t);

	flush(w, w->wire);
	flush(w, w->host);
	for (uint32_t i = 0; i < w->net->n_ports; i++)
		flush(w, w->net->ports[i].io);
	w->counters->packets += n;
	step_done(w->ticks, STEP_ROUND);
	return n;
}

static bool
are_links_idle(struct worker_thread *t)
{
	const struct net_table *net = net_of(t);

	for (uint32_t i = 0; i < net->n_ports; i++)
		if (!net->ports[i].io->ops->is_idle(net->ports[i].io, t->w.id))
			return false;
	return true;
}

// Descriptors that are ready when a link port has something for this worker: how many.
static unsigned
watch_links(struct worker_thread *t, struct pollfd *fds)
{
	const struct net_table *net = net_of(t);
	int of_port[PORT_MAX_WAIT_FDS];
	unsigned n = 0;

	for (uint32_t i = 0; i < net->n_ports; i++) {
		struct port *io = net->ports[i].io;
		unsigned n_of_port =
			io->ops->wait_fds != NULL ? io->ops->wait_fds(io, t->w.id, of_port) : 0;

		for (unsigned k = 0; k < n_of_port; k++)
			fds[n++] = (struct pollfd){ .fd = of_port[k], .events = POLLIN };
	}
	return n;
}

static bool
is_idle(struct worker_thread *t)
{
	struct worker *w = &t->w;

	return are_links_idle(t) && w->wire->ops->is_idle(w->wire, w->id) &&
	       w->host->ops->is_idle(w->host, w->id) && pkt_ring_is_empty(&t->inject) &&
	       event_ring_peek(&t->requests) == NULL &&
	       atomic_load_explicit(t->setup.sessions_epoch, memory_order_relaxed) ==
	               t->epoch_seen &&
	       !atomic_load_explicit(&t->stop, memory_order_relaxed);
}

static void
clear_bell(struct worker_thread *t)
{
	uint64_t rings;

	doorbell_clear(&t->bell);
	if (read(t->bell.fd, &rings, sizeof(rings)) < 0)
		rings = 0; // nobody rang: it was the time-out
}

/*
 * Sleep until somebody rings, until a link port has something, or until one of the n descriptors
 * behind the bell's is ready.  Asleep we hold nothing, so that the main thread need not wait for
 * us: what is looked at of link ports is looked at before.  A descriptor of one that is closed
 * meanwhile stays what it was until poll() returns, and whoever closes it rings.
 */
static void
sleep_until_rung(struct worker_thread *t, struct pollfd fds[MAX_SLEEP_FDS], unsigned n)
{
	unsigned n_links;

	fds[0] = (struct pollfd){ .fd = t->bell.fd, .events = POLLIN };
	doorbell_announce(&t->bell);
	if (is_idle(t)) {
		n_links = watch_links(t, fds + 1 + n);
		t->w.counters->sleeps++;
		quiescent_sleep(t->setup.quiescent);
		if (poll(fds, 1 + n + n_links, SLEEP_MAX_MS) < 0)
			memset(fds, 0, (1 + n) * sizeof(*fds)); // a signal
		quiescent_wake(t->setup.quiescent);
	}
	clear_bell(t);
}

/* ---- dense traffic ---- */

static void
measure_density(struct worker_thread *t, uint32_t n)
{
	uint64_t passed_ns = t->w.now_ns - t->window_ns;

	t->n_window += n;
	if (passed_ns < (uint64_t)WINDOW_NS)
		return;
	t->is_dense = t->n_window > passed_ns / (NS_PER_S / DENSE_PPS);
	t->n_window = 0;
	t->window_ns = t->w.now_ns;
}

// Let packets gather, as a network card does that interrupts at a bounded rate.
static void
nap(struct worker_thread *t, uint64_t ns)
{
	const struct timespec moment = { .tv_nsec = (long)ns };

	quiescent_sleep(t->setup.quiescent);
	t->w.counters->sleeps++;
	nanosleep(&moment, NULL);
	quiescent_wake(t->setup.quiescent);
}

/* ---- with I/O of its own ---- */

static void
sleep_until_ready(struct worker_thread *t)
{
	struct pollfd fds[MAX_SLEEP_FDS] = {}, *of = fds + 1;
	unsigned n = 0;

	for (unsigned i = 0; i < t->setup.n_io; i++)
		n += t->setup.io[i]->watch(t->setup.io[i], fds + 1 + n);
	sleep_until_rung(t, fds, n);
	for (unsigned i = 0; i < t->setup.n_io; i++) {
		struct pollfd ignored[IO_MAX_FDS];

		t->has_io[i] = t->setup.io[i]->woken(t->setup.io[i], of);
		of += t->setup.io[i]->watch(t->setup.io[i], ignored);
	}
}

static void
send_all(struct worker_thread *t)
{
	for (unsigned i = 0; i < t->setup.n_io; i++)
		t->setup.io[i]->send(t->setup.io[i]);
}

// Everything from the kernel to the kernel, once.  ret_n: packets.  False: nothing is left to do.
static bool
round_with_io(struct worker_thread *t, uint32_t *ret_n)
{
	bool has_more = false, is_held_up = false;
	uint32_t n, n_unsent = 0, n_rounds = 0;

	for (unsigned i = 0; i < t->setup.n_io; i++) {
		enum io_state state = IO_EMPTY;

		if (t->has_io[i])
			state = t->setup.io[i]->receive(t->setup.io[i]);
		has_more |= state == IO_MORE;
		is_held_up |= state == IO_HELD_UP;
		t->has_io[i] = state != IO_EMPTY;
	}
	*ret_n = 0;
	while ((n = worker_round(t)) > 0) {
		*ret_n += n;
		n_unsent += n;
		if (++n_rounds == MAX_ROUNDS_WITH_IO) {
			has_more = true;
			break;
		}
		if (n_unsent < PKT_RING_SIZE / 2)
			continue;
		// Both ports' packets may leave by one, whose ring is as long as theirs.
		send_all(t);
		n_unsent = 0;
	}
	send_all(t);
	measure_density(t, *ret_n);
	if (has_more || is_held_up)
		memset(t->has_io, true, sizeof(t->has_io)); // a flood on one starves nobody
	if (is_held_up && *ret_n == 0)
		nap(t, HELD_UP_NS); // only frames are missing, of which nothing tells
	return has_more || is_held_up;
}

static void
sleep_with_io(struct worker_thread *t)
{
	if (t->is_dense) {
		nap(t, NAP_NS);
		memset(t->has_io, true, sizeof(t->has_io));
	} else {
		sleep_until_ready(t);
	}
}

static void
run_with_io(struct worker_thread *t)
{
	struct shm_worker_counters *c = t->w.counters;

	memset(t->has_io, true, sizeof(t->has_io));
	while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
		uint32_t n;
		bool has_more = round_with_io(t, &n);
		uint64_t now = __rdtsc();

		quiescent_round(t->setup.quiescent);
		*(n > 0 ? &c->busy_tsc : &c->idle_tsc) += now - t->mark_tsc;
		t->mark_tsc = now;
		if (has_more)
			continue;
		sleep_with_io(t);
		now = __rdtsc();
		c->idle_tsc += now - t->mark_tsc;
		t->mark_tsc = now;
	}
}

/* ---- the thread ---- */

static void
run_without_io(struct worker_thread *t)
{
	uint64_t spin_tsc = t->setup.spins ? SPIN_TSC : 0;
	struct shm_worker_counters *c = t->w.counters;
	struct pollfd fds[MAX_SLEEP_FDS];

	while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
		uint32_t n = worker_round(t);
		uint64_t now = __rdtsc();

		quiescent_round(t->setup.quiescent);
		measure_density(t, n);
		if (n > 0) {
			c->busy_tsc += now - t->mark_tsc;
			t->worked_tsc = now;
		} else {
			c->idle_tsc += now - t->mark_tsc;
			if (t->setup.core < 0 && now - t->worked_tsc > spin_tsc) {
				// As cards do that gather packets; the kernel's own queues do already.
				if (t->is_dense && !t->setup.spins && net_of(t)->n_ports > 0)
					nap(t, NAP_NS);
				else
					sleep_until_rung(t, fds, 0);
				t->worked_tsc = __rdtsc(); // spin anew before the next sleep
				c->idle_tsc += t->worked_tsc - now;
				now = t->worked_tsc;
			}
		}
		t->mark_tsc = now;
	}
}

void *
worker_run(void *arg)
{
	struct worker_thread *t = arg;
	struct shm_worker_counters *c = t->w.counters;

	c->running = 1;
	t->mark_tsc = t->worked_tsc = __rdtsc();
	if (t->setup.n_io > 0)
		run_with_io(t);
	else
		run_without_io(t);
	c->running = 0;
	pool_cache_fini(&t->w.pool);
	return NULL;
}
