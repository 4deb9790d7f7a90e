/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/receive.h"

#include <poll.h>
#include <sys/resource.h>

#include "bench/trial/trial.h"
#include "bench/tunnel/inner_udp.h"
#include "bench/tunnel/transmit.h"

#define WAIT_MS  5
#define PRIORITY (-10) /* behind the sender's */

static int64_t
arrived_ns(const struct receive *r)
{
	return mono_diff_ns(mono_now(), r->start);
}

static void
count(struct receive *r, unsigned way, uint64_t n, int64_t now_ns)
{
	uint64_t before = atomic_load_explicit(&r->received[way], memory_order_relaxed);

	atomic_store_explicit(&r->received[way], before + n, memory_order_relaxed);
	atomic_store_explicit(&r->last_ns, now_ns > 0 ? (uint64_t)now_ns : 0, memory_order_relaxed);
}

struct batch { /* what came together arrived together */
	struct receive *r;
	int64_t now_ns;
	uint64_t n;
};

static bool
is_control(struct receive *r, const uint8_t *packet, size_t len)
{
	size_t payload_len;
	const uint8_t *payload;

	if (r->control == NULL)
		return false;
	payload = inner_udp_payload(packet, len, &payload_len);
	return payload != NULL && r->control(r->context, payload, payload_len);
}

static void
take_inner(void *context, uint32_t peer, const uint8_t *packet, size_t len)
{
	struct batch *b = context;

	(void)peer;
	if (is_control(b->r, packet, len))
		return;
	b->n++;
	if (b->r->tally[TRIAL_OUTBOUND] != NULL)
		tally_packet(b->r->tally[TRIAL_OUTBOUND], packet, len, b->now_ns);
}

static void
receive_tunnel(struct receive *r)
{
	struct mono now = mono_now();
	struct batch b = { .r = r, .now_ns = mono_diff_ns(now, r->start) };

	(void)tunnel_end_receive(r->tunnel, now, take_inner, &b);
	tunnel_end_tick(r->tunnel, now);
	if (b.n > 0)
		count(r, TRIAL_OUTBOUND, b.n, b.now_ns);
}

static void
receive_clear(struct receive *r)
{
	struct line *line = clear_end_rx(r->clear);
	const struct line_packet *packets = NULL;
	uint64_t n_taken = 0;
	int64_t now_ns;
	int n;

	n = line_receive(line, &packets);
	now_ns = arrived_ns(r);
	for (int i = 0; i < n; i++) {
		if (r->control != NULL && r->control(r->context, packets[i].data, packets[i].len))
			continue;
		n_taken++;
		if (r->tally[TRIAL_INBOUND] != NULL)
			tally_payload(
				r->tally[TRIAL_INBOUND], packets[i].data, packets[i].len, now_ns);
	}
	if (n_taken > 0)
		count(r, TRIAL_INBOUND, n_taken, now_ns);
}

void
receive_round(struct receive *r, int wait_ms)
{
	struct line *clear = r->clear != NULL ? clear_end_rx(r->clear) : NULL;
	struct pollfd fds[2] = {
		{ .fd = r->tunnel != NULL ? tunnel_end_line(r->tunnel)->fd : -1, .events = POLLIN },
		{ .fd = clear != NULL ? clear->fd : -1, .events = POLLIN },
	};

	// Asking first costs less than reading from a socket that has nothing.
	(void)poll(fds, 2, wait_ms);
	if (fds[0].revents != 0)
		receive_tunnel(r);
	else if (r->tunnel != NULL)
		tunnel_end_tick(r->tunnel, mono_now());
	if (fds[1].revents != 0)
		receive_clear(r);
}

void *
receive_run(void *arg)
{
	struct receive *r = arg;

	transmit_pin(r->core);
	(void)setpriority(PRIO_PROCESS, 0, PRIORITY); // what it takes too late, its socket drops
	while (!atomic_load_explicit(&r->stop, memory_order_acquire))
		receive_round(r, WAIT_MS);
	return NULL;
}
