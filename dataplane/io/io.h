/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The port interface: how workers receive and send, whatever lies below.
 *
 * A port has one queue per worker.  A *wire* port carries UDP payloads (WireGuard messages) with
 * their outer addresses in pkt->outer; a *host* port carries inner IP packets.  Drivers:
 * io_socket.c (kernel port), io_host.c (TUN), io_memory.c (tests, fuzzers, bench); AF_XDP and DPDK
 * come next and touch no stage.
 *
 * Owner:  ports are made before the workers start and destroyed after they ended.
 * Thread: rx, tx, flush, is_idle of queue q are for worker q alone.
 */
#ifndef DATAPLANE_IO_IO_H
#define DATAPLANE_IO_IO_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/doorbell.h"
#include "dataplane/io/pool.h"
#include "dataplane/path/pkt.h"

struct port;

struct port_ops {
	/*
	 * Take up to max packets that arrived for this queue; the caller owns them.  pkt->port,
	 * kind, outer, outer_tag, outer_ecn and flow_hash are set.
	 */
	uint32_t (*rx)(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max);
	/*
	 * Send n packets.  Returns how many were taken (the first ones; the port owns them from
	 * then on); the caller drops the rest with DROP_TX_FULL.
	 */
	uint32_t (*tx)(struct port *port, unsigned queue, struct pkt **pkts, uint32_t n);
	/* End of a worker's round: ring doorbells, kick devices.  May be NULL. */
	void (*flush)(struct port *port, unsigned queue);
	/*
	 * Nothing to receive at this moment?  Asked between doorbell_announce() and sleep: whoever
	 * brings a packet later rings the worker's bell.
	 */
	bool (*is_idle)(struct port *port, unsigned queue);
};

/* What a port has counted; each field written by one thread. */
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_calls, tx_calls; /* system calls that moved something */
	uint64_t rx_dropped;         /* by the kernel, for want of our reading */
	uint64_t tx_dropped;         /* refused by the kernel */
	uint64_t no_buffer;          /* no frame was free */
	uint64_t too_long;           /* longer than a frame */
	uint64_t malformed;
	uint64_t ring_full; /* a worker does not keep up */
};

struct port {
	const struct port_ops *ops;
	struct port_counters *counters;
	char name[16];      /* "sluice0", "wire" */
	const char *driver; /* "host", "kernel", "memory" */
	uint8_t index;      /* in the forwarder's table of ports */
};

enum io_state {
	IO_EMPTY, /* all that there was is received */
	IO_MORE,
	IO_HELD_UP, /* by a worker that does not take, or by an empty pool */
};

#define IO_MAX_FDS 2 /* that one of them watches */

/*
 * Something that runs in a thread of its own beside the workers (the socket and TUN threads).
 * `run` returns when stop is set and the doorbell rung.  Its parts, none of which sleeps for long,
 * are for a worker that does this work itself (worker.h), so that nobody has to be woken.
 */
struct io_thread {
	const char *name; /* for pthread_setname_np, 15 characters at most */
	void (*run)(struct io_thread *thread);
	/* Take what the kernel has, a bounded amount, and hand it to the workers. */
	enum io_state (*receive)(struct io_thread *thread);
	/* Give the kernel what the workers sent, and pass the quiescent point: packets. */
	uint32_t (*send)(struct io_thread *thread);
	/* Fill in the descriptors to be polled: how many, -1 for what is not there. */
	unsigned (*watch)(struct io_thread *thread, struct pollfd *ret_fds);
	/* The same ones after poll().  True: there is something to receive. */
	bool (*woken)(struct io_thread *thread, const struct pollfd *fds);
	struct doorbell bell;
	_Atomic bool stop;
	/*
	 * Passed once per loop, when the thread holds no packet and has looked at all its rings
	 * since the last time; odd while asleep.  See dataplane/quiescent.h.
	 */
	_Atomic uint64_t *quiescent;
};

#endif
