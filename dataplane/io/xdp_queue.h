/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The inside of a link port: a device's queues, and the workers that share them.  For io_xdp.c,
 * xdp_rx.c and xdp_tx.c only.
 */
#ifndef DATAPLANE_IO_XDP_QUEUE_H
#define DATAPLANE_IO_XDP_QUEUE_H

#include "dataplane/io/io_xdp.h"
#include "dataplane/io/pkt_ring.h"
#include "dataplane/io/xdp_ring.h"

/* Frames that change hands at a time. */
#define XDP_BATCH 64u

/* A socket.  Its worker's. */
struct xdp_queue {
	_Alignas(64) struct xdp_rings rings;
	struct frame_intent *intent;
	struct pool_cache *cache; /* of its worker */
	int fd;
	unsigned number;
	bool is_down; /* the kernel refused to send: tried again when there is more to send */
	struct port_counters counts;
};

/* A worker. */
struct xdp_lane {
	_Alignas(64) struct pool_cache cache;
	struct pkt_ring *handed; /* to the worker that sends for it; NULL: it sends itself */
	unsigned sender;         /* the queue that its packets leave by */
	bool has_handed;         /* since its last flush */
	bool serves;             /* others hand it packets */
	unsigned next;           /* of its queues, to be asked first */
	struct doorbell *bell;   /* may be NULL */
	uint64_t handed_over, ring_full;
};

struct io_xdp {
	struct port port; /* first: the port's address is ours */
	struct port_counters *total;
	struct frame_ledger *ledger;
	uint8_t *memory;
	uint64_t per_frame; /* for xdp_frame_number() */
	uint32_t frame_len, n_frames;
	uint32_t fill_target; /* frames in a fill ring */
	uint8_t fill_holder, send_holder;
	unsigned n_workers, n_queues, n_senders;
	struct xdp_queue *queues;
	struct xdp_lane *lanes;
};

/* The number of the frame that holds this offset into the memory; may be out of range. */
static inline uint32_t
xdp_frame_number(const struct io_xdp *x, uint64_t offset)
{
	// A division by multiplying, exact for offsets below 2^48.
	return (uint32_t)((unsigned __int128)offset * x->per_frame >> 64);
}

static inline struct pkt *
xdp_frame(const struct io_xdp *x, uint32_t number)
{
	return (struct pkt *)(x->memory + (size_t)number * x->frame_len);
}

/* Give the frames in the ring's next n slots, which are written, to the kernel. */
void xdp_give(const struct io_xdp *x,
	struct xdp_ring *ring,
	_Atomic uint64_t *intent,
	const uint32_t *numbers,
	uint32_t n,
	uint8_t holder);

/* Bring the fill ring up to its target, a bounded number at a time. */
void xdp_refill(struct io_xdp *x, struct xdp_queue *q);
uint32_t xdp_receive(struct io_xdp *x, struct xdp_queue *q, struct pkt **ret_pkts, uint32_t max);

/* Take frames back that were sent. */
void xdp_reap(struct io_xdp *x, struct xdp_queue *q);
/* Put packets into the send ring: how many were taken. */
uint32_t xdp_send(struct io_xdp *x, struct xdp_queue *q, struct pkt *const *pkts, uint32_t n);
/* Make the kernel send what is in the ring, with a bounded number of calls. */
void xdp_kick(struct xdp_queue *q);

#endif
