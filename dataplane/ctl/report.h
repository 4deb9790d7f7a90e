/* SPDX-License-Identifier: BSD-3-Clause
 *
 * This process's ends of the rings: commands and injected packets in, events and punted packets
 * out.
 *
 * Source: docs/shm-abi.md, "Rings".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_REPORT_H
#define DATAPLANE_CTL_REPORT_H

#include <stdbool.h>

#include "dataplane/ctl/apply_state.h"
#include "dataplane/io/pool.h"
#include "dataplane/worker.h"
#include "lib/shm/ring.h"

struct rings {
	bool attached;           /* the regions are mapped and a control plane reads */
	struct shm_to_dp *to_dp; /* read-only */
	struct shm_to_cp *to_cp;
	struct shm_ring_rx commands;
	struct shm_ring_rx inject;
	struct shm_ring_tx events;
	struct shm_ring_tx punt;
	int bell_cp;          /* eventfd of the control plane */
	bool rang_needed;     /* something was published since the last bell */
	uint64_t n_no_buffer; /* injected packets that found no frame, over all connections */
};

/* Join rings where this side stands (0 for fresh ones).  Takes over the mappings. */
void rings_join(struct rings *r, struct shm_to_dp *to_dp, struct shm_to_cp *to_cp, int bell_cp);
/* The connection ended: unmap. */
void rings_leave(struct rings *r);

/* Publish an event.  False: the ring is full or nobody is attached. */
bool rings_event(struct rings *r, const struct shm_event *event);

/* Room for the answers that one command can cause. */
bool rings_have_room(struct rings *r);

/* Ring the control plane's bell if it sleeps and something was published. */
void rings_bell(struct rings *r);

/*
 * Pass on what a worker raised: events (a promotion also retires the slot that fell out) and punted
 * datagrams.  Without a control plane both end here.
 */
void
report_worker(struct rings *r, struct apply *a, struct worker_thread *t, struct pool_cache *pool);

/* Take one injected packet into a frame.  NULL: none, no buffer (counted), or not valid. */
struct pkt *report_take_injected(struct rings *r, struct pool_cache *pool);

#endif
