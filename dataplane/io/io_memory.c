/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/io_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/pkt_ring.h"

#define MAX_QUEUES 256

static_assert(IO_MEMORY_QUEUE_LEN == PKT_RING_SIZE, "the header states the ring's size");

struct queue {
	struct pkt_ring rx;           // world to worker
	struct pkt_ring tx;           // worker to world
	struct doorbell *worker_bell; // may be NULL
	uint32_t tx_room;             // written by the world while the worker rests
};

struct io_memory {
	struct port port; // first: the port's address is ours
	struct port_counters counters;
	enum pkt_kind kind;
	unsigned n_queues;
	struct queue *queues;
};

static struct queue *
queue_of(struct port *port, unsigned queue)
{
	return &((struct io_memory *)port)->queues[queue];
}

static uint32_t
memory_rx(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max)
{
	return pkt_ring_get(&queue_of(port, queue)->rx, ret_pkts, max);
}

static uint32_t
memory_tx(struct port *port, unsigned queue, struct pkt **pkts, uint32_t n)
{
	struct queue *q = queue_of(port, queue);

	if (n > q->tx_room)
		n = q->tx_room;
	n = pkt_ring_put(&q->tx, pkts, n);
	if (q->tx_room != UINT32_MAX)
		q->tx_room -= n;
	return n;
}

static bool
memory_is_idle(struct port *port, unsigned queue)
{
	return pkt_ring_is_empty(&queue_of(port, queue)->rx);
}

static const struct port_ops memory_ops = {
	.rx = memory_rx,
	.tx = memory_tx,
	.is_idle = memory_is_idle,
};

int
io_memory_create(const struct io_memory_config *config, struct port **ret_port)
{
	struct io_memory *m;

	if (config->n_workers == 0 || config->n_workers > MAX_QUEUES)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->queues = aligned_alloc(64, config->n_workers * sizeof(*m->queues));
	if (m->queues == NULL) {
		free(m);
		return -ENOMEM;
	}
	memset(m->queues, 0, config->n_workers * sizeof(*m->queues));
	m->n_queues = config->n_workers;
	for (unsigned i = 0; i < m->n_queues; i++)
		m->queues[i].tx_room = UINT32_MAX;
	m->kind = config->kind;
	m->port = (struct port){
		.ops = &memory_ops,
		.counters = &m->counters,
		.driver = "memory",
		.index = config->port_index,
		.is_link = config->kind == PKT_FRAME,
	};
	strncpy(m->port.name, config->name, sizeof(m->port.name) - 1);
	*ret_port = &m->port;
	return 0;
}

static void
drain(struct pkt_ring *ring, struct pool_cache *cache)
{
	struct pkt *pkt;

	while (pkt_ring_get(ring, &pkt, 1) == 1) {
		if (cache != NULL)
			pool_put(cache, &pkt, 1);
	}
}

void
io_memory_destroy(struct port *port, struct pool_cache *cache)
{
	struct io_memory *m = (struct io_memory *)port;

	if (m == NULL)
		return;
	for (unsigned i = 0; i < m->n_queues; i++) {
		drain(&m->queues[i].rx, cache);
		drain(&m->queues[i].tx, cache);
	}
	free(m->queues);
	free(m);
}

void
io_memory_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell)
{
	queue_of(port, queue)->worker_bell = worker_bell;
}

uint32_t
io_memory_push(struct port *port, unsigned queue, struct pkt *const *pkts, uint32_t n)
{
	struct io_memory *m = (struct io_memory *)port;
	struct queue *q = queue_of(port, queue);

	for (uint32_t i = 0; i < n; i++) {
		pkts[i]->port = port->index;
		pkts[i]->kind = (uint8_t)m->kind;
		if (m->kind == PKT_WIRE)
			pkts[i]->outer_tag = pkt_outer_tag(&pkts[i]->rx_outer);
	}
	n = pkt_ring_put(&q->rx, pkts, n);
	if (n > 0 && q->worker_bell != NULL)
		doorbell_ring(q->worker_bell);
	return n;
}

uint32_t
io_memory_take(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max)
{
	return pkt_ring_get(&queue_of(port, queue)->tx, ret_pkts, max);
}

void
io_memory_limit_tx(struct port *port, unsigned queue, uint32_t room)
{
	queue_of(port, queue)->tx_room = room;
}
