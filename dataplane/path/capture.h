/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Copies of packets for `sluice capture`: what was decrypted, what will be encrypted, what is
 * dropped and why.  tcpdump sees nothing of what workers receive and send by AF_XDP.
 *
 * Source: lib/shm/shm_abi.h, region "capture".
 * Owner:  one per forwarder; the rings lie in the keeper's memory and go on where the last
 *         forwarder ended.
 * Thread: capture_set() is the main thread's; each worker writes its own ring.
 *
 * Off, it costs a burst one branch.  Nobody waits for a reader: a ring that is not read loses its
 * oldest records.
 */
#ifndef DATAPLANE_PATH_CAPTURE_H
#define DATAPLANE_PATH_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/path/worker.h"
#include "lib/shm/shm_abi.h"

struct capture {
	struct shm_capture *memory; /* read-write */
	_Atomic uint32_t is_on;     /* main thread writes these, workers read them */
	_Atomic uint32_t snap_len;
	_Atomic uint32_t peer; /* SHM_NO_PEER: any */
	_Atomic uint32_t port; /* 0: any */
};

/* What the control plane asks for; values out of range are cut. */
void capture_set(struct capture *c, const struct shm_cmd_capture *cmd);

static inline bool
capture_is_on(const struct worker *w)
{
	return __builtin_expect(w->capture != NULL && atomic_load_explicit(&w->capture->is_on,
							      memory_order_relaxed) != 0,
		0);
}

/*
 * Copy those inner packets of a burst that the conditions name.  FROM_TUNNEL: b->pkt[i]->peer sent
 * it; TO_TUNNEL: it goes to that peer.  Views are not used.
 */
[[gnu::cold]] void
capture_burst(struct worker *w, const struct burst *b, enum shm_capture_where where);

/*
 * The same of one that is being dropped.  A datagram of the wire is copied with an IP and a UDP
 * header that are made of its outer addresses, so that every record is an IP packet (kind 0) as far
 * as one can be made: else it is a UDP payload (kind 1) or a frame (kind 2) as it is.
 */
[[gnu::cold]] void capture_drop(struct worker *w, const struct pkt *p, enum drop_reason reason);

#endif
