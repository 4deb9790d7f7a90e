/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A port made of memory: tests, fuzzers and bench give packets to a worker and look at what it
 * sends, with no kernel in between.
 *
 * Thread: per queue, one thread is the worker (port_ops) and one the world (the functions below);
 *         both may be the same.
 */
#ifndef DATAPLANE_IO_IO_MEMORY_H
#define DATAPLANE_IO_IO_MEMORY_H

#include <stdint.h>

#include "dataplane/io/io.h"
#include "dataplane/io/pool.h"

/* Packets that a queue holds in each direction, at most. */
#define IO_MEMORY_QUEUE_LEN 2048u

struct io_memory_config {
	const char *name;   /* copied, 15 characters at most */
	enum pkt_kind kind; /* of everything that comes in; PKT_FRAME makes it a link port */
	unsigned n_workers; /* queues: 1 to 256 */
	uint8_t port_index; /* for pkt->port */
};

/* Make a port, driver "memory".  Returns 0, -EINVAL or -ENOMEM. */
[[nodiscard]] int io_memory_create(const struct io_memory_config *config, struct port **ret_port);
/*
 * Packets that are still inside are given to `cache`, or, if that is NULL, forgotten.  port: NULL
 * is allowed.
 */
void io_memory_destroy(struct port *port, struct pool_cache *cache);

/* Say which bell wakes the worker of this queue.  NULL: none (the default). */
void io_memory_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell);

/*
 * The world sends: these packets arrive at the queue.  Port, kind and outer_tag are set here; data,
 * len, rx_outer, outer_ecn and flow_hash are the caller's.  Returns how many fit (the first ones,
 * owned by the port from then on).
 */
uint32_t io_memory_push(struct port *port, unsigned queue, struct pkt *const *pkts, uint32_t n);

/* The world receives: up to max packets that the worker sent, in order; the caller owns them. */
uint32_t io_memory_take(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max);

/* Take at most `room` more packets from the worker of this queue; UINT32_MAX: no limit (default).
 */
void io_memory_limit_tx(struct port *port, unsigned queue, uint32_t room);

#endif
