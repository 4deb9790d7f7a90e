/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The forwarder's ports that carry frames: joined when the keeper has opened them, under traffic,
 * and given up when it is about to close them.
 *
 * Owner:  the forwarder.
 * Thread: its main thread.
 */
#ifndef DATAPLANE_LINK_PORTS_H
#define DATAPLANE_LINK_PORTS_H

#include <stdint.h>

#include "dataplane/ctl/network.h"
#include "dataplane/io/frame_ledger.h"
#include "dataplane/io/io.h"
#include "dataplane/io/pool.h"
#include "dataplane/io/xdp_open.h"
#include "dataplane/worker.h"
#include "ebpf/steer_maps.h"

struct link_ports {
	/* Filled in by the owner. */
	struct pool *pool;
	struct pool_cache *cache; /* the main thread's */
	struct frame_ledger *ledger;
	struct shm_state *state;
	struct network *network;
	struct worker_thread *const *workers;
	unsigned n_workers;
	const struct steer_maps *maps;

	struct link_port {
		struct xdp_fds fds;
		struct port *io; /* NULL: the row is free */
		struct port_counters counters;
	} of[SHM_MAX_PORTS]; /* by row of state.ports */
};

/* The owner's part is filled in: forget what a predecessor said of its ports. */
void link_ports_begin(struct link_ports *l);

/*
 * Join a port's rings and let workers use it.  fds: copied; the sockets in it are this process's,
 * and closed on failure and by link_ports_leave().  Returns 0 or -errno.
 */
[[nodiscard]] int link_ports_join(struct link_ports *l, uint32_t row, const struct xdp_fds *fds);

/* Let no worker use it any more, and close its sockets here. */
void link_ports_leave(struct link_ports *l, uint32_t row);

/* Its sockets are closed everywhere: what they held is ours again. */
void link_ports_reclaim(struct link_ports *l, uint32_t row);

/* Copy counters into state.ports. */
void link_ports_count(struct link_ports *l);

/* How many are open. */
unsigned link_ports_number(const struct link_ports *l);

#endif
