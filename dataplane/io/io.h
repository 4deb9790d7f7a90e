/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The port interface: how workers receive and send, whatever lies below.
 *
 * A port has one queue per worker.  A *wire* port carries UDP payloads (WireGuard messages) with
 * their outer addresses in pkt->outer; a *host* port carries inner IP packets; a *link* port
 * carries Ethernet frames, both ways.  Drivers: io_socket.c (kernel port), io_host.c (TUN),
 * io_xdp.c (AF_XDP), io_memory.c (tests, fuzzers, bench); DPDK comes next and touches no stage.
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
	 * kind, outer, outer_tag, outer_ecn and flow_hash are set.  A link port gives PKT_FRAME:
	 * data at the Ethernet header, and of the rest only port, kind and flags; nothing was
	 * looked at, and there may be fewer than 14 bytes.
	 */
	uint32_t (*rx)(struct port *port, unsigned queue, struct pkt **ret_pkts, uint32_t max);
	/*
	 * Send n packets.  Returns how many were taken (the first ones; the port owns them from
	 * then on); the caller drops the rest with DROP_TX_FULL.  To a link port: data = a whole
	 * Ethernet header.
	 */
	uint32_t (*tx)(struct port *port, unsigned queue, struct pkt **pkts, uint32_t n);
	/* End of a worker's round: ring doorbells, kick devices.  May be NULL. */
	void (*flush)(struct port *port, unsigned queue);
	/*
	 * Nothing to receive at this moment?  Asked between doorbell_announce() and sleep: whoever
	 * brings a packet later rings the worker's bell.
	 */
	bool (*is_idle)(struct port *port, unsigned queue);
	/*
	 * Fill in the descriptors, at most PORT_MAX_WAIT_FDS, to be polled for POLLIN while the
	 * worker of this queue sleeps: how many.  They stay the same while the port lives.  NULL:
	 * the port has none, and rings the worker's bell.
	 */
	unsigned (*wait_fds)(struct port *port, unsigned queue, int *ret_fds);
};

#define PORT_MAX_WAIT_FDS 16u /* a worker may have several queues of a device */

/* What a port has counted; each field written by one thread. */
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_calls, tx_calls; /* system calls that moved something */
	uint64_t rx_dropped;         /* by the kernel, for want of our reading */
	uint64_t tx_dropped;         /* refused by the kernel */
	uint64_t no_buffer;          /* no frame was free */
	uint64_t too_long;           /* longer than a frame */
	uint64_t malformed;
	uint64_t ring_full;   /* a worker does not keep up */
	uint64_t handed_over; /* to the worker that owns a device's queue, for want of queues */
};

struct port {
	const struct port_ops *ops;
	struct port_counters *counters;
	char name[16];      /* "sluice0", "wire" */
	const char *driver; /* "host", "kernel", "memory", "af_xdp" */
	uint8_t index;      /* in the forwarder's table of ports */
	bool is_link;       /* carries Ethernet frames */
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
