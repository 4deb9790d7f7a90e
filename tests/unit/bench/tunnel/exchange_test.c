/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two tunnel ends of ours against each other over loopback, with a line between that loses, copies,
 * delays and damages sealed datagrams: the receiver's books say exactly what was done to them.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/traffic/impair.h"
#include "bench/trial/trial.h"
#include "bench/tunnel/line_socket.h"
#include "bench/tunnel/receive.h"
#include "bench/tunnel/transmit.h"
#include "lib/crypto/aead.h"
#include "tests/lib/tap.h"

#define FLOWS 3

/* ---- a line that is bad once it is armed ---- */

struct bad_line {
	struct line line; // first
	struct line *good;
	struct impair *impair;
	bool is_armed;
	uint64_t n;
	uint32_t n_flows;
};

static int
bad_send(struct line *l, const struct line_packet *packets, size_t n)
{
	struct bad_line *b = (struct bad_line *)l;

	if (!b->is_armed)
		return line_send(b->good, packets, n);
	// Packet i is of flow i mod n_flows: what a generator does.
	for (size_t i = 0; i < n; i++)
		impair_packet(b->impair, (uint32_t)(b->n++ % b->n_flows), packets[i].data,
			packets[i].len);
	return (int)n;
}

static void
emit(void *context, uint32_t flow, const uint8_t *packet, size_t len)
{
	struct bad_line *b = context;

	(void)flow;
	(void)!line_send_one(b->good, packet, len, NULL);
}

static int
bad_send_one(struct line *l, const uint8_t *data, size_t len, const struct endpoint *to)
{
	return line_send_one(((struct bad_line *)l)->good, data, len, to);
}

static int
bad_receive(struct line *l, const struct line_packet **ret)
{
	return line_receive(((struct bad_line *)l)->good, ret);
}

static void
bad_counters(const struct line *l, struct line_counters *ret)
{
	line_counters(((const struct bad_line *)l)->good, ret);
}

static void
bad_close(struct line *l)
{
	line_close(((struct bad_line *)l)->good);
}

static const struct line_kind bad_kind = {
	.name = "bad",
	.send = bad_send,
	.send_one = bad_send_one,
	.receive = bad_receive,
	.counters = bad_counters,
	.close = bad_close,
};

/* ---- two ends ---- */

struct world {
	struct bad_line bad;
	struct line *lines[2];
	struct tunnel_end *near, *far;
	struct flow_plan plan;
	struct sizes sizes;
	struct receive rx;
	pthread_t thread;
};

// A free port: the socket that found it is closed again.
static struct endpoint
free_port(void)
{
	struct line_socket_config config = {};
	struct endpoint e = {};
	struct line *line;
	enum line_step step;

	(void)!addr_parse("127.0.0.1", &config.local.addr);
	if (line_socket_open(&config, &line, &step) == 0) {
		e = line_socket_local(line);
		line_close(line);
	}
	return e;
}

static bool
open_lines(struct world *w)
{
	struct endpoint near = free_port(), far = free_port();
	struct line_socket_config a = { .local = near, .remote = far };
	struct line_socket_config b = { .local = far, .remote = near };
	enum line_step step;

	if (line_socket_open(&a, &w->lines[0], &step) < 0 ||
		line_socket_open(&b, &w->lines[1], &step) < 0)
		return false;
	w->bad = (struct bad_line){ .line = { .kind = &bad_kind, .fd = w->lines[0]->fd },
		.good = w->lines[0],
		.n_flows = FLOWS };
	return true;
}

static bool
open_ends(struct world *w, bool has_psk)
{
	struct tunnel_config near = { .n_peers = 1, .mtu = 1420, .line = &w->bad.line };
	struct tunnel_config far = {
		.n_peers = 1, .mtu = 1420, .line = w->lines[1], .waits = true
	};

	key_generate(&near.key);
	key_generate(&far.key);
	key_public(&near.device_key, &far.key);
	key_public(&far.device_key, &near.key);
	near.has_preshared_key = far.has_preshared_key = has_psk;
	key_generate(&near.preshared_key);
	far.preshared_key = near.preshared_key;
	w->near = tunnel_end_open(&near);
	w->far = tunnel_end_open(&far);
	return w->near != NULL && w->far != NULL;
}

// The far end receives all the while, also the handshake.
static bool
begin(struct world *w, uint64_t packets, const char *sizes)
{
	const char *why;

	w->plan = (struct flow_plan){
		.run = 77, .n_flows = FLOWS, .source_port = 30000, .destination_port = 9
	};
	(void)!addr_parse("10.0.0.1", &w->plan.source);
	(void)!addr_parse("10.0.0.2", &w->plan.destination);
	w->rx = (struct receive){ .tunnel = w->far, .start = mono_now(), .core = -1 };
	return sizes_parse(sizes, 1420, FLOW_MIN_LEN4, &w->sizes, &why) == 0 &&
	       tally_create(&w->plan, packets, &w->rx.tally[TRIAL_OUTBOUND]) == 0 &&
	       pthread_create(&w->thread, NULL, receive_run, &w->rx) == 0 &&
	       tunnel_end_establish(w->near, 60 * NS_PER_S, 5, NULL, NULL) == 0;
}

static void
wait_for_silence(struct world *w)
{
	uint64_t before;

	do {
		before = atomic_load(&w->rx.received[TRIAL_OUTBOUND]);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 150 * NS_PER_MS }, NULL);
	} while (before != atomic_load(&w->rx.received[TRIAL_OUTBOUND]));
}

static struct tally_sum
run(struct world *w, double rate_pps, double seconds, bool is_ahead)
{
	struct transmit tx = {
		.tunnel = w->near,
		.direction = TRIAL_INBOUND,
		.plan = { w->plan },
		.n_peers = 1,
		.sizes = &w->sizes,
		.rate_pps = rate_pps,
		.seconds = seconds,
		.ahead_bytes = is_ahead ? 64 << 20 : 0,
		.core = -1,
	};
	uint64_t sent[FLOWS];
	struct tally_sum sum;

	tap_int(transmit_prepare(&tx, NULL, NULL), 0, "packets are prepared");
	tx.start = mono_now();
	w->bad.is_armed = w->bad.impair != NULL;
	transmit_run(&tx);
	if (w->bad.impair != NULL)
		impair_flush(w->bad.impair);
	w->bad.is_armed = false;
	wait_for_silence(w);
	atomic_store(&w->rx.stop, true);
	pthread_join(w->thread, NULL);
	transmit_flows(&tx, 0, sent);
	tally_finish(w->rx.tally[TRIAL_OUTBOUND], sent, &sum);
	transmit_fini(&tx);
	return sum;
}

static void
end(struct world *w)
{
	tunnel_end_close(w->near);
	tunnel_end_close(w->far);
	tally_destroy(w->rx.tally[TRIAL_OUTBOUND]);
	impair_destroy(w->bad.impair);
}

static void
one(const char *what, const struct impair_config *config, bool is_ahead, const char *sizes)
{
	struct world w = {};
	struct tunnel_counters c;
	struct tally_sum sum;
	const struct impair_done *done;

	tap_ok(open_lines(&w) && open_ends(&w, is_ahead) && begin(&w, 100000, sizes),
		"%s: two ends meet", what);
	if (config != NULL)
		tap_int(impair_create(config, emit, &w.bad, &w.bad.impair), 0, "a bad line");
	sum = run(&w, 20000, 0.5, is_ahead);
	tunnel_end_counters(w.far, &c);
	tap_ok(sum.sent >= 1000, "enough was sent, even on a busy machine (%llu)",
		(unsigned long long)sum.sent);
	tap_int((long long)sum.foreign + (long long)sum.unexpected + (long long)sum.corrupted, 0,
		"nothing came that was not sent");
	if (config == NULL) {
		tap_ok(sum.received == sum.sent && sum.duplicated + sum.reordered + sum.lost == 0 &&
				c.auth_failed + c.repeated + c.unknown_index + c.malformed == 0,
			"%s: all comes, once, in order", what);
		end(&w);
		return;
	}
	done = impair_done(w.bad.impair);
	tap_ok(done->lost > 0 && done->corrupted > 0 && done->duplicated > 0 && done->reordered > 0,
		"%s: the line did everything", what);
	tap_int((long long)sum.lost, (long long)(done->lost + done->corrupted),
		"lost: what the line lost, and what came broken");
	tap_int((long long)(c.auth_failed + c.unknown_index + c.malformed),
		(long long)done->corrupted, "what came broken was not taken for a packet");
	tap_ok(c.auth_failed > 0, "because it is not authentic");
	tap_int((long long)sum.duplicated, (long long)done->duplicated, "duplicates");
	tap_int((long long)c.repeated, (long long)done->duplicated, "whose counters repeat");
	tap_int((long long)sum.reordered, (long long)done->reordered, "reordered");
	tap_int((long long)sum.reorder_extent_max, (long long)done->reorder_extent_max,
		"by how many at most");
	end(&w);
}

int
main(void)
{
	const struct impair_config bad = { .seed = 4711,
		.lose = 0.01,
		.corrupt = 0.02,
		.reorder = 0.02,
		.duplicate = 0.03,
		.most_extent = 20 };
	struct impair_config worse = bad;

	tap_int(crypto_init(), 0, "crypto");
	tap_int(aead_init(NULL), 0, "cipher");
	one("a good line", NULL, false, "imix");
	one("a good line, encrypted ahead", NULL, true, "64");
	one("a bad line", &bad, false, "imix");
	one("a bad line, encrypted ahead", &bad, true, "64");
	worse.seed = 4712;
	worse.lose = 0.2;
	worse.reorder = 0.2;
	worse.most_extent = 200;
	one("a worse line", &worse, false, "7x64,4x528,1x1408");
	return tap_done();
}
