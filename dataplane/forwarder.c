/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/forwarder.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "dataplane/forwarder_state.h"
#include "dataplane/io/io_xdp.h"
#include "dataplane/keeper/link.h"
#include "dataplane/sandbox.h"
#include "dataplane/table/flow_cache.h"
#include "dataplane/table/flow_memory.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"
#include "lib/shm/region.h"

#define LOG_TAG "forwarder"

#define CALIBRATE_NS    (5 * NS_PER_MS)
#define TIMER_SLACK_NS  5000ul
#define FLOW_CACHE_PART 32 /* of the memory of the machine */

// --- what apply asks for ----------------------------------------------------------------------

static void
send_keepalive(void *context, uint32_t peer)
{
	struct forwarder *f = context;
	struct pkt *p;

	if (pool_get(&f->cache, &p, 1) == 0)
		return;
	p->kind = PKT_KEEPALIVE;
	p->peer = peer;
	if (pkt_ring_put(&f->workers[0]->inject, &p, 1) == 0)
		pool_put(&f->cache, &p, 1);
	else
		doorbell_ring(&f->workers[0]->bell);
}

static void
give_up(void *context, uint32_t peer)
{
	struct forwarder *f = context;

	for (unsigned i = 0; i < f->n_workers; i++)
		(void)worker_give_up(f->workers[i], peer); // refused: they expire by age
}

static void
wake_workers(void *context)
{
	struct forwarder *f = context;

	for (unsigned i = 0; i < f->n_workers; i++)
		doorbell_ring(&f->workers[i]->bell);
}

static void
sessions_changed(void *context)
{
	struct forwarder *f = context;

	atomic_fetch_add_explicit(&f->sessions_epoch, 1, memory_order_seq_cst);
	wake_workers(f);
}

static void
set_capture(void *context, const struct shm_cmd_capture *cmd)
{
	struct forwarder *f = context;

	capture_set(&f->capture, cmd);
}

static void
nat_changed(void *context, const struct shm_net *net)
{
	struct forwarder *f = context;

	if (net->nat == 0)
		return;
	nat_set(f->nat, net->nat_port_first, net->nat_port_last);
	flow_memory_reserve(f->flow_memory, &f->nat_pages);
}

static bool
put_event(void *context, const struct shm_event *event)
{
	struct forwarder *f = context;

	return rings_event(&f->rings, event);
}

// --- start ------------------------------------------------------------------------------------

static int
map_regions(struct forwarder *f)
{
	const struct forwarder_setup *s = f->setup;
	int err = shm_region_map(s->state_fd, sizeof(*f->state), true, (void **)&f->state);

	if (err == 0)
		err = shm_region_map(s->sessions_fd, sizeof(*f->keys), true, (void **)&f->keys);
	if (err == 0)
		err = shm_region_map(s->packets_fd, s->packets_len, true, &f->packets);
	if (err == 0)
		err = shm_region_map(
			s->flows_fd, sizeof(*f->flow_memory), true, (void **)&f->flow_memory);
	if (err == 0)
		err = shm_region_map(s->capture_fd, sizeof(*f->capture.memory), true,
			(void **)&f->capture.memory);
	if (err < 0)
		return err;
	if (s->ledger_fd >= 0)
		err = shm_region_map(s->ledger_fd, s->ledger_len, true, (void **)&f->ledger);
	if (err == 0)
		err = nat_use(&f->flow_memory->nat, &f->nat);
	if (err < 0)
		return err;
	flow_memory_use(f->flow_memory, FLOW_MEMORY_GROUPS, &f->flows);
	madvise(f->keys, sizeof(*f->keys), MADV_DONTDUMP);
	// Pages of keys are locked as they come into being; where the limit is too low, status says
	// so.
	f->state->locked_memory = mlock2(f->keys, sizeof(*f->keys), MLOCK_ONFAULT) == 0;
	return 0;
}

// Frames that the kernel has, for the predecessor or from before it, are left alone.
static int
create_pool(struct forwarder *f)
{
	const struct forwarder_setup *s = f->setup;
	int err;

	if (f->ledger == NULL)
		return pool_create(f->packets, s->packets_len, s->frame_len, &f->pool);
	err = frame_ledger_settle(
		f->ledger, s->ports, pool_frames_in(s->packets_len, s->frame_len), s->frame_len);
	if (err < 0)
		return err;
	return pool_create_from_ledger(
		f->packets, s->packets_len, s->frame_len, f->ledger, &f->pool);
}

static int
create_ports(struct forwarder *f)
{
	struct io_socket_config wire = {
		.fds = f->setup->wire,
		.pool = f->pool,
		.n_workers = f->n_workers,
		.port_index = 0,
		.counters = &f->port_counters[0],
		.quiescent = &f->quiescent.of[f->n_workers].rounds,
	};
	struct io_host_config host = {
		.host = f->setup->host,
		.pool = f->pool,
		.n_workers = f->n_workers,
		.port_index = 1,
		.counters = &f->port_counters[1],
		.quiescent = &f->quiescent.of[f->n_workers + 1].rounds,
	};
	int err;

	random_bytes(&wire.hash_seed, sizeof(wire.hash_seed));
	random_bytes(&host.hash_seed, sizeof(host.hash_seed));
	err = io_socket_create(&wire, &f->wire, &f->io[0]);
	if (err == 0)
		err = io_host_create(&host, &f->host, &f->io[1]);
	return err;
}

static unsigned
count_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

// Of a machine with little memory: 0.
static uint32_t
floor_power_of_two(uint64_t n)
{
	return n == 0 ? 0 : 1u << (63 - __builtin_clzll(n));
}

// All flow caches together: no more than a small part of the machine's memory.
static uint32_t
max_flow_buckets(const struct forwarder *f)
{
	uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t n = bytes / FLOW_CACHE_PART / f->n_workers / sizeof(union flow_bucket);

	return n < FLOW_CACHE_MAX_BUCKETS ? floor_power_of_two(n) : FLOW_CACHE_MAX_BUCKETS;
}

static int
create_workers(struct forwarder *f)
{
	unsigned n_cores = count_cores();
	uint64_t cache_seed[2];

	// Threads that share one core would spend more on waking one another than on packets.
	f->is_one_thread = f->n_workers == 1 && f->setup->cores[0] < 0 && n_cores == 1;
	// Workers, which inherit it, take naps that are about as short as the usual slack.
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	random_bytes(cache_seed, sizeof(cache_seed));
	for (unsigned i = 0; i < f->n_workers; i++) {
		const struct worker_setup setup = {
			.id = i,
			// Where threads share cores, a worker that spins takes them from the I/O.
			.spins = n_cores >= f->n_workers + N_IO_THREADS,
			.core = f->setup->cores[i],
			.is_alone = f->n_workers == 1,
			.state = f->state,
			.keys = f->keys,
			.pool = f->pool,
			.wire = f->wire,
			.host = f->host,
			.flows = &f->flows,
			.nat = f->nat,
			.capture = &f->capture,
			.max_flow_buckets = max_flow_buckets(f),
			.cache_seed = { cache_seed[0], cache_seed[1] },
			.main_bell = &f->bell,
			.quiescent = &f->quiescent.of[i].rounds,
			.tables = &f->tables,
			.net = &f->net,
			.sessions_epoch = &f->sessions_epoch,
			.io = { f->io[0], f->io[1] },
			.n_io = f->is_one_thread ? N_IO_THREADS : 0,
		};
		int err = worker_create(&setup, &f->workers[i]);

		if (err < 0)
			return err;
		io_socket_attach_worker(f->wire, i, &f->workers[i]->bell);
		io_host_attach_worker(f->host, i, &f->workers[i]->bell);
	}
	return 0;
}

static int
create_network(struct forwarder *f)
{
	f->network = (struct network){
		.state = f->state,
		.quiescent = &f->quiescent,
		.published = &f->net,
		.listen_port = f->setup->wire.port,
		.wake = wake_workers,
		.nat_changed = nat_changed,
		.context = f,
	};
	random_bytes(f->network.seed, sizeof(f->network.seed));
	f->steering_maps = (struct steering_maps){
		.maps = f->setup->steer,
		.listen_port = f->setup->wire.port,
	};
	f->links = (struct link_ports){
		.pool = f->pool,
		.cache = &f->cache,
		.ledger = f->ledger,
		.state = f->state,
		.network = &f->network,
		.workers = f->workers,
		.n_workers = f->n_workers,
		.maps = &f->steering_maps.maps,
	};
	return network_init(&f->network);
}

/*
 * Ports that are open already: what came meanwhile stands in their rings.  One that cannot be
 * joined is given back; the others go on.
 */
static int
join_inherited_ports(struct forwarder *f)
{
	int err = 0;

	link_ports_begin(&f->links);
	for (uint32_t row = 0; row < SHM_MAX_PORTS && err == 0; row++) {
		const struct xdp_fds *port = &f->setup->ports[row];
		int why = port->n_queues > 0 ? link_ports_join(&f->links, row, port) : 0;

		if (why < 0)
			err = link_send_port(f->setup->link, LINK_PORT_OPENED, row, why, NULL);
	}
	return err;
}

static int
create_apply(struct forwarder *f)
{
	f->apply = (struct apply){
		.sessions = { f->state, f->keys },
		.quiescent = &f->quiescent,
		.published = &f->tables,
		.flows = &f->flows,
		.network = &f->network,
		.max_mtu = pkt_capacity(f->setup->frame_len),
		.calls = { send_keepalive, give_up, sessions_changed, put_event, f, set_capture },
	};
	random_bytes(f->apply.table_seed, sizeof(f->apply.table_seed));
	return apply_init(&f->apply); // no thread runs yet: its quiescent wait is over at once
}

static int
give_up_rights(void)
{
	int err = sandbox_drop_capabilities(0);

	if (err == 0)
		err = sandbox_common();
	if (err == 0)
		err = sandbox_forwarder();
	if (err < 0)
		log_err("cannot give up privileges: %s; not started", err_str(err));
	return err;
}

static void *
run_io(void *arg)
{
	struct io_thread *t = arg;

	t->run(t);
	return NULL;
}

static void
pin(struct forwarder *f, unsigned i)
{
	cpu_set_t set;

	if (f->setup->cores[i] < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)f->setup->cores[i], &set);
	if (pthread_setaffinity_np(f->worker_ids[i], sizeof(set), &set) != 0)
		log_warning(
			"worker %u cannot be pinned to core %d, ignoring", i, f->setup->cores[i]);
}

static int
start_threads(struct forwarder *f)
{
	int err = 0;

	for (unsigned i = 0; i < f->n_workers && err == 0; i++) {
		err = -pthread_create(&f->worker_ids[i], NULL, worker_run, f->workers[i]);
		if (err == 0)
			pin(f, i);
	}
	for (unsigned i = 0; i < N_IO_THREADS && err == 0; i++) {
		f->quiescent.io_bell[i] = f->is_one_thread ? &f->workers[0]->bell : &f->io[i]->bell;
		if (f->is_one_thread)
			continue;
		err = -pthread_create(&f->io_ids[i], NULL, run_io, f->io[i]);
	}
	f->quiescent.n_workers = f->n_workers;
	f->quiescent.n_io = N_IO_THREADS;
	return err;
}

static int
start(struct forwarder *f)
{
	int err = map_regions(f);

	if (err == 0)
		err = create_pool(f);
	if (err == 0) {
		pool_cache_init(&f->cache, f->pool);
		err = create_ports(f);
	}
	if (err == 0)
		err = create_workers(f);
	if (err == 0)
		err = create_network(f);
	if (err == 0)
		err = create_apply(f);
	if (err == 0)
		err = join_inherited_ports(f);
	if (err < 0) {
		log_err("forwarder cannot start: %s", err_str(err));
		return err;
	}
	forwarder_describe(f);
	return 0;
}

static void
stop_threads(struct forwarder *f)
{
	for (unsigned i = 0; i < f->n_workers; i++) {
		worker_stop(f->workers[i]);
		pthread_join(f->worker_ids[i], NULL);
	}
	for (unsigned i = 0; i < N_IO_THREADS && !f->is_one_thread; i++) {
		atomic_store_explicit(&f->io[i]->stop, true, memory_order_seq_cst);
		doorbell_ring(&f->io[i]->bell);
		pthread_join(f->io_ids[i], NULL);
	}
}

/*
 * Packets flow already: the maps still have what the predecessor wrote, which is right but for what
 * it did not come to.
 */
static void
start_steering(struct forwarder *f)
{
	const struct steering_sink sink = steering_sink_of(&f->steering_maps);
	struct steering *steering;
	uint64_t seed;

	if (f->setup->steer.settings < 0)
		return;
	f->steering_maps.maps.stamp = f->state->forwarder_starts;
	random_bytes(&seed, sizeof(seed));
	steering = steering_create(&sink, seed);
	if (steering == NULL) {
		log_err("no memory for steering; packets that are new to the steer program go the "
			"kernel's way until the forwarder is started again");
		return;
	}
	apply_start_steering(&f->apply, steering);
}

static int
run(struct forwarder *f)
{
	struct shm_event resync = { .kind = SHM_EV_RESYNC };
	int err = start_threads(f);

	if (err < 0) {
		log_err("threads cannot start: %s", err_str(err));
		return err;
	}
	if (f->setup->to_dp_fd >= 0) {
		err = forwarder_join(f, f->setup->to_dp_fd, f->setup->to_cp_fd);
		if (err < 0)
			return err;
		rings_event(&f->rings, &resync);
	}
	sessions_changed(f); // what was installed when the predecessor died
	err = link_send(f->setup->link, LINK_READY, f->setup->epoch, NULL, 0);
	start_steering(f);
	if (err == 0)
		err = forwarder_serve(f);
	stop_threads(f);
	return err;
}

static uint64_t
tsc_per_second(void)
{
	struct mono start = mono_now(), end;
	uint64_t tsc = __rdtsc();

	do
		end = mono_now();
	while (mono_diff_ns(end, start) < CALIBRATE_NS);
	return (__rdtsc() - tsc) * (uint64_t)NS_PER_S / (uint64_t)mono_diff_ns(end, start);
}

int
forwarder_prepare(struct forwarder_setup *setup)
{
	const char *refused = NULL;
	int err = crypto_init();

	if (err == 0)
		err = aead_init(&refused);
	if (refused != NULL)
		log_err("crypto back end %s gives wrong answers on this machine, not used",
			refused);
	if (err < 0) {
		log_err("no usable cipher: %s; unset SLUICE_AEAD, or install libsodium anew",
			err_str(err));
		return err;
	}
	setup->tsc_per_s = tsc_per_second();
	return 0;
}

int
forwarder_main(const struct forwarder_setup *setup)
{
	static struct forwarder forwarder; // large: not for the stack
	struct forwarder *f = &forwarder;
	int err;

	forwarder_catch_signals();
	f->setup = setup;
	f->n_workers = setup->n_workers;
	f->rings.bell_cp = -1;
	f->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->bell.fd < 0) {
		log_err("eventfd: %s", err_str(-errno));
		return 1;
	}
	err = start(f);
	if (err == 0)
		err = give_up_rights();
	if (err == 0)
		err = run(f);
	return err < 0 && err != -EPIPE;
}
