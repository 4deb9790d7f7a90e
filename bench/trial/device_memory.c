/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/device_memory.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/harness/run.h"
#include "bench/trial/memory_way.h"
#include "bench/trial/memory_world.h"
#include "dataplane/io/io.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define AHEAD_MOST    ((size_t)1 << 30)
#define AHEAD_LEAST   ((size_t)16 << 20)
#define HUGE_PAGE     ((size_t)2 << 20)
#define LONGEST_S     60.0  // of a trial
#define YOUNG_S       60.0  // a world is used for another trial up to this age
#define OLD_S         170.0 // sessions end at 180
#define UNPACED_PPS   1e8   // of books, where no rate is asked for: more than any core does
#define LIMITED_SHARE 0.99
#define SILENCE_NS    (50 * NS_PER_MS)
#define WARM_UP_PPS   200000.0
#define WARM_UP_LEAST 8192
#define ASK_EVERY     256 // loops between questions whether to stop

struct device_memory {
	struct device device; // first
	struct device_memory_config config;
	struct memory_world *world;
	uint8_t *store;
	size_t store_len;
	uint32_t run; // of the last trial
	// Of the last trial, for device_memory_json().
	double round_s;      // in rounds, by the wall
	double device_cpu_s; // of which the device's thread had its core
	double own_cpu_s;    // and we had ours
	uint64_t busy_tsc, idle_tsc;
	unsigned n_rounds;
	uint64_t drops[N_DROP_REASONS];
};

struct trial { // one that runs
	struct device_memory *d;
	const struct trial_request *request;
	struct memory_way *way[2]; // by direction; NULL: not in this trial
	uint64_t end_ns;           // sending ends, whatever is left
	uint64_t base_ns;          // time of sending so far
	int64_t mono_offset;       // trial's clock = boot time - this
	bool is_stopped;
};

static struct device_memory *
memory_of(const struct device *d)
{
	return (struct device_memory *)(uintptr_t)d;
}

// --- the clock and rounds ----------------------------------------------------------------------

static uint64_t
now_ns(const struct trial *t)
{
	return (uint64_t)((int64_t)mono_now().ns - t->mono_offset);
}

static void
set_clock(struct trial *t, uint64_t ns)
{
	t->mono_offset = (int64_t)mono_now().ns - (int64_t)ns;
}

static bool
ask_stopped(struct trial *t)
{
	const struct device_memory_config *c = &t->d->config;

	t->is_stopped = t->is_stopped || (c->is_stopped != NULL && c->is_stopped(c->context));
	return t->is_stopped;
}

// Every direction has sent what it has to, or one cannot go on before its store is filled again.
static bool
round_is_over(const struct trial *t)
{
	bool all = true;

	for (unsigned i = 0; i < 2; i++) {
		const struct memory_way *way = t->way[i];

		if (way == NULL)
			continue;
		if (!memory_way_round_is_done(way))
			all = false;
		else if (!memory_way_is_done(way))
			return true;
	}
	return all;
}

static bool
trial_is_over(const struct trial *t)
{
	for (unsigned i = 0; i < 2; i++)
		if (t->way[i] != NULL && !memory_way_is_done(t->way[i]))
			return t->is_stopped || t->base_ns >= t->end_ns;
	return true;
}

static uint32_t
receive_all(struct trial *t, uint64_t now)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 2; i++)
		if (t->way[i] != NULL)
			n += memory_way_receive(t->way[i], now);
	return n;
}

static void
send_round(struct trial *t)
{
	uint64_t now = t->base_ns;

	set_clock(t, now);
	for (unsigned loops = 1; !round_is_over(t) && now < t->end_ns; loops++) {
		for (unsigned i = 0; i < 2; i++)
			if (t->way[i] != NULL)
				memory_way_send(t->way[i], now);
		receive_all(t, now_ns(t));
		if (loops % ASK_EVERY == 0 && ask_stopped(t))
			break;
		now = now_ns(t);
	}
	t->base_ns = now;
}

static bool
all_arrived(const struct trial *t)
{
	for (unsigned i = 0; i < 2; i++)
		if (t->way[i] != NULL && memory_way_arrived(t->way[i]) < memory_way_sent(t->way[i]))
			return false;
	return true;
}

// The device has taken everything off its rings.
static bool
is_idle(const struct memory_world *w)
{
	return w->m->wire->ops->is_idle(w->m->wire, 0) && w->m->host->ops->is_idle(w->m->host, 0);
}

static void
drain(struct trial *t)
{
	uint64_t start = now_ns(t), last = start, now = start;
	uint64_t most = (uint64_t)(t->request->drain_seconds * 1e9);

	while (now - start < most) {
		now = now_ns(t);
		if (receive_all(t, now) > 0)
			last = now;
		else if (all_arrived(t) || (now - last > SILENCE_NS && is_idle(t->d->world)))
			break;
	}
}

static double
cpu_s(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// The device's thread is there only while the clock runs: its counters are of nothing else.
static int
run_round(struct trial *t)
{
	struct device_memory *d = t->d;
	double wall_s, own_s;
	clockid_t clock;
	int err = memory_world_start(d->world);

	if (err < 0) {
		bench_error(err_str(err), "look at the limits of threads (ulimit -a)",
			"thread of the gateway in memory");
		return err;
	}
	wall_s = cpu_s(CLOCK_MONOTONIC);
	own_s = cpu_s(CLOCK_THREAD_CPUTIME_ID);
	send_round(t);
	drain(t);
	d->own_cpu_s += cpu_s(CLOCK_THREAD_CPUTIME_ID) - own_s;
	d->round_s += cpu_s(CLOCK_MONOTONIC) - wall_s;
	if (pthread_getcpuclockid(d->world->m->threads[0], &clock) == 0)
		d->device_cpu_s += cpu_s(clock);
	memory_world_stop(d->world);
	while (receive_all(t, now_ns(t)) > 0)
		; // what the device was just working on
	d->n_rounds++;
	return 0;
}

static int
run_rounds(struct trial *t)
{
	int err;

	do {
		for (unsigned i = 0; i < 2; i++)
			if (t->way[i] != NULL)
				memory_way_prepare(t->way[i]);
		err = run_round(t);
		if (err < 0)
			return err;
		for (unsigned i = 0; i < 2; i++)
			if (t->way[i] != NULL)
				memory_way_settle(t->way[i]);
		if (memory_world_age_s(t->d->world) > OLD_S) {
			bench_error("encrypting ahead took longer than sessions live (180 s)",
				"ask for fewer seconds or packets, or do not encrypt ahead",
				"trial in memory");
			return -ETIMEDOUT;
		}
	} while (!trial_is_over(t) && !ask_stopped(t));
	return 0;
}

// --- memory for messages -----------------------------------------------------------------------

static size_t
ahead_most(const struct device_memory *d)
{
	size_t most;

	if (d->config.ahead_bytes != 0)
		return d->config.ahead_bytes;
	most = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2;
	if (most < AHEAD_LEAST)
		most = AHEAD_LEAST;
	return most < AHEAD_MOST ? most : AHEAD_MOST;
}

static void
forget_store(struct device_memory *d)
{
	if (d->store != NULL)
		munmap(d->store, d->store_len);
	d->store = NULL;
	d->store_len = 0;
}

// Have at least len bytes, every page there: none may be missing while the clock runs.
static int
take_store(struct device_memory *d, size_t len)
{
	void *p;

	if (len <= d->store_len)
		return 0;
	forget_store(d);
	len = (len + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		int err = -errno;

		bench_error(err_str(err), "allow it less memory, or do not encrypt ahead",
			"%zu MiB for encrypting ahead", len >> 20);
		return err;
	}
	(void)madvise(p, len, MADV_HUGEPAGE); // without them it works as well
	memset(p, 0, len);
	d->store = p;
	d->store_len = len;
	return 0;
}

// --- directions --------------------------------------------------------------------------------

static struct memory_way_config
way_config(const struct trial *t, unsigned direction)
{
	const struct trial_request *r = t->request;
	double share = r->direction == TRIAL_BOTH ? 0.5 : 1;

	return (struct memory_way_config){
		.is_inbound = direction == TRIAL_INBOUND,
		.is_ahead = r->encrypt_ahead,
		.sizes = r->sizes,
		.run = t->d->run * 2 + direction,
		.n_flows = r->n_flows,
		.rate_pps = r->rate_pps * share,
		.seconds = r->seconds,
		.most_packets = (uint64_t)ceil(
			(r->rate_pps > 0 ? r->rate_pps * share : UNPACED_PPS) * r->seconds),
	};
}

static void
destroy_ways(struct trial *t)
{
	for (unsigned i = 0; i < 2; i++)
		memory_way_destroy(t->way[i]);
}

static bool
has_direction(const struct trial_request *r, unsigned direction)
{
	return r->direction == TRIAL_BOTH || (unsigned)r->direction == direction;
}

static int
create_ways(struct trial *t)
{
	unsigned n = t->request->direction == TRIAL_BOTH ? 2 : 1;
	struct device_memory *d = t->d;
	size_t each = 0, at = 0;

	if (t->request->encrypt_ahead) {
		struct memory_way_config config = way_config(t, TRIAL_INBOUND);
		int err;

		each = memory_way_store_len(d->world, &config);
		if (each > ahead_most(d) / n)
			each = ahead_most(d) / n & ~(size_t)63;
		err = take_store(d, n * each);
		if (err < 0)
			return err;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct memory_way_config config = way_config(t, i);
		uint8_t *store = d->store != NULL ? d->store + at : NULL;
		int err;

		if (!has_direction(t->request, i))
			continue;
		err = memory_way_create(d->world, &config, store, each, &t->way[i]);
		if (err < 0) {
			bench_error(err_str(err), "ask for fewer seconds or a lower rate",
				"books of a trial in memory");
			return err;
		}
		at += each;
	}
	return 0;
}

// --- the device --------------------------------------------------------------------------------

static int
run_warm_up(struct device_memory *d, const struct sizes *sizes)
{
	uint64_t n = d->config.n_peers > WARM_UP_LEAST ? d->config.n_peers : WARM_UP_LEAST;
	const struct trial_request request = {
		.direction = TRIAL_BOTH,
		.rate_pps = 2 * WARM_UP_PPS,
		.seconds = (double)n / WARM_UP_PPS,
		.drain_seconds = 1,
		.sizes = sizes,
		.n_flows = d->config.n_peers,
	};
	struct trial t = { .d = d, .request = &request, .end_ns = UINT64_MAX };
	int err;

	d->run++;
	err = create_ways(&t);
	if (err == 0)
		err = run_rounds(&t);
	destroy_ways(&t);
	return err;
}

// Sessions end after 180 s: a trial begins with young ones.
static int
renew_world(struct device_memory *d, const struct sizes *sizes)
{
	int err;

	if (d->world != NULL && memory_world_age_s(d->world) < YOUNG_S)
		return 0;
	memory_world_destroy(d->world);
	d->world = NULL;
	err = memory_world_create(d->config.family, d->config.mtu, d->config.n_peers,
		d->config.device_core, &d->world);
	if (err < 0) {
		bench_error(err_str(err), "look at the limits of memory (ulimit -a)",
			"gateway in memory with %u peers", d->config.n_peers);
		return err;
	}
	return run_warm_up(d, sizes);
}

static int
refuse(const char *why, const char *advice)
{
	bench_error(why, advice, "trial in memory");
	return -EINVAL;
}

static int
check_request(const struct device_memory *d, const struct trial_request *r)
{
	uint32_t least = d->config.family == ADDR_V6 ? FLOW_MIN_LEN6 : FLOW_MIN_LEN4;

	if (!(r->seconds > 0 && r->seconds <= LONGEST_S))
		return refuse("a trial in memory lasts 60 s at most, as its sessions end",
			"ask for fewer seconds");
	if (!(r->rate_pps >= 0 && r->rate_pps <= UNPACED_PPS))
		return refuse("the rate is beyond what any core does",
			"ask for at most 100 million packets a second, or none: as fast as "
			"possible");
	if (r->n_flows == 0 || r->n_flows > FLOW_MAX)
		return refuse("the number of flows is not 1 to 65536", "ask for another");
	if (r->n_flows < d->config.n_peers)
		return refuse("fewer flows than peers: some peers would have no traffic",
			"ask for as many flows as peers at least");
	if (r->sizes->least < least || r->sizes->most > d->config.mtu)
		return refuse(
			"packets do not fit the tunnel", "ask for other sizes or another MTU");
	return 0;
}

static void
fill_result(const struct trial *t, struct trial_result *ret)
{
	const struct trial_request *r = t->request;
	uint64_t sent;

	for (unsigned i = 0; i < 2; i++) {
		if (t->way[i] == NULL)
			continue;
		memory_way_finish(t->way[i], &ret->way[i]);
		tally_sum_add(&ret->sum, &ret->way[i]);
		latency_merge(&ret->latency, memory_way_latency(t->way[i]));
		ret->generator_late += memory_way_late(t->way[i]);
	}
	sent = ret->sum.sent;
	ret->seconds = (double)t->base_ns / 1e9;
	if (r->rate_pps > 0 && ret->seconds < (double)sent / r->rate_pps)
		ret->seconds = (double)sent / r->rate_pps; // the last one's share of time
	if (ret->seconds > 0) {
		ret->offered_pps = (double)sent / ret->seconds;
		ret->delivered_pps = (double)ret->sum.received / ret->seconds;
	}
	ret->generator_cpu_s = t->d->own_cpu_s;
	ret->device_core_share = t->d->round_s > 0 ? t->d->device_cpu_s / t->d->round_s : 0;
	ret->socket_dropped = t->d->drops[DROP_TX_FULL];
	if (r->rate_pps > 0)
		ret->generator_limited = ret->offered_pps < r->rate_pps * LIMITED_SHARE;
	else
		ret->generator_limited = ret->sum.lost <= ret->socket_dropped;
	if ((double)ret->socket_dropped > (double)sent * (1 - LIMITED_SHARE))
		ret->generator_limited = true; // the sink was the limit
}

struct device_marks { // of the device's worker, before and after a trial
	uint64_t busy_tsc, idle_tsc, drops[N_DROP_REASONS];
};

static struct device_marks
marks_of(const struct memory_world *w)
{
	const struct shm_worker_counters *c = &w->m->state->workers[0];
	struct device_marks marks = { c->busy_tsc, c->idle_tsc, {} };

	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		marks.drops[i] = c->drops[i];
	return marks;
}

static void
keep_marks(struct device_memory *d, const struct device_marks *before)
{
	struct device_marks after = marks_of(d->world);

	d->busy_tsc = after.busy_tsc - before->busy_tsc;
	d->idle_tsc = after.idle_tsc - before->idle_tsc;
	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		d->drops[i] = after.drops[i] - before->drops[i];
}

static int
run_pinned(struct device_memory *d, const struct trial_request *request, struct trial_result *ret)
{
	struct trial t = { .d = d, .request = request };
	struct device_marks before;
	int err;

	err = renew_world(d, request->sizes);
	if (err < 0)
		return err;
	d->n_rounds = 0;
	d->round_s = d->device_cpu_s = d->own_cpu_s = 0;
	d->run++;
	// A generator that does not reach the rate is not waited for.
	t.end_ns = (uint64_t)((request->rate_pps > 0 ? request->seconds * 1.02 + 0.02
						     : request->seconds) *
			      1e9);
	err = create_ways(&t);
	if (err == 0) {
		before = marks_of(d->world);
		err = run_rounds(&t);
		keep_marks(d, &before);
	}
	if (err == 0)
		fill_result(&t, ret);
	destroy_ways(&t);
	return err;
}

static int
run(struct device *device, const struct trial_request *request, struct trial_result *ret_result)
{
	struct device_memory *d = memory_of(device);
	cpu_set_t before, own;
	int err = check_request(d, request);

	if (err < 0)
		return err;
	memset(ret_result, 0, sizeof(*ret_result));
	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return refuse(strerror(errno), NULL);
	CPU_ZERO(&own);
	CPU_SET(d->config.generator_core, &own);
	if (sched_setaffinity(0, sizeof(own), &own) < 0)
		return refuse(strerror(errno), "choose a core that this process may use");
	err = run_pinned(d, request, ret_result);
	(void)sched_setaffinity(0, sizeof(before), &before);
	return err;
}

// --- making and unmaking -----------------------------------------------------------------------

static void
destroy(struct device *device)
{
	struct device_memory *d = memory_of(device);

	memory_world_destroy(d->world);
	forget_store(d);
	free(d);
}

static int
choose_cores(struct device_memory_config *c)
{
	int first = -1, last = -1;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set)) {
			first = first < 0 ? i : first;
			last = i;
		}
	if (c->generator_core < 0)
		c->generator_core = c->device_core == first ? last : first;
	if (c->device_core < 0)
		c->device_core = c->generator_core == last ? first : last;
	if (c->device_core >= CPU_SETSIZE || c->generator_core >= CPU_SETSIZE ||
		!CPU_ISSET(c->device_core, &set) || !CPU_ISSET(c->generator_core, &set)) {
		bench_error("this process may not use the core asked for",
			"choose another, or let it choose", "trials in memory");
		return -EINVAL;
	}
	if (c->device_core == c->generator_core) {
		bench_error("there is only one core for both the gateway and the generator",
			"give it two cores (taskset, container limits), or use `sluice-bench "
			"path`, which needs one",
			"trials in memory");
		return -EINVAL;
	}
	return 0;
}

int
device_memory_create(const struct device_memory_config *config, struct device **ret_device)
{
	struct device_memory *d = calloc(1, sizeof(*d));
	struct device_memory_config *c;
	int err = 0;

	if (d == NULL) {
		bench_error(err_str(-ENOMEM), NULL, "trials in memory");
		return -ENOMEM;
	}
	c = &d->config;
	*c = *config;
	c->family = c->family == ADDR_NONE ? ADDR_V4 : c->family;
	c->mtu = c->mtu == 0 ? IN_MEMORY_MTU : c->mtu;
	c->n_peers = c->n_peers == 0 ? 1 : c->n_peers;
	if (c->n_peers > MEMORY_WORLD_MAX_PEERS)
		err = refuse("a gateway has 65536 peers at most", "ask for fewer");
	else if (c->mtu < 1280 || c->mtu > 9000)
		err = refuse("the tunnel's MTU is not 1280 to 9000", "ask for another");
	if (err == 0)
		err = choose_cores(c);
	if (err < 0) {
		free(d);
		return err;
	}
	d->device =
		(struct device){ .name = "memory", .tier = "T2", .run = run, .destroy = destroy };
	d->run = (uint32_t)mono_now().ns;
	*ret_device = &d->device;
	return 0;
}

json_t *
device_memory_json(const struct device *device)
{
	const struct device_memory *d = memory_of(device);
	json_t *drops = json_object();

	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		if (d->drops[i] > 0)
			json_object_set_new(
				drops, drop_name(i), json_integer((json_int_t)d->drops[i]));
	return json_pack("{s:s,s:o,s:f,s:f,s:i,s:o}", "aead", aead_backend(), "busy_share",
		d->round_s > 0 ? json_real((double)d->busy_tsc /
					   ((double)d->busy_tsc + (double)d->idle_tsc + 1))
			       : json_null(),
		"cpu_s", d->device_cpu_s, "round_s", d->round_s, "rounds", (int)d->n_rounds,
		"drops", drops);
}
