/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/device_socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/harness/run.h"
#include "bench/tunnel/clear_end.h"
#include "bench/tunnel/receive.h"
#include "bench/tunnel/transmit.h"
#include "bench/tunnel/wire_json.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/key.h"

#define PORT        20000
#define SOURCE_PORT 30000
#define WAIT_S      5.0
#define AWAIT_S     15.0 /* the device repeats its initiations every 5 s */
#define WAITED_NS                                                                       \
	(110 * NS_PER_S) /* where the device begins handshakes, it renews them at 120 s \
	                  */
#define LEAD_NS        (20 * NS_PER_MS) /* from making the threads to the first packet */
#define TICK_MS        50
#define SILENCE_NS     (100 * NS_PER_MS) /* all came, and nothing for so long: no more will */
#define SILENT_S       0.5               /* at the end, and so many packets: it is no chance */
#define SILENT_PACKETS 20
#define LANES          4
#define UNPACED_PPS    5e6 /* of books, where no rate is asked for */

struct device_socket {
	struct device device; // first
	struct device_socket_config config;
	struct tunnel_end *tunnel;
	struct clear_end *clear;
};

struct trial { /* one that runs */
	struct device_socket *d;
	const struct trial_request *request;
	struct transmit tx;
	struct receive rx;
	struct line_counters tunnel_before, clear_before;
	double cpu_before_s;
};

/* ---- both ends ---- */

static bool
is_stopped(struct device_socket *d)
{
	return d->config.is_stopped != NULL && d->config.is_stopped(d->config.context);
}

static bool
ask_stopped(void *context)
{
	return is_stopped(context);
}

static void
show(struct device_socket *d, const struct device_socket_progress *now)
{
	if (d->config.progress != NULL)
		d->config.progress(d->config.context, now);
}

static void
show_phase(struct device_socket *d, const char *phase)
{
	show(d, &(struct device_socket_progress){ .phase = phase });
}

static void
give_up(struct device_socket *d)
{
	tunnel_end_close(d->tunnel);
	clear_end_close(d->clear);
	secret_wipe(&d->config, sizeof(d->config));
	free(d);
}

static void
device_socket_destroy(struct device *device)
{
	if (device != NULL)
		give_up((struct device_socket *)device);
}

static int run_trial(struct device *device,
	const struct trial_request *request,
	struct trial_result *ret_result);

struct device *
device_socket_create(const struct device_socket_config *config)
{
	struct device_socket *d = calloc(1, sizeof(*d));
	struct clear_config clear;

	if (d == NULL) {
		bench_error("not enough memory", "end other programs", "no trial can be made");
		return NULL;
	}
	d->device = (struct device){
		.name = "socket", .tier = "T3", .run = run_trial, .destroy = device_socket_destroy
	};
	d->config = *config;
	if (d->config.port == 0)
		d->config.port = PORT;
	if (d->config.wait_s <= 0)
		d->config.wait_s = config->tunnel.waits ? AWAIT_S : WAIT_S;
	clear = (struct clear_config){
		.netns = config->clear_netns,
		.local = config->clear,
		.port = d->config.port,
		.receives = true,
		.sends = true,
		.to = { .addr = config->tunnel.inner, .port = d->config.port },
		.n_to = config->tunnel.n_peers,
		.n_lanes = LANES,
		.has_no_offload = config->has_no_offload,
		.interface = config->clear_interface,
	};
	d->tunnel = tunnel_end_open(&config->tunnel);
	d->clear = d->tunnel != NULL ? clear_end_open(&clear) : NULL;
	if (d->clear == NULL) {
		give_up(d);
		return NULL;
	}
	return &d->device;
}

json_t *
device_socket_wire(const struct device *device)
{
	const struct device_socket *d = (const struct device_socket *)device;

	return wire_json(d->tunnel, d->clear);
}

/* ---- a trial ---- */

static void
set_plans(struct trial *t)
{
	const struct device_socket_config *c = &t->d->config;
	double packet_ns = t->request->rate_pps > 0 ? 1e9 / t->request->rate_pps : 0;
	uint32_t run;

	if (t->request->direction == TRIAL_BOTH)
		packet_ns *= 2; // of one way
	random_bytes(&run, sizeof(run));
	t->tx.plan[TRIAL_INBOUND] = (struct flow_plan){ .run = run,
		.n_flows = t->request->n_flows,
		.source = c->tunnel.inner,
		.destination = c->clear,
		.n_sources = c->tunnel.n_peers,
		.source_port = SOURCE_PORT,
		.destination_port = c->port,
		.packet_ns = packet_ns };
	t->tx.plan[TRIAL_OUTBOUND] = (struct flow_plan){ .run = run + 1,
		.n_flows = t->request->n_flows,
		.source = c->clear,
		.destination = c->tunnel.inner,
		.n_destinations = c->tunnel.n_peers,
		.source_port = SOURCE_PORT,
		.destination_port = c->port,
		.packet_ns = packet_ns };
}

static int
make_tallies(struct trial *t)
{
	const struct trial_request *r = t->request;
	double rate_pps = r->rate_pps > 0 ? r->rate_pps : UNPACED_PPS;
	uint64_t each = (uint64_t)(rate_pps * r->seconds / r->n_flows) + 1;
	int err = 0;

	for (unsigned way = 0; way < 2 && err == 0; way++)
		err = tally_create(&t->tx.plan[way], each, &t->rx.tally[way]);
	if (err < 0)
		bench_error("not enough memory", "ask for fewer --flows or --seconds",
			"no books can be kept of this trial");
	return err;
}

static int
prepare(struct trial *t)
{
	struct device_socket *d = t->d;
	const struct trial_request *r = t->request;
	int64_t age_ns = d->config.tunnel.waits ? WAITED_NS : TRANSMIT_YOUNG_NS;
	int err;

	t->tx = (struct transmit){
		.tunnel = d->tunnel,
		.clear = d->clear,
		.direction = r->direction,
		.n_peers = d->config.tunnel.n_peers,
		.sizes = r->sizes,
		.rate_pps = r->rate_pps,
		.seconds = r->seconds,
		.ahead_bytes = r->encrypt_ahead ? transmit_ahead_room(d->config.ahead_bytes) : 0,
		.is_spinning = transmit_may_spin(),
		.core = d->config.send_core,
	};
	t->rx = (struct receive){
		.tunnel = d->tunnel,
		.clear = d->clear,
		.core = d->config.receive_core,
	};
	set_plans(t);
	show_phase(d, "shaking hands");
	err = tunnel_end_establish(d->tunnel, age_ns, d->config.wait_s, ask_stopped, d);
	if (err == 0)
		err = make_tallies(t);
	if (err < 0)
		return err;
	tunnel_end_hold(d->tunnel, r->encrypt_ahead);
	if (r->encrypt_ahead)
		show_phase(d, "encrypting ahead");
	return transmit_prepare(&t->tx, ask_stopped, d);
}

static uint64_t
sum2(const _Atomic uint64_t *ways)
{
	return atomic_load_explicit(&ways[0], memory_order_relaxed) +
	       atomic_load_explicit(&ways[1], memory_order_relaxed);
}

static void
show_trial(struct trial *t, const char *phase)
{
	double now_s = (double)mono_diff_ns(mono_now(), t->rx.start) / 1e9;

	show(t->d, &(struct device_socket_progress){
			   .phase = phase,
			   .seconds_left =
				   now_s < t->request->seconds ? t->request->seconds - now_s : 0,
			   .sent = sum2(t->tx.sent),
			   .received = sum2(t->rx.received),
		   });
}

static void
nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = TICK_MS * NS_PER_MS }, NULL);
}

static void
watch_sending(struct trial *t)
{
	while (!atomic_load_explicit(&t->tx.is_done, memory_order_acquire)) {
		nap();
		show_trial(t, "sending");
		if (is_stopped(t->d))
			atomic_store(&t->tx.stop, true);
	}
}

// What is still under way, and no longer than that.
static void
drain(struct trial *t)
{
	struct mono end = mono_add_ns(
		mono_now(), (int64_t)((t->request->drain_seconds + TICK_MS / 1e3) * 1e9));

	while (mono_diff_ns(end, mono_now()) > 0) {
		int64_t now_ns = mono_diff_ns(mono_now(), t->rx.start);
		int64_t last_ns = (int64_t)atomic_load(&t->rx.last_ns);

		if (sum2(t->rx.received) >= sum2(t->tx.sent) && now_ns - last_ns > SILENCE_NS)
			return;
		show_trial(t, "draining");
		nap();
	}
}

static int
run_threads(struct trial *t)
{
	pthread_t tx, rx;
	int err;

	t->tx.start = t->rx.start = mono_add_ns(mono_now(), LEAD_NS);
	err = -pthread_create(&rx, NULL, receive_run, &t->rx);
	if (err < 0)
		goto say;
	err = -pthread_create(&tx, NULL, transmit_run, &t->tx);
	if (err == 0) {
		watch_sending(t);
		pthread_join(tx, NULL);
		tunnel_end_hold(t->d->tunnel, false);
		drain(t);
	}
	atomic_store(&t->rx.stop, true);
	pthread_join(rx, NULL);
	if (err == 0)
		return 0;
say:
	bench_error(strerror(-err), "end other programs", "no thread can be made");
	return err;
}

/* ---- what came out ---- */

static int
finish_books(struct trial *t, struct trial_result *ret)
{
	uint64_t *sent = calloc(t->request->n_flows, sizeof(*sent));

	if (sent == NULL)
		return -ENOMEM;
	for (unsigned way = 0; way < 2; way++) {
		transmit_flows(&t->tx, way, sent);
		tally_finish(t->rx.tally[way], sent, &ret->way[way]);
		tally_sum_add(&ret->sum, &ret->way[way]);
		latency_merge(&ret->latency, tally_latency(t->rx.tally[way]));
	}
	free(sent);
	return 0;
}

static uint64_t
socket_dropped(const struct trial *t)
{
	struct line_counters tunnel, clear;

	line_counters(tunnel_end_line(t->d->tunnel), &tunnel);
	clear_end_counters(t->d->clear, &clear);
	return tunnel.dropped - t->tunnel_before.dropped + clear.dropped - t->clear_before.dropped;
}

/*
 * A trial in which nothing came, or nothing any more, is a result like any other; but a person
 * wants to know it from a device at its limit.
 */
static void
say_silence(const struct trial *t, const struct trial_result *result)
{
	double silent_s = result->seconds - (double)atomic_load(&t->rx.last_ns) / 1e9;
	char device[ADDR_TEXT_LEN], why[160] = "nothing says why";
	struct line_counters line;

	line_counters(tunnel_end_line(t->d->tunnel), &line);
	if (line.refused > t->tunnel_before.refused)
		snprintf(why, sizeof(why), "the network says: %s", err_str(-line.last_refusal));
	endpoint_format(&t->d->config.tunnel.device, device);
	if (result->sum.sent == 0)
		return;
	if (sum2(t->rx.received) == 0)
		bench_error(why,
			"see that the device's allowed IPs for this peer contain --inner, and that "
			"it routes --clear",
			"the device at %s shakes hands, but lets nothing through", device);
	else if (silent_s > SILENT_S && result->offered_pps * silent_s > SILENT_PACKETS)
		bench_error(why, "see whether it still runs; what was sent since counts as lost",
			"the device at %s no longer answers: nothing came in the last %.1f s",
			device, silent_s);
}

static int
conclude(struct trial *t, struct trial_result *ret)
{
	int err;

	*ret = (struct trial_result){
		.seconds = t->tx.took_s,
		.generator_late = t->tx.pace.late,
		.socket_dropped = socket_dropped(t),
		.generator_cpu_s = transmit_cpu_s() - t->cpu_before_s,
	};
	err = finish_books(t, ret);
	if (err < 0 || ret->seconds <= 0)
		return err;
	ret->offered_pps = (double)ret->sum.sent / ret->seconds;
	ret->delivered_pps = (double)ret->sum.received / ret->seconds;
	// Asked for as much as possible, and all of it came: the device was not at its limit.
	ret->generator_limited = transmit_is_limited(&t->tx, ret->offered_pps) ||
	                         (t->request->rate_pps <= 0 && ret->sum.lost == 0);
	say_silence(t, ret);
	return 0;
}

static int
run_trial(struct device *device,
	const struct trial_request *request,
	struct trial_result *ret_result)
{
	struct trial t = { .d = (struct device_socket *)device, .request = request };
	int err;

	*ret_result = (struct trial_result){};
	err = prepare(&t);
	if (err == 0) {
		line_counters(tunnel_end_line(t.d->tunnel), &t.tunnel_before);
		clear_end_counters(t.d->clear, &t.clear_before);
		t.cpu_before_s = transmit_cpu_s();
		err = run_threads(&t);
	}
	if (err == 0)
		err = conclude(&t, ret_result);
	if (err == -EINTR) // stopped before the first packet: nothing was sent, nothing came
		err = 0;
	tunnel_end_hold(t.d->tunnel, false);
	transmit_fini(&t.tx);
	tally_destroy(t.rx.tally[0]);
	tally_destroy(t.rx.tally[1]);
	return err;
}
