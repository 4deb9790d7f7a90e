/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The four rings that an AF_XDP socket shares with the kernel: single producer, single consumer,
 * free-running counts, slot = count & mask.
 *
 * What stands in them was written by the kernel, or by a forwarder that died, perhaps because it
 * had been taken over: counts are bounded here, frames are checked by whoever uses them.
 *
 * Source: Documentation/networking/af_xdp.rst of the kernel, linux/if_xdp.h.
 * Thread: a socket's rings are for one worker.
 */
#ifndef DATAPLANE_IO_XDP_RING_H
#define DATAPLANE_IO_XDP_RING_H

#include <linux/if_xdp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xdp_ring {
	_Atomic uint32_t *producer;
	_Atomic uint32_t *consumer;
	const _Atomic uint32_t *flags;
	union {
		struct xdp_desc *descs;   /* receive and send ring */
		_Atomic uint64_t *frames; /* fill and completion ring: addresses */
	};
	uint32_t n_slots; /* a power of two */
	uint32_t ours;    /* the count that is ours to move */
	uint32_t theirs;  /* the other one, as we saw it last */
	void *map;
	size_t map_len;
};

struct xdp_rings {
	struct xdp_ring rx;   /* the kernel produces */
	struct xdp_ring tx;   /* we produce */
	struct xdp_ring fill; /* we produce: frames to receive into */
	struct xdp_ring done; /* the kernel produces: frames that were sent */
};

/* Map the rings of a socket, made with the sizes of xdp_open.h.  Returns 0 or -errno. */
[[nodiscard]] int xdp_rings_map(int fd, struct xdp_rings *ret);
/* Zeroed ones are fine. */
void xdp_rings_unmap(struct xdp_rings *rings);

/*
 * Stores before it are done before stores behind it, as far as a process that is killed in between
 * is concerned: see frame_ledger.h.
 */
static inline void
xdp_in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline uint32_t
xdp_ring_bound(const struct xdp_ring *r, uint32_t n)
{
	return n <= r->n_slots ? n : 0; // counts that cannot be: the ring is dead
}

/* Producer: free slots. */
static inline uint32_t
xdp_ring_room(struct xdp_ring *r, uint32_t wanted)
{
	uint32_t room = r->n_slots - (r->ours - r->theirs);

	if (room < wanted) {
		r->theirs = atomic_load_explicit(r->consumer, memory_order_acquire);
		room = xdp_ring_bound(r, r->n_slots - (r->ours - r->theirs));
	}
	return room < wanted ? room : wanted;
}

/* Consumer: slots that can be taken, up to `wanted`. */
static inline uint32_t
xdp_ring_available(struct xdp_ring *r, uint32_t wanted)
{
	uint32_t n = r->theirs - r->ours;

	if (n < wanted) {
		// Pairs with the kernel's release: the slots' content.
		r->theirs = atomic_load_explicit(r->producer, memory_order_acquire);
		n = xdp_ring_bound(r, r->theirs - r->ours);
	}
	return n < wanted ? n : wanted;
}

/* Move our count over n slots. */
static inline void
xdp_ring_produce(struct xdp_ring *r, uint32_t n)
{
	r->ours += n;
	atomic_store_explicit(r->producer, r->ours, memory_order_release);
}

static inline void
xdp_ring_consume(struct xdp_ring *r, uint32_t n)
{
	r->ours += n;
	atomic_store_explicit(r->consumer, r->ours, memory_order_release);
}

/* Whoever's ring it is: slots between the two counts. */
static inline uint32_t
xdp_ring_level(const struct xdp_ring *r)
{
	return xdp_ring_bound(r, atomic_load_explicit(r->producer, memory_order_acquire) -
					 atomic_load_explicit(r->consumer, memory_order_acquire));
}

static inline bool
xdp_ring_wants_kick(const struct xdp_ring *r)
{
	return atomic_load_explicit(r->flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
}

#endif
