/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness/run.h"
#include "bench/tunnel/apart.h"
#include "bench/tunnel/control.h"
#include "bench/tunnel/receive.h"
#include "bench/tunnel/transmit.h"
#include "bench/tunnel/wire_json.h"

#define WAIT_S      5.0
#define AWAIT_S     15.0
#define WAIT_MS     20
#define STRAY_NS    (500 * NS_PER_MS) /* after the goodbye: what was overtaken by it */
#define UNPACED_PPS 5e6
#define SHOW_NS     (100 * NS_PER_MS)
#define MOST_BOOKED UINT64_C(1000000000000) /* numbers: more than anybody announces in earnest */

struct receiving {
	const struct end_options *o;
	struct tunnel_end *tunnel;
	struct clear_end *clear;
	struct receive rx;
	struct control hello;
	bool has_begun, has_failed;
	uint64_t *sent; // per flow, as goodbyes tell
	bool *told;
	uint32_t n_told;
	double took_s;
	uint64_t late;
	struct mono heard, shown;
	double cpu_before_s;
};

static bool
is_stopped(void *context)
{
	const struct device_socket_config *c = &((struct receiving *)context)->o->config;

	return c->is_stopped != NULL && c->is_stopped(c->context);
}

static void
show(struct receiving *r, const char *phase)
{
	const struct device_socket_config *c = &r->o->config;
	struct device_socket_progress now = { .phase = phase };
	struct mono time = mono_now();

	if (c->progress == NULL || mono_diff_ns(time, r->shown) < SHOW_NS)
		return;
	r->shown = time;
	now.received = atomic_load(&r->rx.received[0]) + atomic_load(&r->rx.received[1]);
	now.sent = now.received;
	if (r->has_begun)
		now.seconds_left = r->hello.seconds - (double)mono_diff_ns(time, r->rx.start) / 1e9;
	c->progress(c->context, &now);
}

/* ---- what the sender tells ---- */

static uint64_t
expect_per_flow(const struct control *hello)
{
	double most = hello->planned > 0 ? (double)hello->planned : UNPACED_PPS * hello->seconds;

	return (uint64_t)(most / hello->n_flows) + 1;
}

static int
begin_books(struct receiving *r, const struct control *hello)
{
	struct flow_plan plan = {
		.run = hello->run,
		.n_flows = hello->n_flows,
		.source = r->o->has_tunnel ? r->o->config.tunnel.inner : r->o->config.clear,
		.packet_ns = hello->packet_ns,
	};

	// Only the family counts for a reader; both ends have the same.
	plan.destination = plan.source;
	if (expect_per_flow(hello) > MOST_BOOKED / hello->n_flows)
		return -ENOMEM;
	r->sent = calloc(hello->n_flows, sizeof(*r->sent));
	r->told = calloc(hello->n_flows, sizeof(*r->told));
	if (r->sent == NULL || r->told == NULL)
		return -ENOMEM;
	return tally_create(&plan, expect_per_flow(hello), &r->rx.tally[hello->way]);
}

static void
on_hello(struct receiving *r, const struct control *hello)
{
	if (r->has_begun)
		return;
	if (begin_books(r, hello) < 0) {
		bench_error("not enough memory", "let the generator have fewer flows or seconds",
			"no books can be kept of this trial");
		r->has_failed = true;
		return;
	}
	r->hello = *hello;
	r->rx.start = (struct mono){ hello->start_ns };
	r->has_begun = true;
	r->cpu_before_s = transmit_cpu_s();
}

static void
on_goodbye(struct receiving *r, const struct control *c)
{
	if (!r->has_begun || c->run != r->hello.run || c->n_flows != r->hello.n_flows)
		return;
	r->took_s = c->seconds;
	r->late = c->late;
	for (uint32_t i = 0; i < c->count; i++) {
		r->n_told += !r->told[c->first_flow + i];
		r->told[c->first_flow + i] = true;
		r->sent[c->first_flow + i] = c->sent[i];
	}
}

static bool
on_payload(void *context, const uint8_t *payload, size_t len)
{
	struct receiving *r = context;
	struct control c;

	r->heard = mono_now();
	if (!control_read(payload, len, &c))
		return false;
	// Of the way that we receive; hellos of a generator that sends to itself are none of ours.
	if (c.way != (r->o->has_tunnel ? TRIAL_OUTBOUND : TRIAL_INBOUND))
		return true;
	if (c.kind == CONTROL_HELLO)
		on_hello(r, &c);
	else
		on_goodbye(r, &c);
	return true;
}

/* ---- the trial ---- */

static int
open_end(struct receiving *r)
{
	const struct device_socket_config *c = &r->o->config;
	const struct clear_config clear = {
		.netns = c->clear_netns,
		.local = c->clear,
		.port = c->port,
		.receives = true,
		.has_no_offload = c->has_no_offload,
		.interface = c->clear_interface,
	};

	if (!r->o->has_tunnel) {
		r->clear = clear_end_open(&clear);
		return r->clear != NULL ? 0 : -1;
	}
	r->tunnel = tunnel_end_open(&c->tunnel);
	if (r->tunnel == NULL)
		return -1;
	return tunnel_end_establish(
		r->tunnel, TRANSMIT_YOUNG_NS, c->tunnel.waits ? AWAIT_S : WAIT_S, is_stopped, r);
}

static bool
is_told(const struct receiving *r)
{
	return r->has_begun && r->n_told == r->hello.n_flows;
}

static void
receive_all(struct receiving *r, double idle_s)
{
	struct mono told = {};

	r->heard = mono_now();
	while (!is_stopped(r) && !r->has_failed) {
		struct mono now;

		receive_round(&r->rx, WAIT_MS);
		show(r, r->has_begun ? "receiving" : "waiting for a generator");
		now = mono_now();
		if (idle_s > 0 && (double)mono_diff_ns(now, r->heard) > idle_s * 1e9)
			break;
		if (is_told(r) && mono_is_never(told))
			told = now;
		if (!mono_is_never(told) && mono_diff_ns(now, told) > STRAY_NS)
			break;
	}
}

// Without a goodbye: what was announced, shared out as a generator does.
static void
assume_sent(struct receiving *r)
{
	uint64_t n = r->hello.planned;

	for (uint32_t f = 0; f < r->hello.n_flows; f++) {
		if (!r->told[f])
			r->sent[f] = n / r->hello.n_flows + (f < n % r->hello.n_flows);
	}
	if (r->took_s <= 0)
		r->took_s = r->hello.seconds;
}

static void
conclude(struct receiving *r, struct apart_received *ret)
{
	unsigned way = r->hello.way;
	struct tally *tally = r->rx.tally[way];
	struct line_counters line;
	uint8_t clock[CONTROL_CLOCK_LEN];

	*ret = (struct apart_received){ .direction = (enum trial_direction)way,
		.n_flows = r->hello.n_flows,
		.was_told = is_told(r) };
	if (!ret->was_told)
		assume_sent(r);
	tally_finish(tally, r->sent, &ret->result.way[way]);
	ret->result.sum = ret->result.way[way];
	ret->wire = wire_json(r->tunnel, r->clear);
	control_clock(clock);
	ret->has_latency = memcmp(clock, r->hello.clock, sizeof(clock)) == 0;
	if (ret->has_latency)
		latency_merge(&ret->result.latency, tally_latency(tally));
	if (r->tunnel != NULL)
		line_counters(tunnel_end_line(r->tunnel), &line);
	else
		clear_end_counters(r->clear, &line);
	ret->result.socket_dropped = line.dropped;
	ret->result.generator_late = r->late;
	ret->result.generator_cpu_s = transmit_cpu_s() - r->cpu_before_s;
	ret->result.seconds = r->took_s;
	if (r->took_s > 0) {
		ret->result.offered_pps = (double)ret->result.sum.sent / r->took_s;
		ret->result.delivered_pps = (double)ret->result.sum.received / r->took_s;
	}
}

int
apart_receive(const struct end_options *o, double idle_s, struct apart_received *ret)
{
	struct receiving r = { .o = o };
	int err = open_end(&r);

	r.rx = (struct receive){ .tunnel = r.tunnel,
		.clear = r.clear,
		.start = mono_now(),
		.control = on_payload,
		.context = &r };
	transmit_pin(o->config.receive_core);
	if (err == 0) {
		receive_all(&r, idle_s);
		err = r.has_failed ? -ENOMEM : r.has_begun ? 0 : -ENODATA;
	}
	if (err == 0)
		conclude(&r, ret);
	else if (err == -ENODATA)
		bench_error("no generator said hello",
			"start the sink before the generator; see that the device lets through "
			"what "
			"goes to this address and port",
			"nothing came");
	free(r.sent);
	free(r.told);
	tally_destroy(r.rx.tally[0]);
	tally_destroy(r.rx.tally[1]);
	tunnel_end_close(r.tunnel);
	clear_end_close(r.clear);
	return err;
}
