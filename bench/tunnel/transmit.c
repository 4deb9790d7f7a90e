/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/transmit.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/harness/run.h"

#define BURST    LINE_BURST
#define SLOT_LEN (FLOW_MAX_LEN + 64) /* a packet being made, with all around it */
/* Without spinning: shorter naps would only be system calls. */
#define NAP_NS (50 * NS_PER_US)
/* What is not sent so long after the end is not sent any more: the generator was too slow. */
#define GRACE_NS       (100 * NS_PER_MS)
#define GRACE_SHARE    0.1
#define BLOCKED_MS     1000
#define LAST_NS        (170 * NS_PER_S) /* packets sealed ahead are sent before a session is so old */
#define MOST_GIB       2                /* of packets made ahead, unless more is asked for */
#define PRIORITY       (-15)
#define GIB            (1024.0 * 1024 * 1024)
#define SPINNING_CORES 4
#define LIMITED_SHARE  0.99
#define HIGHEST_PPS    2e6 /* of this generator, to know how many packets to make ahead */

struct ahead { /* all packets of a way, made already */
	struct line_packet *packets;
	uint64_t n;
};

struct transmit_room {
	uint8_t slot[BURST][SLOT_LEN];
	struct tunnel_packet sealing[BURST];
	struct line_packet inbound[BURST], outbound[BURST], lane[BURST];
	uint32_t flow[BURST]; // of outbound[]
	struct ahead ahead[2];
	uint8_t *arena;
	size_t arena_len, arena_used;
	size_t packets_len[2];
};

/* ---- which packet is it ---- */

static unsigned
way_of(const struct transmit *t, uint64_t k)
{
	return t->direction == TRIAL_BOTH ? (unsigned)(k & 1) : (unsigned)t->direction;
}

static uint64_t
number_of(const struct transmit *t, uint64_t k)
{
	return t->direction == TRIAL_BOTH ? k >> 1 : k;
}

static uint64_t
count_of_way(const struct transmit *t, unsigned way, uint64_t n)
{
	if (t->direction != TRIAL_BOTH)
		return way == (unsigned)t->direction ? n : 0;
	return way == 0 ? (n + 1) / 2 : n / 2;
}

static struct flow_mark
mark_of(const struct transmit *t, unsigned way, uint64_t k)
{
	uint64_t i = number_of(t, k);
	uint32_t n_flows = t->plan[way].n_flows;

	return (struct flow_mark){
		.flow = (uint32_t)(i % n_flows),
		.sequence = i / n_flows,
		.due_ns = pace_due_ns(t->pace.packet_ns, k),
	};
}

void
transmit_flows(const struct transmit *t, unsigned way, uint64_t *ret_sent)
{
	uint64_t sent = atomic_load_explicit(&t->sent[way], memory_order_relaxed);
	uint32_t n_flows = t->plan[way].n_flows;

	for (uint32_t f = 0; f < n_flows; f++)
		ret_sent[f] = sent / n_flows + (f < sent % n_flows);
}

/* ---- making packets ---- */

// The inner packet of an inbound one, from the address of the peer that sends it.
static void
write_inbound(const struct transmit *t,
	uint64_t k,
	const struct flow_mark *mark,
	struct tunnel_packet *ret)
{
	ret->inner_len = sizes_at(t->sizes, number_of(t, k));
	ret->peer = mark->flow % t->n_peers; // as plan.n_sources says
	flow_write(ret->message + WG_TRANSPORT_HEADER_LEN, ret->inner_len, &t->plan[TRIAL_INBOUND],
		mark);
}

static uint32_t
header_len(const struct transmit *t)
{
	return t->plan[TRIAL_OUTBOUND].source.family == ADDR_V4 ? 28 : 48;
}

static struct line_packet
write_outbound(const struct transmit *t, uint64_t k, const struct flow_mark *mark, uint8_t *payload)
{
	uint32_t len = sizes_at(t->sizes, number_of(t, k));

	flow_write_payload(payload, len, &t->plan[TRIAL_OUTBOUND], mark);
	return (struct line_packet){
		.data = payload,
		.len = len - header_len(t),
		.to = clear_end_to(t->clear, mark->flow % t->n_peers),
	};
}

/* ---- ahead ---- */

static double
ahead_packets(const struct transmit *t)
{
	return t->rate_pps > 0 ? t->rate_pps * t->seconds : HIGHEST_PPS * t->seconds;
}

static double
ahead_bytes_each(const struct transmit *t)
{
	return t->sizes->mean + TUNNEL_ROOM + 16 + sizeof(struct line_packet);
}

// Whether it can be done at all; what cannot has been said.
static int
check_ahead(const struct transmit *t)
{
	double bytes = ahead_packets(t) * ahead_bytes_each(t);

	if (t->seconds > (double)(LAST_NS - TRANSMIT_YOUNG_NS) / 1e9) {
		bench_error("the session that they are sealed for ends before",
			"make it shorter, or leave --ahead out",
			"a trial of %g s cannot be encrypted ahead", t->seconds);
		return -EINVAL;
	}
	if (t->rate_pps > 0 && bytes > (double)t->ahead_bytes) {
		bench_error("there is not so much memory for it",
			"make the trial shorter, slower or its packets smaller; or give more with "
			"--ahead-memory",
			"encrypting ahead would take %.1f GiB of %.1f GiB", bytes / GIB,
			(double)t->ahead_bytes / GIB);
		return -ENOMEM;
	}
	return 0;
}

size_t
transmit_ahead_room(size_t asked)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	size_t half = (size_t)GIB;

	if (asked != 0)
		return asked;
	if (pages > 0 && page > 0)
		half = (size_t)pages / 2 * (size_t)page;
	return half < (size_t)(MOST_GIB * GIB) ? half : (size_t)(MOST_GIB * GIB);
}

static void *
map_zeros(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static int
take_ahead_memory(struct transmit *t, uint64_t n)
{
	struct transmit_room *r = t->room;

	r->arena_len = (size_t)((double)n * (t->sizes->mean + TUNNEL_ROOM + 16)) +
	               SIZES_PERIOD * (size_t)FLOW_MAX_LEN;
	r->arena = map_zeros(r->arena_len);
	if (r->arena == NULL)
		return -ENOMEM;
	for (unsigned way = 0; way < 2; way++) {
		uint64_t n_way = count_of_way(t, way, n);

		if (n_way == 0)
			continue;
		r->packets_len[way] = n_way * sizeof(struct line_packet);
		r->ahead[way].packets = map_zeros(r->packets_len[way]);
		if (r->ahead[way].packets == NULL)
			return -ENOMEM;
	}
	return 0;
}

static uint8_t *
from_arena(struct transmit_room *r, size_t len)
{
	uint8_t *p = r->arena + r->arena_used;

	r->arena_used += (len + 15) / 16 * 16;
	return r->arena_used <= r->arena_len ? p : NULL;
}

static void
seal_ahead(struct transmit *t, size_t n)
{
	struct transmit_room *r = t->room;
	struct ahead *a = &r->ahead[TRIAL_INBOUND];

	if (n == 0) // perhaps without a tunnel's end
		return;
	tunnel_end_seal(t->tunnel, r->sealing, n);
	for (size_t i = 0; i < n; i++)
		a->packets[a->n++] = (struct line_packet){ .data = r->sealing[i].message,
			.len = r->sealing[i].message_len };
}

static int
make_ahead(struct transmit *t, uint64_t n, bool (*is_stopped)(void *context), void *context)
{
	struct transmit_room *r = t->room;
	size_t n_sealing = 0;

	for (uint64_t k = 0; k < n; k++) {
		unsigned way = way_of(t, k);
		struct flow_mark mark = mark_of(t, way, k);
		uint32_t len = sizes_at(t->sizes, number_of(t, k));
		uint8_t *room = from_arena(r, len + TUNNEL_ROOM);

		if (room == NULL)
			return -ENOMEM;
		if (way == TRIAL_OUTBOUND) {
			struct ahead *a = &r->ahead[way];

			a->packets[a->n++] = write_outbound(t, k, &mark, room);
			continue;
		}
		r->sealing[n_sealing].message = room;
		write_inbound(t, k, &mark, &r->sealing[n_sealing++]);
		if (n_sealing == BURST) {
			seal_ahead(t, n_sealing);
			n_sealing = 0;
		}
		if (k % 4096 == 0 && is_stopped != NULL && is_stopped(context))
			return -EINTR;
	}
	seal_ahead(t, n_sealing);
	t->pace.end = n;
	return 0;
}

static int
no_memory(void)
{
	bench_error("not enough memory", "make the trial shorter, or leave --ahead out",
		"packets of this trial cannot be made");
	return -ENOMEM;
}

int
transmit_prepare(struct transmit *t, bool (*is_stopped)(void *context), void *context)
{
	double most;
	uint64_t n;
	int err = 0;

	pace_init(&t->pace, t->rate_pps, t->seconds, BURST);
	t->pace.pause_packets = BURST;
	if (t->ahead_bytes != 0)
		err = check_ahead(t);
	if (err < 0)
		return err;
	t->room = map_zeros(sizeof(*t->room));
	if (t->room == NULL)
		return no_memory();
	if (t->ahead_bytes == 0)
		return 0;
	// Without a rate: as many as there is room for.
	most = (double)t->ahead_bytes / ahead_bytes_each(t);
	n = t->rate_pps > 0 ? t->pace.end : (uint64_t)ahead_packets(t);
	if ((double)n > most)
		n = (uint64_t)most;
	err = take_ahead_memory(t, n);
	if (err == 0)
		err = make_ahead(t, n, is_stopped, context);
	return err == -ENOMEM ? no_memory() : err;
}

void
transmit_fini(struct transmit *t)
{
	struct transmit_room *r = t->room;

	if (r == NULL)
		return;
	for (unsigned way = 0; way < 2; way++) {
		if (r->ahead[way].packets != NULL)
			munmap(r->ahead[way].packets, r->packets_len[way]);
	}
	if (r->arena != NULL)
		munmap(r->arena, r->arena_len);
	munmap(r, sizeof(*r));
	t->room = NULL;
}

/* ---- sending ---- */

static uint64_t
elapsed_ns(const struct transmit *t)
{
	int64_t ns = mono_diff_ns(mono_now(), t->start);

	return ns > 0 ? (uint64_t)ns : 0;
}

static bool
is_over(const struct transmit *t, uint64_t now_ns)
{
	double end_ns = t->seconds * 1e9;

	if (atomic_load_explicit(&t->stop, memory_order_relaxed))
		return true;
	if (t->rate_pps > 0)
		end_ns += end_ns * GRACE_SHARE + (double)GRACE_NS;
	return (double)now_ns > end_ns;
}

// All of them, also beyond the end: what was sent is known by how many.  A socket that has no room
// for a second will not have any.
static size_t
send_all(struct transmit *t, struct line *line, const struct line_packet *packets, size_t n)
{
	size_t sent = 0;
	unsigned waited_ms = 0;

	while (sent < n && waited_ms < BLOCKED_MS) {
		struct pollfd fd = { .fd = line->fd, .events = POLLOUT };
		int taken = line_send(line, packets + sent, n - sent);

		sent += (size_t)taken;
		if (taken > 0) {
			waited_ms = 0;
		} else if (atomic_load_explicit(&t->stop, memory_order_relaxed)) {
			break;
		} else {
			(void)poll(&fd, 1, 1);
			waited_ms++;
		}
	}
	return sent;
}

// Grouped by the socket that they leave from: a flow keeps to one, so its order stays.
static size_t
send_lanes(struct transmit *t, const struct line_packet *packets, const uint32_t *flow, size_t n)
{
	uint32_t n_lanes = clear_end_lanes(t->clear);
	size_t sent = 0;

	if (n_lanes == 1)
		return send_all(t, clear_end_tx(t->clear, 0), packets, n);
	for (uint32_t lane = 0; lane < n_lanes; lane++) {
		size_t n_lane = 0;

		for (size_t i = 0; i < n; i++) {
			if (flow[i] % n_lanes == lane)
				t->room->lane[n_lane++] = packets[i];
		}
		sent += send_all(t, clear_end_tx(t->clear, lane), t->room->lane, n_lane);
	}
	return sent;
}

static void
add_sent(struct transmit *t, unsigned way, size_t n)
{
	uint64_t before = atomic_load_explicit(&t->sent[way], memory_order_relaxed);

	atomic_store_explicit(&t->sent[way], before + n, memory_order_relaxed);
}

// Packets k to k + n, made now or ahead.  False: not all could be sent any more.
static bool
send_burst(struct transmit *t, uint64_t k, uint32_t n)
{
	struct transmit_room *r = t->room;
	size_t n_in = 0, n_out = 0, in, out;

	for (uint32_t i = 0; i < n; i++) {
		unsigned way = way_of(t, k + i);
		struct flow_mark mark = mark_of(t, way, k + i);
		const struct ahead *a = &r->ahead[way];

		if (way == TRIAL_OUTBOUND) {
			r->flow[n_out] = mark.flow;
			r->outbound[n_out] = a->packets != NULL
			                             ? a->packets[number_of(t, k + i)]
			                             : write_outbound(t, k + i, &mark, r->slot[i]);
			n_out++;
		} else if (a->packets != NULL) {
			r->inbound[n_in++] = a->packets[number_of(t, k + i)];
		} else {
			r->sealing[n_in].message = r->slot[i];
			write_inbound(t, k + i, &mark, &r->sealing[n_in++]);
		}
	}
	if (n_in > 0 && r->ahead[TRIAL_INBOUND].packets == NULL) {
		tunnel_end_seal(t->tunnel, r->sealing, n_in);
		for (size_t i = 0; i < n_in; i++)
			r->inbound[i] = (struct line_packet){ .data = r->sealing[i].message,
				.len = r->sealing[i].message_len };
	}
	in = n_in > 0 ? send_all(t, tunnel_end_line(t->tunnel), r->inbound, n_in) : 0;
	out = n_out > 0 ? send_lanes(t, r->outbound, r->flow, n_out) : 0;
	add_sent(t, TRIAL_INBOUND, in);
	add_sent(t, TRIAL_OUTBOUND, out);
	return in == n_in && out == n_out;
}

static void
wait_until(const struct transmit *t, uint64_t due_ns)
{
	uint64_t now_ns = elapsed_ns(t);
	struct timespec at;
	uint64_t ns;

	if (t->is_spinning && due_ns < now_ns + 2 * (uint64_t)NAP_NS) {
		__builtin_ia32_pause();
		return;
	}
	if (t->is_spinning)
		due_ns -= (uint64_t)NAP_NS;
	else if (due_ns < now_ns + (uint64_t)NAP_NS)
		due_ns = now_ns + (uint64_t)NAP_NS;
	ns = t->start.ns + due_ns;
	at = (struct timespec){ .tv_sec = (time_t)(ns / (uint64_t)NS_PER_S),
		.tv_nsec = (long)(ns % (uint64_t)NS_PER_S) };
	(void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL);
}

bool
transmit_may_spin(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= SPINNING_CORES;
}

bool
transmit_is_limited(const struct transmit *t, double offered_pps)
{
	return t->rate_pps > 0 && offered_pps < t->rate_pps * LIMITED_SHARE;
}

double
transmit_cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
transmit_pin(int core)
{
	cpu_set_t set;

	if (core < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)core, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

void *
transmit_run(void *arg)
{
	struct transmit *t = arg;
	uint64_t now_ns;

	transmit_pin(t->core);
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	// A load does not wait for the device to leave the core.  Of this thread only; where it is
	// not allowed, lateness is told.
	(void)setpriority(PRIO_PROCESS, 0, PRIORITY);
	while (mono_diff_ns(mono_now(), t->start) < 0)
		wait_until(t, 0);
	for (;;) {
		uint32_t n;

		now_ns = elapsed_ns(t);
		if (pace_is_done(&t->pace) || is_over(t, now_ns))
			break;
		// A pause of our own must not become a burst that the device cannot take.
		n = pace_due(&t->pace, pace_clock(&t->pace, now_ns));
		if (n == 0) {
			wait_until(t, pace_next_ns(&t->pace));
			continue;
		}
		if (!send_burst(t, t->pace.next, n))
			break;
		pace_sent(&t->pace, elapsed_ns(t), n);
	}
	t->took_s = (double)elapsed_ns(t) / 1e9;
	// The last packet has its share of the time too.
	if (t->rate_pps > 0 && pace_is_done(&t->pace) && t->took_s < t->seconds)
		t->took_s = t->seconds;
	atomic_store_explicit(&t->is_done, true, memory_order_release);
	return NULL;
}
