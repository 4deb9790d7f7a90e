/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "bench/harness/run.h"
#include "bench/tunnel/apart.h"
#include "bench/tunnel/control.h"
#include "bench/tunnel/inner_udp.h"
#include "bench/tunnel/receive.h"
#include "bench/tunnel/transmit.h"
#include "bench/tunnel/wire_json.h"
#include "lib/crypto/key.h"

#define SOURCE_PORT 30000
#define LEAD_NS     (300 * NS_PER_MS) /* hellos go out in that time */
#define REPEATS     6
#define REPEAT_NS   (40 * NS_PER_MS)
#define WAIT_S      5.0
#define AWAIT_S     15.0
#define TICK_NS     (50 * NS_PER_MS)

struct sending {
	const struct end_options *o;
	const struct trial_request *request;
	struct tunnel_end *tunnel;
	struct clear_end *clear;
	struct transmit tx;
	struct receive rx;      // keeps the sessions alive
	uint64_t hello_counter; // hellos leave before what is sealed ahead of them
	double cpu_before_s;
};

static bool
is_stopped(void *context)
{
	const struct device_socket_config *c = &((struct sending *)context)->o->config;

	return c->is_stopped != NULL && c->is_stopped(c->context);
}

static void
nap(int64_t ns)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static int
open_end(struct sending *s)
{
	const struct device_socket_config *c = &s->o->config;
	const struct clear_config clear = {
		.netns = c->clear_netns,
		.local = c->clear,
		.sends = true,
		.to = s->o->far,
		.n_to = s->tx.n_peers,
		.n_lanes = 1,
		.has_no_offload = c->has_no_offload,
		.interface = c->clear_interface,
	};

	if (s->o->has_tunnel) {
		s->tunnel = tunnel_end_open(&c->tunnel);
		return s->tunnel != NULL ? 0 : -1;
	}
	s->clear = clear_end_open(&clear);
	return s->clear != NULL ? 0 : -1;
}

static struct flow_plan
plan_of(const struct sending *s)
{
	const struct device_socket_config *c = &s->o->config;
	struct flow_plan plan = {
		.n_flows = s->request->n_flows,
		.source = s->o->has_tunnel ? c->tunnel.inner : c->clear,
		.destination = s->o->far.addr,
		.n_sources = s->o->has_tunnel ? s->tx.n_peers : 1,
		.n_destinations = s->o->has_tunnel ? 1 : s->tx.n_peers,
		.source_port = SOURCE_PORT,
		.destination_port = s->o->far.port,
		.packet_ns = s->request->rate_pps > 0 ? 1e9 / s->request->rate_pps : 0,
	};

	random_bytes(&plan.run, sizeof(plan.run));
	return plan;
}

/* ---- hello and goodbye ---- */

static void
send_payload(struct sending *s, const uint8_t *payload, size_t len, const uint64_t *counter)
{
	uint8_t message[CONTROL_MAX_LEN + INNER_UDP_ROOM + TUNNEL_ROOM];
	struct tunnel_packet packet = { .message = message, .has_counter = counter != NULL };
	int err;

	if (s->clear != NULL) {
		err = line_send_one(
			clear_end_tx(s->clear, 0), payload, len, clear_end_to(s->clear, 0));
	} else {
		packet.counter = counter != NULL ? *counter : 0;
		packet.inner_len = (uint32_t)inner_udp_write(message + WG_TRANSPORT_HEADER_LEN,
			&s->tx.plan[TRIAL_INBOUND], payload, len);
		tunnel_end_seal(s->tunnel, &packet, 1);
		err = line_send_one(tunnel_end_line(s->tunnel), message, packet.message_len, NULL);
	}
	(void)err; // one of several
}

static struct control
control_of(const struct sending *s, unsigned way, enum control_kind kind)
{
	struct control c = {
		.kind = kind,
		.way = (uint8_t)way,
		.run = s->tx.plan[way].run,
		.n_flows = s->tx.plan[way].n_flows,
		.packet_ns = s->tx.plan[way].packet_ns,
		.seconds = kind == CONTROL_HELLO ? s->request->seconds : s->tx.took_s,
		.planned = (uint64_t)(s->request->rate_pps * s->request->seconds),
		.start_ns = s->tx.start.ns,
		.late = s->tx.pace.late,
	};

	control_clock(c.clock);
	return c;
}

static void
say_hello(struct sending *s, unsigned way)
{
	uint8_t payload[CONTROL_MAX_LEN];
	struct control c = control_of(s, way, CONTROL_HELLO);
	size_t len = control_write(payload, &c);
	uint64_t counter = s->hello_counter;

	for (unsigned i = 0; i < REPEATS; i++) {
		send_payload(s, payload, len, &counter);
		counter++;
		nap(REPEAT_NS);
	}
}

static int
say_goodbye(struct sending *s, unsigned way)
{
	uint64_t sent[FLOW_MAX];
	uint8_t payload[CONTROL_MAX_LEN];
	struct control c = control_of(s, way, CONTROL_GOODBYE);

	transmit_flows(&s->tx, way, sent);
	for (unsigned i = 0; i < REPEATS; i++) {
		nap(REPEAT_NS); // the first one too: what is under way comes before it
		for (uint32_t f = 0; f < c.n_flows; f += CONTROL_FLOWS) {
			c.first_flow = f;
			c.count = c.n_flows - f < CONTROL_FLOWS ? c.n_flows - f : CONTROL_FLOWS;
			memcpy(c.sent, sent + f, c.count * sizeof(*sent));
			send_payload(s, payload, control_write(payload, &c), NULL);
		}
	}
	return 0;
}

/* ---- the trial ---- */

static void
show(const struct sending *s, const char *phase, double seconds_left)
{
	const struct device_socket_config *c = &s->o->config;
	struct device_socket_progress now = { .phase = phase, .seconds_left = seconds_left };

	for (unsigned way = 0; way < 2; way++)
		now.sent += atomic_load_explicit(&s->tx.sent[way], memory_order_relaxed);
	now.received = now.sent; // nobody here knows
	if (c->progress != NULL)
		c->progress(c->context, &now);
}

static int
prepare(struct sending *s)
{
	const struct device_socket_config *c = &s->o->config;
	unsigned way = s->request->direction;
	int err = open_end(s);

	if (err < 0)
		return err;
	s->tx.tunnel = s->rx.tunnel = s->tunnel;
	s->tx.clear = s->clear;
	s->tx.plan[way] = plan_of(s);
	if (s->tunnel != NULL) {
		show(s, "shaking hands", 0);
		err = tunnel_end_establish(s->tunnel, TRANSMIT_YOUNG_NS,
			c->tunnel.waits ? AWAIT_S : WAIT_S, is_stopped, s);
	}
	if (err < 0)
		return err;
	if (s->tunnel != NULL)
		s->hello_counter = tunnel_end_reserve(s->tunnel, 0, REPEATS);
	if (s->request->encrypt_ahead) {
		show(s, "encrypting ahead", 0);
		s->tx.ahead_bytes = transmit_ahead_room(c->ahead_bytes);
		if (s->tunnel != NULL)
			tunnel_end_hold(s->tunnel, true);
	}
	return transmit_prepare(&s->tx, is_stopped, s);
}

static int
run_threads(struct sending *s)
{
	pthread_t tx, rx;
	int err = -pthread_create(&rx, NULL, receive_run, &s->rx);

	if (err < 0)
		goto say;
	err = -pthread_create(&tx, NULL, transmit_run, &s->tx);
	while (err == 0 && !atomic_load_explicit(&s->tx.is_done, memory_order_acquire)) {
		nap(TICK_NS);
		show(s, "sending",
			s->request->seconds - (double)mono_diff_ns(mono_now(), s->tx.start) / 1e9);
		if (is_stopped(s))
			atomic_store(&s->tx.stop, true);
	}
	if (err == 0) {
		pthread_join(tx, NULL);
		err = say_goodbye(s, s->request->direction);
	}
	atomic_store(&s->rx.stop, true);
	pthread_join(rx, NULL);
	if (err == 0)
		return 0;
say:
	bench_error(strerror(-err), "end other programs", "no thread can be made");
	return err;
}

static void
conclude(const struct sending *s, struct trial_result *ret)
{
	unsigned way = s->request->direction;

	*ret = (struct trial_result){ .seconds = s->tx.took_s,
		.generator_late = s->tx.pace.late,
		.generator_cpu_s = transmit_cpu_s() - s->cpu_before_s };
	ret->sum.sent = ret->way[way].sent = atomic_load(&s->tx.sent[way]);
	if (ret->seconds > 0)
		ret->offered_pps = (double)ret->sum.sent / ret->seconds;
	ret->generator_limited = transmit_is_limited(&s->tx, ret->offered_pps);
}

int
apart_send(const struct end_options *o,
	const struct trial_request *request,
	struct trial_result *ret_result,
	json_t **ret_wire)
{
	struct sending s = {
		.o = o,
		.request = request,
		.tx = {
			.direction = request->direction,
			.n_peers = o->config.tunnel.n_peers > 0 ? o->config.tunnel.n_peers : 1,
			.sizes = request->sizes,
			.rate_pps = request->rate_pps,
			.seconds = request->seconds,
			.is_spinning = transmit_may_spin(),
			.core = o->config.send_core,
		},
		.rx = { .core = o->config.receive_core },
	};
	int err;

	*ret_result = (struct trial_result){};
	*ret_wire = NULL;
	err = prepare(&s);
	if (err == 0) {
		s.tx.start = mono_add_ns(mono_now(), LEAD_NS);
		say_hello(&s, request->direction);
		s.cpu_before_s = transmit_cpu_s();
		err = run_threads(&s);
	}
	if (err == 0) {
		conclude(&s, ret_result);
		*ret_wire = wire_json(s.tunnel, s.clear);
	}
	if (err == -EINTR)
		err = 0;
	transmit_fini(&s.tx);
	tunnel_end_close(s.tunnel);
	clear_end_close(s.clear);
	return err;
}
