/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kernel port: WireGuard messages over ordinary UDP sockets.
 *
 * Two sockets per family share one port.  A classic BPF program on the group gives transport data
 * to the data plane's socket, and handshakes, disco and STUN to the control plane's, so that no
 * data passes through the control plane.  The keeper opens all four and keeps them; the forwarder,
 * forked from it, serves the data sockets with one I/O thread in batches (recvmmsg with UDP_GRO,
 * sendmmsg with UDP_SEGMENT) and exchanges bursts with the workers over rings.
 *
 * Source: ../shared/design/architecture.md section 3.1; ../shared/protocol/peer.md section 1.1.
 * Owner:  descriptors: the keeper.  Port and thread: the forwarder's main().
 * Thread: open, create and destroy are for the main thread.
 */
#ifndef DATAPLANE_IO_IO_SOCKET_H
#define DATAPLANE_IO_IO_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/io.h"
#include "dataplane/io/pool.h"

struct io_socket_fds {
	int data_v4;              /* the data plane's: transport data and what is malformed */
	int data_v6;              /* -1: this machine has no IPv6 */
	int control_v4;           /* the control plane's: all else */
	int control_v6;           /* -1: as data_v6 */
	uint16_t port;            /* host order; the one in use also if the kernel chose it */
	int mark_err;             /* 0, or the negative errno with which SO_MARK was refused */
	uint32_t rx_buffer_bytes; /* what the kernel granted for data_v4, by its own accounting */
	uint32_t tx_buffer_bytes;
};

/*
 * Open the sockets, bound to the wildcard addresses, non-blocking, close-on-exec.  Needs no
 * privilege; with some, buffers are larger and marks are set.
 *
 * listen_port: host order; 0: the kernel chooses one that is free in both families.
 * mark:        SO_MARK of everything sent; 0: none.  A refusal is reported in ret->mark_err.
 * ret:         set on success only; release with io_socket_close().
 *
 * Returns 0, -EADDRINUSE (somebody has the port in one of the families), -EACCES (a port that
 * needs a privilege), or another -errno.  A machine without IPv6 is no error.
 */
[[nodiscard]] int io_socket_open(uint16_t listen_port, uint32_t mark, struct io_socket_fds *ret);
/* Close what is open (-1 is skipped) and set all descriptors to -1. */
void io_socket_close(struct io_socket_fds *fds);

struct io_socket_config {
	struct io_socket_fds fds; /* borrowed until destroyed; only the data sockets are used */
	struct pool *pool;        /* borrowed; wire packets live in its frames */
	unsigned n_workers;       /* queues: 1 to 256 */
	uint8_t port_index;       /* for pkt->port */
	uint64_t hash_seed;       /* random per process; spreads sources over workers */
	struct port_counters *counters; /* borrowed; NULL: the port has its own */
	_Atomic uint64_t *quiescent;    /* for the thread, see io.h; NULL: nobody looks */
};

/*
 * Make the port "wire", driver "kernel", and its thread.
 *
 * ret_port:   for the workers, after io_socket_attach_worker() for each of them.
 * ret_thread: the caller runs ret_thread->run(ret_thread) in a thread of its own, and before
 *             io_socket_destroy() sets `stop`, rings the bell and joins it.
 *
 * Returns 0, -EINVAL (n_workers), -ENOMEM, or -errno of eventfd().
 */
[[nodiscard]] int io_socket_create(const struct io_socket_config *config,
	struct port **ret_port,
	struct io_thread **ret_thread);
/* Every packet that is still in the port goes back to the pool.  NULL is allowed. */
void io_socket_destroy(struct port *port);

/* Say which bell wakes the worker of this queue.  Before thread and workers run. */
void io_socket_attach_worker(struct port *port, unsigned queue, struct doorbell *worker_bell);

#endif
