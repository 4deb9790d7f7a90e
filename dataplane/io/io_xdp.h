/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Link ports over AF_XDP: Ethernet frames to and from the rings of sockets that the keeper opened
 * and bound (xdp_open.h).  A forwarder joins them by mapping the rings, also those that its
 * predecessor used: what came meanwhile stands in them.
 *
 * Queue q of the device belongs to worker q % n_workers.  A worker without a transmit queue hands
 * what it sends to the one that has it, which is counted.
 *
 * Source: Documentation/networking/af_xdp.rst of the kernel; ../shared/design/architecture.md
 *         sections 3.1, 4.2 and 11.
 * Owner:  the forwarder's main thread.
 * Thread: port_ops of a queue are for that worker; everything here is the main thread's.
 */
#ifndef DATAPLANE_IO_IO_XDP_H
#define DATAPLANE_IO_IO_XDP_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/io/frame_ledger.h"
#include "dataplane/io/io.h"
#include "dataplane/io/pool.h"
#include "dataplane/io/xdp_open.h"

/*
 * After the death of a forwarder, before a new one makes its pool: mend the ledger, see
 * frame_ledger.h.  ports: by port index; those with n_queues 0 are closed, and what they held is
 * the forwarder's again.  Nobody else may have the rings in use.
 *
 * Returns 0, or -errno of mapping the rings.
 */
[[nodiscard]] int frame_ledger_settle(struct frame_ledger *ledger,
	const struct xdp_fds ports[SHM_MAX_PORTS],
	uint32_t n_frames,
	uint32_t frame_len);

struct io_xdp_config {
	const struct xdp_fds *fds;      /* copied; the descriptors are borrowed until destroyed */
	struct pool *pool;              /* of the memory that xdp_open() registered; borrowed */
	struct frame_ledger *ledger;    /* borrowed */
	unsigned n_workers;             /* queues of the port: 1 to SHM_MAX_WORKERS */
	uint8_t port_index;             /* for pkt->port, and in the ledger: below SHM_MAX_PORTS */
	struct port_counters *counters; /* borrowed; written by io_xdp_statistics() only */
};

/*
 * Make the port, named as the interface, driver "af_xdp", and fill its fill rings.
 * Returns 0, -EINVAL, -ENOMEM, or -errno of mapping the rings.
 */
[[nodiscard]] int io_xdp_create(const struct io_xdp_config *config, struct port **ret_port);
/*
 * No worker may use it any more.  Waits a moment for what is being sent; frames that the sockets
 * still hold stay so in the ledger: see frame_ledger_reclaim().  NULL is allowed.
 */
void io_xdp_destroy(struct port *port);

/* Say which bell wakes this worker.  Before workers use the port. */
void io_xdp_attach_worker(struct port *port, unsigned worker, struct doorbell *bell);

/* Bring the counters up to date: sums over workers, and what the sockets counted.  Workers may
 * run. */
void io_xdp_statistics(struct port *port);

#endif
