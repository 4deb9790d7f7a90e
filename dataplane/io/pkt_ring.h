/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single-producer single-consumer ring of packets between two threads of the forwarder.  Whole
 * bursts go in and out with one store each; both ends cache the other's count.
 */
#ifndef DATAPLANE_IO_PKT_RING_H
#define DATAPLANE_IO_PKT_RING_H

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/path/pkt.h"

#define PKT_RING_SIZE 2048u /* a power of two */

struct pkt_ring {
	_Alignas(64) _Atomic uint32_t head; /* written by the producer */
	uint32_t tail_seen;                 /* producer's copy of tail */
	_Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
	uint32_t head_seen;                 /* consumer's copy of head */
	_Alignas(64) struct pkt *slots[PKT_RING_SIZE];
};

/* Producer: put up to n packets; returns how many fit (the first ones). */
static inline uint32_t
pkt_ring_put(struct pkt_ring *r, struct pkt *const *pkts, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t room = PKT_RING_SIZE - (head - r->tail_seen);

	if (room < n) {
		// Pairs with the release in pkt_ring_get(): slots are read before they are reused.
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		room = PKT_RING_SIZE - (head - r->tail_seen);
		if (n > room)
			n = room;
	}
	for (uint32_t i = 0; i < n; i++)
		r->slots[(head + i) & (PKT_RING_SIZE - 1)] = pkts[i];
	// Pairs with the acquire in pkt_ring_get(): the packets are complete before they are seen.
	atomic_store_explicit(&r->head, head + n, memory_order_release);
	return n;
}

/* Consumer: take up to max packets. */
static inline uint32_t
pkt_ring_get(struct pkt_ring *r, struct pkt **ret_pkts, uint32_t max)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t n = r->head_seen - tail;

	if (n < max) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		n = r->head_seen - tail;
	}
	if (n > max)
		n = max;
	for (uint32_t i = 0; i < n; i++)
		ret_pkts[i] = r->slots[(tail + i) & (PKT_RING_SIZE - 1)];
	if (n > 0)
		atomic_store_explicit(&r->tail, tail + n, memory_order_release);
	return n;
}

/* Consumer: is there nothing to take? */
static inline bool
pkt_ring_is_empty(const struct pkt_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_acquire) ==
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
}

#endif
