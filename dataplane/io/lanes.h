/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the ports with an I/O thread have in common: a lane to each worker, that is, two rings and
 * a bell; and how the thread sleeps.
 *
 * The thread never drops a packet for want of a worker's attention: where a ring is full, or no
 * frame is free, it stops reading, and what comes waits in the kernel, which drops when it must.
 *
 * Thread: the port's operations are the workers'; everything else is the I/O thread's, or the main
 *         thread's while nothing runs.
 */
#ifndef DATAPLANE_IO_LANES_H
#define DATAPLANE_IO_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/io.h"
#include "dataplane/io/pkt_ring.h"
#include "dataplane/io/pool.h"

#define LANE_STAGED_MAX 64

struct lane {
	struct pkt_ring rx; /* thread to worker */
	struct pkt_ring tx; /* worker to thread */
	/* the worker's */
	_Alignas(64) bool has_sent; /* since its last flush */
	/* the thread's */
	_Alignas(64) struct doorbell *worker_bell; /* NULL: nobody to wake */
	uint32_t n_staged;
	struct pkt *staged[LANE_STAGED_MAX]; /* not in the ring yet */
};

struct lanes {
	struct port port;                  /* first: the address of a port is that of its lanes */
	struct port_counters own_counters; /* unless the configuration gave others */
	_Atomic uint64_t own_quiescent;
	struct io_thread thread;
	struct pool_cache cache; /* the thread's */
	uint64_t hash_seed;
	uint32_t capacity; /* bytes that a frame takes */
	unsigned n;
	struct lane *lane;
};

struct lanes_config {
	const char *name, *driver;
	struct pool *pool;
	unsigned n_workers;
	uint8_t port_index;
	uint64_t hash_seed;
	struct port_counters *counters;
	_Atomic uint64_t *quiescent;
	/* see struct io_thread */
	enum io_state (*receive)(struct io_thread *thread);
	uint32_t (*send)(struct io_thread *thread);
	unsigned (*watch)(struct io_thread *thread, struct pollfd *ret_fds);
	bool (*woken)(struct io_thread *thread, const struct pollfd *fds);
};

/* Returns 0, -EINVAL (n_workers is not 1 to 256), -ENOMEM, or -errno of eventfd(). */
[[nodiscard]] int lanes_init(struct lanes *lanes, const struct lanes_config *config);
/* All packets go back to the pool.  After threads have ended; zeroed lanes are fine. */
void lanes_fini(struct lanes *lanes);

static inline struct lanes *
lanes_of_thread(struct io_thread *thread)
{
	return (struct lanes *)((char *)thread - offsetof(struct lanes, thread));
}

/* The lane of all packets with this hash. */
static inline struct lane *
lanes_pick(struct lanes *lanes, uint32_t flow_hash)
{
	return &lanes->lane[flow_hash % lanes->n];
}

/* Move staged packets into the ring and wake the worker. */
void lane_push(struct lane *lane);

/*
 * An empty frame for a packet of this lane, to be filled and passed to lane_give().  NULL: the
 * ring is full or the pool empty, which has been counted; try again later.
 */
static inline struct pkt *
lane_frame(struct lanes *lanes, struct lane *lane)
{
	struct pkt *pkt;

	if (lane->n_staged == LANE_STAGED_MAX) {
		lane_push(lane);
		if (lane->n_staged == LANE_STAGED_MAX) {
			lanes->port.counters->ring_full++;
			return NULL;
		}
	}
	if (pool_get(&lanes->cache, &pkt, 1) == 0) {
		lanes->port.counters->no_buffer++;
		return NULL;
	}
	return pkt;
}

static inline void
lane_give(struct lanes *lanes, struct lane *lane, struct pkt *pkt)
{
	pkt->port = lanes->port.index;
	lanes->port.counters->rx_packets++;
	lanes->port.counters->rx_bytes += pkt->len;
	lane->staged[lane->n_staged++] = pkt;
}

/* Push all that is staged.  False: some did not fit. */
bool lanes_push(struct lanes *lanes);

/* End of a round in which every lane was emptied: nothing that a worker sent is held. */
void lanes_end_round(struct lanes *lanes);

#endif
