/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/io_xdp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "dataplane/io/xdp_queue.h"

// A port's share of the pool, in its fill rings; more queues divide it.
#define FILL_SHARE 8u
#define MIN_FILL   64u

#define LINGER_ROUNDS 50
#define LINGER_NS     1000000

static struct io_xdp *
xdp_of(struct port *port)
{
	return (struct io_xdp *)port;
}

// --- a worker's view ---------------------------------------------------------------------------

// Send what workers without a queue have handed to this one.
static void
serve(struct io_xdp *x, struct xdp_lane *lane)
{
	struct xdp_queue *q = &x->queues[lane->sender];
	struct pkt *pkts[XDP_BATCH];

	for (unsigned w = x->n_senders; w < x->n_workers; w++) {
		struct xdp_lane *other = &x->lanes[w];
		uint32_t n, taken;

		if (other->sender != lane->sender)
			continue;
		while ((n = pkt_ring_get(other->handed, pkts, XDP_BATCH)) > 0) {
			taken = xdp_send(x, q, pkts, n);
			q->counts.tx_dropped += n - taken;
			pool_put(&lane->cache, pkts + taken, n - taken);
		}
	}
}

static void
push(struct io_xdp *x, struct xdp_lane *lane)
{
	struct xdp_queue *q = &x->queues[lane->sender];

	if (lane->serves)
		serve(x, lane);
	if (xdp_ring_level(&q->rings.tx) > 0) {
		xdp_reap(x, q); // without room for completions nothing is sent
		xdp_kick(q);
	}
}

static bool
is_handed_any(const struct io_xdp *x, const struct xdp_lane *lane)
{
	for (unsigned w = x->n_senders; w < x->n_workers; w++) {
		if (x->lanes[w].sender == lane->sender && !pkt_ring_is_empty(x->lanes[w].handed))
			return true;
	}
	return false;
}

static uint32_t
xdp_port_rx(struct port *port, unsigned worker, struct pkt **ret_pkts, uint32_t max)
{
	struct io_xdp *x = xdp_of(port);
	struct xdp_lane *lane = &x->lanes[worker];
	unsigned n_own = 0;
	uint32_t n = 0;

	// Nobody else may come to flush, if nothing is received.
	if (lane->serves && is_handed_any(x, lane))
		push(x, lane);
	for (unsigned i = worker; i < x->n_queues; i += x->n_workers)
		n_own++;
	for (unsigned i = 0; i < n_own; i++) {
		unsigned at = (lane->next + i) % n_own;
		struct xdp_queue *q = &x->queues[worker + at * x->n_workers];

		xdp_reap(x, q);
		n += xdp_receive(x, q, ret_pkts + n, max - n);
	}
	lane->next = n_own > 1 ? (lane->next + 1) % n_own : 0;
	return n;
}

static uint32_t
xdp_port_tx(struct port *port, unsigned worker, struct pkt **pkts, uint32_t n)
{
	struct io_xdp *x = xdp_of(port);
	struct xdp_lane *lane = &x->lanes[worker];

	if (lane->handed == NULL)
		return xdp_send(x, &x->queues[lane->sender], pkts, n);
	uint32_t taken = pkt_ring_put(lane->handed, pkts, n);

	lane->has_handed = true;
	lane->handed_over += taken;
	lane->ring_full += n - taken;
	return taken;
}

static void
xdp_port_flush(struct port *port, unsigned worker)
{
	struct io_xdp *x = xdp_of(port);
	struct xdp_lane *lane = &x->lanes[worker];
	struct doorbell *bell;

	if (lane->handed == NULL) {
		push(x, lane);
		return;
	}
	bell = x->lanes[lane->sender % x->n_workers].bell;
	if (lane->has_handed && bell != NULL)
		doorbell_ring(bell);
	lane->has_handed = false;
}

static bool
xdp_port_is_idle(struct port *port, unsigned worker)
{
	const struct io_xdp *x = xdp_of(port);
	const struct xdp_lane *lane = &x->lanes[worker];

	for (unsigned i = worker; i < x->n_queues; i += x->n_workers) {
		const struct xdp_queue *q = &x->queues[i];

		if (xdp_ring_level(&q->rings.rx) > 0)
			return false;
		// What the kernel did not take is tried again, unless the link is down.
		if (xdp_ring_level(&q->rings.tx) > 0 && !q->is_down)
			return false;
	}
	return !lane->serves || !is_handed_any(x, lane);
}

static unsigned
xdp_port_wait_fds(struct port *port, unsigned worker, int *ret_fds)
{
	const struct io_xdp *x = xdp_of(port);
	unsigned n = 0;

	for (unsigned i = worker; i < x->n_queues && n < PORT_MAX_WAIT_FDS; i += x->n_workers)
		ret_fds[n++] = x->queues[i].fd;
	return n;
}

static const struct port_ops xdp_ops = {
	.rx = xdp_port_rx,
	.tx = xdp_port_tx,
	.flush = xdp_port_flush,
	.is_idle = xdp_port_is_idle,
	.wait_fds = xdp_port_wait_fds,
};

// --- coming and going --------------------------------------------------------------------------

static void
choose_fill_target(struct io_xdp *x)
{
	x->fill_target = x->n_frames / FILL_SHARE / x->n_queues;
	if (x->fill_target < MIN_FILL)
		x->fill_target = MIN_FILL;
	if (x->fill_target > XDP_FILL_SLOTS)
		x->fill_target = XDP_FILL_SLOTS;
}

static int
create_lanes(struct io_xdp *x, struct pool *pool)
{
	x->lanes = aligned_alloc(64, x->n_workers * sizeof(*x->lanes));
	if (x->lanes == NULL)
		return -ENOMEM;
	memset(x->lanes, 0, x->n_workers * sizeof(*x->lanes));
	for (unsigned w = 0; w < x->n_workers; w++) {
		struct xdp_lane *lane = &x->lanes[w];

		pool_cache_init(&lane->cache, pool);
		lane->sender = w % x->n_senders;
		if (w < x->n_senders)
			continue;
		x->lanes[lane->sender].serves = true;
		lane->handed = aligned_alloc(64, sizeof(*lane->handed));
		if (lane->handed == NULL)
			return -ENOMEM;
		memset(lane->handed, 0, sizeof(*lane->handed));
	}
	return 0;
}

static int
create_queues(struct io_xdp *x, const struct xdp_fds *fds)
{
	x->queues = aligned_alloc(64, x->n_queues * sizeof(*x->queues));
	if (x->queues == NULL)
		return -ENOMEM;
	memset(x->queues, 0, x->n_queues * sizeof(*x->queues));
	for (unsigned i = 0; i < x->n_queues; i++) {
		struct xdp_queue *q = &x->queues[i];
		int err;

		q->fd = fds->socket[i];
		q->number = i;
		q->intent = &x->ledger->intents[x->port.index][i];
		q->cache = &x->lanes[i % x->n_workers].cache;
		err = xdp_rings_map(q->fd, &q->rings);
		if (err < 0)
			return err;
	}
	return 0;
}

static bool
is_possible(const struct io_xdp_config *c)
{
	return c->n_workers >= 1 && c->n_workers <= SHM_MAX_WORKERS && c->fds->n_queues >= 1 &&
	       c->fds->n_queues <= SHM_MAX_WORKERS && c->fds->n_senders >= 1 &&
	       c->fds->n_senders <= c->fds->n_queues && c->port_index < SHM_MAX_PORTS;
}

int
io_xdp_create(const struct io_xdp_config *config, struct port **ret_port)
{
	struct io_xdp *x;
	int err;

	if (!is_possible(config))
		return -EINVAL;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	x->port = (struct port){
		.ops = &xdp_ops,
		.counters = config->counters,
		.driver = "af_xdp",
		.index = config->port_index,
		.is_link = true,
	};
	memcpy(x->port.name, config->fds->name, sizeof(x->port.name));
	x->total = config->counters;
	x->ledger = config->ledger;
	x->memory = pool_memory(config->pool);
	x->frame_len = pool_frame_length(config->pool);
	x->n_frames = pool_frame_count(config->pool);
	x->per_frame = UINT64_MAX / x->frame_len + 1;
	x->fill_holder = FRAME_TO_FILL(config->port_index);
	x->send_holder = FRAME_TO_SEND(config->port_index);
	x->n_workers = config->n_workers;
	x->n_queues = config->fds->n_queues;
	x->n_senders = config->fds->n_senders;
	choose_fill_target(x);

	err = create_lanes(x, config->pool);
	if (err == 0)
		err = create_queues(x, config->fds);
	if (err < 0) {
		io_xdp_destroy(&x->port);
		return err;
	}
	for (unsigned i = 0; i < x->n_queues; i++)
		xdp_refill(x, &x->queues[i]);
	*ret_port = &x->port;
	return 0;
}

static bool
is_sending(const struct io_xdp *x)
{
	for (uint32_t i = 0; i < x->n_frames; i++) {
		if (x->ledger->holder[i] == x->send_holder)
			return true;
	}
	return false;
}

static void
linger(struct io_xdp *x)
{
	const struct timespec pause = { .tv_nsec = LINGER_NS };

	for (unsigned round = 0; round < LINGER_ROUNDS && is_sending(x); round++) {
		for (unsigned i = 0; i < x->n_queues; i++) {
			xdp_kick(&x->queues[i]);
			xdp_reap(x, &x->queues[i]);
		}
		nanosleep(&pause, NULL);
	}
}

static void
destroy_lane(struct xdp_lane *lane)
{
	struct pkt *pkt;

	if (lane->handed != NULL) {
		while (pkt_ring_get(lane->handed, &pkt, 1) == 1)
			pool_put(&lane->cache, &pkt, 1);
	}
	free(lane->handed);
	if (lane->cache.pool != NULL)
		pool_cache_fini(&lane->cache);
}

void
io_xdp_destroy(struct port *port)
{
	struct io_xdp *x = xdp_of(port);
	bool is_whole;

	if (x == NULL)
		return;
	is_whole = x->queues != NULL && x->queues[x->n_queues - 1].rings.done.map != NULL;
	if (is_whole)
		linger(x);
	for (unsigned w = 0; x->lanes != NULL && w < x->n_workers; w++)
		destroy_lane(&x->lanes[w]);
	for (unsigned i = 0; x->queues != NULL && i < x->n_queues; i++)
		xdp_rings_unmap(&x->queues[i].rings);
	free(x->queues);
	free(x->lanes);
	free(x);
}

void
io_xdp_attach_worker(struct port *port, unsigned worker, struct doorbell *bell)
{
	xdp_of(port)->lanes[worker].bell = bell;
}

// --- counters ----------------------------------------------------------------------------------

static void
add_queue(struct port_counters *sum, const struct xdp_queue *q)
{
	const struct port_counters *c = &q->counts;
	struct xdp_statistics s = {};
	socklen_t len = sizeof(s);

	sum->rx_packets += c->rx_packets;
	sum->rx_bytes += c->rx_bytes;
	sum->tx_packets += c->tx_packets;
	sum->tx_bytes += c->tx_bytes;
	sum->rx_calls += c->rx_calls;
	sum->tx_calls += c->tx_calls;
	sum->tx_dropped += c->tx_dropped;
	sum->too_long += c->too_long;
	sum->malformed += c->malformed;
	// Older kernels give the first three only.
	if (getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, &s, &len) < 0)
		return;
	sum->rx_dropped += s.rx_dropped + s.rx_ring_full + s.rx_invalid_descs;
	sum->no_buffer += s.rx_fill_ring_empty_descs;
	sum->ring_full += s.rx_ring_full;
	sum->tx_dropped += s.tx_invalid_descs;
}

void
io_xdp_statistics(struct port *port)
{
	struct io_xdp *x = xdp_of(port);
	struct port_counters sum = {};

	for (unsigned i = 0; i < x->n_queues; i++)
		add_queue(&sum, &x->queues[i]);
	for (unsigned w = 0; w < x->n_workers; w++) {
		sum.handed_over += x->lanes[w].handed_over;
		sum.ring_full += x->lanes[w].ring_full;
	}
	*x->total = sum;
}
