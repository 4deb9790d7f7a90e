/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/measure.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "bench/harness/run.h"
#include "bench/path/traffic.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

#define WARM_UP_MIN    16    // volleys
#define FLOW_LOOKS     14    // of the main thread, at the flow cache: enough for its largest size
#define FLOW_LOOK      65536 // packets between two of them, at least
#define WARM_UP_PEERS  2     // times each active peer is met before anything counts
#define LOOK_INSIDE    16    // of so many volleys one is opened by its receivers
#define CLOCK_AGAIN    32    // volleys between readings of the core's clock
#define EMPTY_ROUNDS   10000 // without a packet: they are lost, or wait for ever
#define SEED           7
#define MARKS_TO_GAUGE 2000

const char *const measure_direction_names[MEASURE_DIRECTIONS] = {
	"inbound",
	"outbound",
	"both",
	"peer_to_peer",
};

const char *const measure_step_names[N_PATH_STEPS] = {
#define X(id, name) [id] = name,
	PATH_STEPS(X)
#undef X
};

bool
measure_has_step(enum measure_direction direction, bool has_link, enum path_step step)
{
	bool inbound = direction != MEASURE_OUTBOUND, outbound = direction != MEASURE_INBOUND;

	switch (step) {
	case STEP_WIRE_RX:
	case STEP_KEYPAIR_LOOKUP:
	case STEP_AEAD_OPEN:
	case STEP_DECRYPT:
	case STEP_ROUTE_INNER:
		return inbound;
	case STEP_SOURCE_CHECK:
		return inbound || has_link;
	case STEP_HOST_TRANSMIT:
		return inbound && direction != MEASURE_PEER_TO_PEER;
	case STEP_HOST_RX:
		return outbound && direction != MEASURE_PEER_TO_PEER;
	case STEP_NET_ROUTE:
	case STEP_LINK_TRANSMIT:
		return has_link && inbound && direction != MEASURE_PEER_TO_PEER;
	case STEP_LINK_RX:
	case STEP_LINK_UNWRAP:
	case STEP_LINK_ENTER:
		return has_link && outbound && direction != MEASURE_PEER_TO_PEER;
	case STEP_KNOWN_FLOWS:
	case STEP_LEARN_FLOWS:
	case STEP_NAT:
		return has_link && direction != MEASURE_PEER_TO_PEER;
	case STEP_PEER_LOOKUP:
	case STEP_SESSION_SELECT:
	case STEP_AEAD_SEAL:
	case STEP_ENCRYPT:
	case STEP_WIRE_TRANSMIT:
		return outbound;
	default:
		return true;
	}
}

static bool
is_port(enum path_step step)
{
	return step == STEP_WIRE_RX || step == STEP_HOST_RX || step == STEP_LINK_RX ||
	       step == STEP_HOST_TRANSMIT || step == STEP_LINK_TRANSMIT ||
	       step == STEP_WIRE_TRANSMIT;
}

static bool
is_aead(enum path_step step)
{
	return step == STEP_AEAD_OPEN || step == STEP_AEAD_SEAL;
}

// --- running -----------------------------------------------------------------------------------

struct run {
	const struct measure_row *row;
	struct world *world;
	struct popularity *popularity;
	struct traffic traffic;
	struct measure_result *result;
	struct path_ticks ticks;
	double mark_ticks; // what one mark costs
	bool keeps_clock;  // whoever asked wants ticks
	double rekeys_due;
	uint64_t rekeyed_ns;
};

static void
read_clock(const struct run *r, struct bench_clock *clock)
{
	if (!r->keeps_clock)
		bench_clock_again(clock);
}

static double
gauge_marks(void)
{
	double best = 1e9;

	for (unsigned try = 0; try < 20; try++) {
		struct path_ticks ticks = { .last = __rdtsc() };

		for (unsigned i = 0; i < MARKS_TO_GAUGE; i++)
			step_done(&ticks, STEP_ROUND);
		if ((double)ticks.ticks[STEP_ROUND] / MARKS_TO_GAUGE < best)
			best = (double)ticks.ticks[STEP_ROUND] / MARKS_TO_GAUGE;
	}
	return best;
}

static void
feed(struct run *r)
{
	uint32_t n = r->row->in_flight;

	switch (r->row->direction) {
	case MEASURE_INBOUND:
	case MEASURE_PEER_TO_PEER:
		traffic_from_peers(&r->traffic, n, r->row->direction == MEASURE_PEER_TO_PEER);
		break;
	case MEASURE_OUTBOUND:
		traffic_from_lan(&r->traffic, n);
		break;
	case MEASURE_BOTH:
		traffic_from_peers(&r->traffic, n - n / 2, false);
		traffic_from_lan(&r->traffic, n / 2);
		break;
	}
}

// Rounds until all have gone through.  Returns ticks; 0: some never did.
static uint64_t
run_rounds(struct run *r)
{
	struct worker_thread *t = r->world->gateway->workers[0];
	uint32_t left = r->row->in_flight, empty = 0;
	uint64_t start = __rdtsc();

	r->ticks.last = start;
	while (left > 0) {
		uint32_t n = worker_round(t);

		left -= n < left ? n : left;
		if (n == 0 && ++empty == EMPTY_ROUNDS)
			return 0;
	}
	return __rdtsc() - start;
}

static void
keep_whole(struct run *r, uint64_t ticks, double to_cycles)
{
	samples_add(&r->result->whole, (double)ticks / r->row->in_flight * to_cycles);
}

static void
keep_steps(struct run *r, uint64_t ticks, double to_cycles)
{
	double path = 0, aead = 0, ports = 0, scale = to_cycles / r->row->in_flight;

	for (unsigned i = 0; i < N_PATH_STEPS; i++) {
		double net = (double)r->ticks.ticks[i] - (double)r->ticks.marks[i] * r->mark_ticks;
		double cycles = net > 0 ? net * scale : 0;

		samples_add(&r->result->steps[i], cycles);
		*(is_aead(i) ? &aead : is_port(i) ? &ports : &path) += cycles;
	}
	samples_add(&r->result->marked, (double)ticks * scale);
	samples_add(&r->result->path, path);
	samples_add(&r->result->aead, aead);
	samples_add(&r->result->ports, ports);
}

static void
rekey_some(struct run *r)
{
	uint64_t now_ns = mono_now().ns;
	uint32_t n;

	if (r->row->rekeys_per_s == 0)
		return;
	r->rekeys_due += r->row->rekeys_per_s * (double)(now_ns - r->rekeyed_ns) * 1e-9;
	r->rekeyed_ns = now_ns;
	n = (uint32_t)r->rekeys_due;
	r->rekeys_due -= n;
	world_rekey(r->world, n, r->row->direction != MEASURE_OUTBOUND);
}

static int
say_lost(struct run *r, uint32_t came)
{
	const struct in_memory *m = r->world->gateway;
	char text[256] = "";
	size_t len = 0;

	for (unsigned i = DROP_NONE + 1; i < N_DROP_REASONS && len < sizeof(text); i++) {
		uint64_t n = in_memory_drops(m, i);

		if (n > 0)
			len += (size_t)snprintf(text + len, sizeof(text) - len, " %s: %lu",
				drop_name(i), (unsigned long)n);
	}
	bench_error(text[0] != '\0' ? text + 1 : "none was dropped",
		"this is a mistake in the path or in the bench: please report it",
		"%s: %u of %u packets came out, %lu wrong",
		measure_direction_names[r->row->direction], came, r->row->in_flight,
		(unsigned long)r->traffic.wrong);
	return ERR_PROTOCOL;
}

static int
volley(struct run *r, bool is_marked, bool look_inside, double to_cycles, bool counts)
{
	struct worker *w = &r->world->gateway->workers[0]->w;
	uint64_t ticks;
	uint32_t came;

	rekey_some(r);
	feed(r);
	memset(&r->ticks, 0, sizeof(r->ticks));
	w->ticks = is_marked ? &r->ticks : NULL;
	ticks = run_rounds(r);
	w->ticks = NULL;
	came = traffic_collect(&r->traffic, look_inside);
	if (ticks == 0 || came != r->row->in_flight || r->traffic.wrong > 0)
		return say_lost(r, came);
	if (counts && is_marked)
		keep_steps(r, ticks, to_cycles);
	else if (counts)
		keep_whole(r, ticks, to_cycles);
	return 0;
}

// With NAT: every flow begins before anything is measured.
static int
begin_flows(struct run *r)
{
	uint32_t n = r->row->world.n_flows / r->row->world.n_peers * r->row->world.n_peers;

	while (r->traffic.n_primed < n) {
		uint32_t left = n - r->traffic.n_primed;
		uint32_t now = left < r->row->in_flight ? left : r->row->in_flight, came;

		traffic_prime(&r->traffic, now);
		for (uint32_t rounds = 0; rounds < 16; rounds++)
			worker_round(r->world->gateway->workers[0]);
		came = traffic_collect(&r->traffic, false);
		if (came != now || r->traffic.wrong > 0)
			return say_lost(r, came);
	}
	return 0;
}

// The worker's flow cache has the size that so many flows get it, and most of them are in it.
static int
settle_flows(struct run *r)
{
	uint32_t n_packets = r->row->world.n_flows > FLOW_LOOK ? r->row->world.n_flows : FLOW_LOOK;
	uint32_t n = n_packets / r->row->in_flight;
	int err = 0;

	for (uint32_t looks = 0; looks < FLOW_LOOKS && r->row->world.n_flows > 0; looks++) {
		for (uint32_t i = 0; i < n && err == 0; i++)
			err = volley(r, false, false, 1, false);
		worker_tend(r->world->gateway->workers[0]);
	}
	return err;
}

static int
run_volleys(struct run *r, struct bench_clock *clock, bool (*stop)(void *), void *context)
{
	uint64_t n_warm =
		(uint64_t)r->row->n_active * WARM_UP_PEERS / r->row->in_flight + WARM_UP_MIN;
	double seconds = r->row->seconds;
	uint64_t end_ns;
	int err = begin_flows(r);

	if (err == 0)
		err = settle_flows(r);
	for (uint64_t i = 0; i < n_warm && err == 0; i++)
		err = volley(r, i % 2 == 0, true, 1, false);
	read_clock(r, clock);
	end_ns = mono_now().ns + (uint64_t)(seconds * 1e9);
	for (uint64_t i = 0; err == 0 && mono_now().ns < end_ns && !stop(context); i++) {
		err = volley(r, i % 2 == 0, i % LOOK_INSIDE == 0,
			bench_clock_cycles_per_tick(clock), true);
		if (i % CLOCK_AGAIN == 0)
			read_clock(r, clock);
	}
	return err;
}

static void
keep_counts(struct run *r, const struct bench_clock *clock)
{
	struct measure_result *result = r->result;

	result->sent = r->traffic.sent;
	result->received = r->traffic.received;
	result->wrong = r->traffic.wrong;
	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		result->drops[i] = in_memory_drops(r->world->gateway, i);
	result->rekeys = r->world->n_rekeys;
	result->tables_seconds = r->world->tables_seconds;
	result->load_seconds = r->world->load_seconds;
	result->core_ghz = clock->core_ghz;
	result->mark_cycles = r->mark_ticks * bench_clock_cycles_per_tick(clock);
}

int
measure_run(const struct measure_row *row,
	struct bench_clock *clock,
	bool (*stop)(void *context),
	void *context,
	struct measure_result *ret_result)
{
	struct run r = { .row = row, .result = ret_result };
	int err = popularity_create(
		row->popularity, row->world.n_peers, row->n_active, SEED, &r.popularity);

	memset(ret_result, 0, sizeof(*ret_result));
	if (err == 0)
		err = world_create(&row->world, &r.world);
	if (err < 0) {
		free(r.popularity);
		return err;
	}
	r.traffic = (struct traffic){
		.world = r.world,
		.popularity = r.popularity,
		.sizes = row->sizes,
		.lan_hosts = row->lan_hosts,
		.random = SEED,
	};
	if (row->world.n_flows > 0) {
		r.traffic.outside = calloc(row->world.n_flows, sizeof(*r.traffic.outside));
		if (r.traffic.outside == NULL)
			err = -ENOMEM;
	}
	r.mark_ticks = gauge_marks();
	r.rekeyed_ns = mono_now().ns;
	// It changes by the minute: each row has its own.
	r.keeps_clock = clock->core_ghz == clock->tsc_ghz;
	if (!r.keeps_clock)
		clock->core_ghz = 0;
	read_clock(&r, clock);
	if (err == 0)
		err = run_volleys(&r, clock, stop, context);
	keep_counts(&r, clock);
	world_destroy(r.world);
	free(r.traffic.outside);
	free(r.popularity);
	return err;
}

// --- as JSON -----------------------------------------------------------------------------------

static json_t *
drops_json(const struct measure_result *r)
{
	json_t *drops = json_object();

	for (unsigned i = DROP_NONE + 1; i < N_DROP_REASONS; i++)
		if (r->drops[i] > 0)
			json_object_set_new(
				drops, drop_name(i), json_integer((json_int_t)r->drops[i]));
	return drops;
}

json_t *
measure_json(struct measure_result *r, enum measure_direction direction, bool has_link)
{
	json_t *steps = json_object();

	for (unsigned i = 0; i < N_PATH_STEPS; i++)
		if (measure_has_step(direction, has_link, i))
			json_object_set_new(
				steps, measure_step_names[i], bench_spread(&r->steps[i]));
	return json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:I, s:I, s:I, s:I, s:o, s:I, "
		"s:f, s:f, s:s}",
		"unit", "core cycles per packet", "path", bench_spread(&r->path), "aead",
		bench_spread(&r->aead), "ports", bench_spread(&r->ports), "whole",
		bench_spread(&r->whole), "marked", bench_spread(&r->marked), "steps", steps,
		"mark_cycles", r->mark_cycles, "core_ghz", r->core_ghz, "packets_sent",
		(json_int_t)r->sent, "packets_received", (json_int_t)r->received, "packets_lost",
		(json_int_t)(r->sent - r->received), "packets_wrong", (json_int_t)r->wrong, "drops",
		drops_json(r), "rekeys", (json_int_t)r->rekeys, "tables_s", r->tables_seconds,
		"load_s", r->load_seconds, "aead_backend", aead_backend());
}

json_t *
measure_axes(const struct measure_row *row)
{
	static const char *const lines[] = { "left", "l3", "memory" };

	return json_pack("{s:s, s:s, s:f, s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:s, s:i, s:f, s:b, "
			 "s:b, s:i, s:i, s:b}",
		"direction", measure_direction_names[row->direction], "sizes", row->sizes->text,
		"mean_bytes", row->sizes->mean, "peers", (int)row->world.n_peers, "active_peers",
		(int)row->n_active, "popularity", popularity_names[row->popularity], "prefixes",
		(int)row->world.prefixes, "burst", (int)row->world.burst, "in_flight",
		(int)row->in_flight, "ring", (int)row->world.ring, "lines", lines[row->world.lines],
		"lan_hosts", (int)row->lan_hosts, "rekeys_per_s", row->rekeys_per_s, "shared",
		row->world.is_shared, "small_pages", row->world.small_pages, "filter_rules",
		(int)row->world.n_rules, "nat_flows", (int)row->world.n_flows, "no_flow_cache",
		row->world.no_flow_cache);
}
