/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Events from one worker to the forwarder's main thread, which passes them on to the control plane.
 */
#ifndef DATAPLANE_PATH_EVENT_RING_H
#define DATAPLANE_PATH_EVENT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

#define EVENT_RING_SIZE 1024u /* a power of two */

struct event_ring {
	_Alignas(64) _Atomic uint32_t head; /* written by the worker */
	_Alignas(64) _Atomic uint32_t tail; /* written by the main thread */
	_Alignas(64) struct shm_event slots[EVENT_RING_SIZE];
};

/* Producer.  False: full, nothing was put. */
static inline bool
event_ring_put(struct event_ring *r, const struct shm_event *event)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == EVENT_RING_SIZE)
		return false;
	r->slots[head & (EVENT_RING_SIZE - 1)] = *event;
	// Pairs with the acquire in event_ring_peek().
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

/* Consumer: the oldest event, valid until event_ring_advance(), or NULL. */
static inline const struct shm_event *
event_ring_peek(const struct event_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return NULL;
	return &r->slots[tail & (EVENT_RING_SIZE - 1)];
}

static inline void
event_ring_advance(struct event_ring *r)
{
	atomic_fetch_add_explicit(&r->tail, 1, memory_order_release);
}

#endif
