/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/shm/ring.h"

#include <string.h>

void
shm_ring_tx_init(struct shm_ring_tx *r,
	struct shm_ring_producer *own,
	const struct shm_ring_consumer *other,
	void *slots,
	size_t slot_size,
	uint32_t n_slots)
{
	uint32_t head = atomic_load_explicit(&own->head, memory_order_relaxed);

	*r = (struct shm_ring_tx){
		.own = own,
		.other = other,
		.slots = slots,
		.slot_size = slot_size,
		.n_slots = n_slots,
		.head = head,
		.tail = head - n_slots, // full, until the consumer's count has been looked at
	};
}

void
shm_ring_rx_init(struct shm_ring_rx *r,
	struct shm_ring_consumer *own,
	const struct shm_ring_producer *other,
	const void *slots,
	size_t slot_size,
	uint32_t n_slots)
{
	*r = (struct shm_ring_rx){
		.own = own,
		.other = other,
		.slots = slots,
		.slot_size = slot_size,
		.n_slots = n_slots,
		.tail = atomic_load_explicit(&own->tail, memory_order_relaxed),
	};
}

// Look at the consumer's count.  It may move from the one seen last up to our head, no further.
static void
refresh_tail(struct shm_ring_tx *r)
{
	uint32_t tail = atomic_load_explicit(&r->other->tail, memory_order_acquire);

	if (r->head - tail > r->n_slots || tail - r->tail > r->head - r->tail) {
		r->violated = true;
		return;
	}
	r->tail = tail;
}

void *
shm_ring_reserve(struct shm_ring_tx *r)
{
	if (r->violated)
		return NULL;
	if (r->head - r->tail == r->n_slots) {
		refresh_tail(r);
		if (r->violated || r->head - r->tail == r->n_slots)
			return NULL;
	}
	return r->slots + (size_t)(r->head & (r->n_slots - 1)) * r->slot_size;
}

void
shm_ring_publish(struct shm_ring_tx *r)
{
	r->head++;
	// seq_cst, as in shm_ring_sleep(): of "published" and "asleep" one side must see the
	// other's.
	atomic_store_explicit(&r->own->head, r->head, memory_order_seq_cst);
}

bool
shm_ring_wants_bell(const struct shm_ring_tx *r)
{
	return atomic_load_explicit(&r->other->asleep, memory_order_seq_cst) != 0;
}

uint32_t
shm_ring_used(struct shm_ring_tx *r)
{
	if (!r->violated)
		refresh_tail(r);
	return r->head - r->tail;
}

// How many slots are there, or 0 and violated when the producer claims more than fit.
static uint32_t
available(struct shm_ring_rx *r, memory_order order)
{
	uint32_t n;

	if (r->violated)
		return 0;
	n = atomic_load_explicit(&r->other->head, order) - r->tail;
	if (n > r->n_slots) {
		r->violated = true;
		return 0;
	}
	return n;
}

bool
shm_ring_peek(struct shm_ring_rx *r, void *copy)
{
	if (available(r, memory_order_acquire) == 0)
		return false;
	memcpy(copy, r->slots + (size_t)(r->tail & (r->n_slots - 1)) * r->slot_size, r->slot_size);
	return true;
}

void
shm_ring_advance(struct shm_ring_rx *r)
{
	r->tail++;
	// Pairs with the acquire in refresh_tail(): the copy is complete before the slot is reused.
	atomic_store_explicit(&r->own->tail, r->tail, memory_order_release);
}

bool
shm_ring_sleep(struct shm_ring_rx *r)
{
	atomic_store_explicit(&r->own->asleep, 1, memory_order_seq_cst);
	if (available(r, memory_order_seq_cst) == 0)
		return true;
	shm_ring_wake(r);
	return false;
}

void
shm_ring_wake(struct shm_ring_rx *r)
{
	atomic_store_explicit(&r->own->asleep, 0, memory_order_relaxed);
}
