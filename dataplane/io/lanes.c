/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_LANES 256
// A worker empties a full ring in about two milliseconds: looked at four times in that.
#define HELD_UP_NS 500000

static struct lanes *
lanes_of(struct port *port)
{
	return (struct lanes *)port;
}

static uint32_t
lanes_rx(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max)
{
	return pkt_ring_get(&lanes_of(port)->lane[queue].rx, ret_pkts, max);
}

static uint32_t
lanes_tx(struct port *port, unsigned queue, struct pkt **pkts, uint32_t n)
{
	struct lane *lane = &lanes_of(port)->lane[queue];

	n = pkt_ring_put(&lane->tx, pkts, n);
	lane->has_sent |= n > 0;
	return n;
}

static void
lanes_flush(struct port *port, unsigned queue)
{
	struct lane *lane = &lanes_of(port)->lane[queue];

	if (!lane->has_sent)
		return;
	lane->has_sent = false;
	doorbell_ring(&lanes_of(port)->thread.bell);
}

static bool
lanes_is_idle(struct port *port, unsigned queue)
{
	return pkt_ring_is_empty(&lanes_of(port)->lane[queue].rx);
}

static const struct port_ops lanes_ops = {
	.rx = lanes_rx,
	.tx = lanes_tx,
	.flush = lanes_flush,
	.is_idle = lanes_is_idle,
};

// The counter's meaning is in io.h.
static void
count_quiescent(struct lanes *lanes, uint64_t steps)
{
	atomic_fetch_add_explicit(lanes->thread.quiescent, steps, memory_order_seq_cst);
}

void
lanes_end_round(struct lanes *lanes)
{
	count_quiescent(lanes, 2);
}

static bool
is_stopping(const struct lanes *lanes)
{
	return atomic_load_explicit(&lanes->thread.stop, memory_order_relaxed);
}

static bool
has_work(const struct lanes *lanes)
{
	if (is_stopping(lanes))
		return true;
	for (unsigned i = 0; i < lanes->n; i++) {
		if (!pkt_ring_is_empty(&lanes->lane[i].tx))
			return true;
	}
	return false;
}

// Sleep until the kernel or a worker has something; at once back if there is work, or the thread
// shall stop.  Held up, the kernel is no reason to wake, and of the rest nothing tells: sleep
// briefly.
static void
sleep_until_needed(struct lanes *lanes, bool is_held_up)
{
	const struct timespec brief = { .tv_nsec = HELD_UP_NS };
	struct doorbell *bell = &lanes->thread.bell;
	struct pollfd fds[1 + IO_MAX_FDS] = { { .fd = bell->fd, .events = POLLIN } };
	unsigned n = is_held_up ? 1 : 1 + lanes->thread.watch(&lanes->thread, fds + 1);
	uint64_t rings;

	doorbell_announce(bell);
	if (!has_work(lanes)) {
		count_quiescent(lanes, 1);
		if (ppoll(fds, n, is_held_up ? &brief : NULL, NULL) < 0) {
			for (unsigned i = 0; i < n; i++)
				fds[i].revents = 0; // a signal
		}
		count_quiescent(lanes, 1);
	}
	doorbell_clear(bell);
	// Whoever rang has also put something into a ring, which the next round finds.
	if ((fds[0].revents & POLLIN) != 0 && read(bell->fd, &rings, sizeof(rings)) < 0)
		rings = 0;
	if (n > 1)
		lanes->thread.woken(&lanes->thread, fds + 1);
}

static void
run(struct io_thread *thread)
{
	struct lanes *lanes = lanes_of_thread(thread);

	while (!is_stopping(lanes)) {
		enum io_state state = thread->receive(thread);
		uint32_t n_sent = thread->send(thread);

		if (n_sent == 0 && state != IO_MORE)
			sleep_until_needed(lanes, state == IO_HELD_UP);
	}
}

int
lanes_init(struct lanes *lanes, const struct lanes_config *config)
{
	int bell;

	if (config->n_workers == 0 || config->n_workers > MAX_LANES)
		return -EINVAL;
	bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (bell < 0)
		return -errno;
	lanes->lane = aligned_alloc(_Alignof(struct lane), config->n_workers * sizeof(struct lane));
	if (lanes->lane == NULL) {
		close(bell);
		return -ENOMEM;
	}
	memset(lanes->lane, 0, config->n_workers * sizeof(struct lane));
	lanes->n = config->n_workers;
	lanes->hash_seed = config->hash_seed;
	lanes->capacity = pkt_capacity(pool_frame_length(config->pool));
	pool_cache_init(&lanes->cache, config->pool);
	lanes->port = (struct port){
		.ops = &lanes_ops,
		.counters = config->counters != NULL ? config->counters : &lanes->own_counters,
		.driver = config->driver,
		.index = config->port_index,
	};
	strncpy(lanes->port.name, config->name, sizeof(lanes->port.name) - 1);
	lanes->thread.name = config->driver;
	lanes->thread.run = run;
	lanes->thread.receive = config->receive;
	lanes->thread.send = config->send;
	lanes->thread.watch = config->watch;
	lanes->thread.woken = config->woken;
	lanes->thread.bell.fd = bell;
	lanes->thread.quiescent =
		config->quiescent != NULL ? config->quiescent : &lanes->own_quiescent;
	return 0;
}

static void
drain(struct lanes *lanes, struct pkt_ring *ring)
{
	struct pkt *pkt;

	while (pkt_ring_get(ring, &pkt, 1) == 1)
		pool_put(&lanes->cache, &pkt, 1);
}

void
lanes_fini(struct lanes *lanes)
{
	if (lanes->lane == NULL)
		return;
	for (unsigned i = 0; i < lanes->n; i++) {
		struct lane *lane = &lanes->lane[i];

		drain(lanes, &lane->rx);
		drain(lanes, &lane->tx);
		pool_put(&lanes->cache, lane->staged, lane->n_staged);
	}
	pool_cache_fini(&lanes->cache);
	free(lanes->lane);
	lanes->lane = NULL;
	close(lanes->thread.bell.fd);
}

void
lane_push(struct lane *lane)
{
	uint32_t n = pkt_ring_put(&lane->rx, lane->staged, lane->n_staged);

	if (n == 0)
		return;
	lane->n_staged -= n;
	memmove(lane->staged, lane->staged + n, lane->n_staged * sizeof(lane->staged[0]));
	if (lane->worker_bell != NULL)
		doorbell_ring(lane->worker_bell);
}

bool
lanes_push(struct lanes *lanes)
{
	bool is_all = true;

	for (unsigned i = 0; i < lanes->n; i++) {
		struct lane *lane = &lanes->lane[i];

		if (lane->n_staged == 0)
			continue;
		lane_push(lane);
		is_all = is_all && lane->n_staged == 0;
	}
	return is_all;
}
