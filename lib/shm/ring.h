/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single-producer single-consumer rings over shared memory, between processes that distrust each
 * other.
 *
 * Source: docs/shm-abi.md, "Rings".
 * Owner:  the memory is a region's; a shm_ring_tx or _rx is one side's private view of it.
 * Thread: one thread at a time per side.
 *
 * The other side's counter is read once per call, checked against what is possible, and never
 * trusted further: a count that runs ahead or back makes the ring `violated`, and a violated ring
 * gives and takes nothing until it is reset by the next attach.  Nothing here waits or loops.
 */
#ifndef LIB_SHM_RING_H
#define LIB_SHM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

struct shm_ring_tx {
	struct shm_ring_producer *own;
	const struct shm_ring_consumer *other;
	uint8_t *slots;
	size_t slot_size; /* bytes */
	uint32_t n_slots; /* a power of two */
	uint32_t head;    /* the truth; own->head is its published copy */
	uint32_t tail;    /* the consumer's, as last seen and checked */
	bool violated;
};

struct shm_ring_rx {
	struct shm_ring_consumer *own;
	const struct shm_ring_producer *other;
	const uint8_t *slots;
	size_t slot_size;
	uint32_t n_slots;
	uint32_t tail;
	bool violated;
};

/*
 * Take over a side where it stands: counts continue from what this side published last.  The
 * other side's memory is not touched.  n_slots is a power of two.
 */
void shm_ring_tx_init(struct shm_ring_tx *r,
	struct shm_ring_producer *own,
	const struct shm_ring_consumer *other,
	void *slots,
	size_t slot_size,
	uint32_t n_slots);
void shm_ring_rx_init(struct shm_ring_rx *r,
	struct shm_ring_consumer *own,
	const struct shm_ring_producer *other,
	const void *slots,
	size_t slot_size,
	uint32_t n_slots);

/* --- producer --- */

/*
 * The next free slot, or NULL when the ring is full or violated.  The caller fills it (every byte:
 * the slot still holds what was there before) and publishes it; an unpublished slot does not exist.
 */
void *shm_ring_reserve(struct shm_ring_tx *r);

/* Publish the slot that shm_ring_reserve() gave last.  Pairs with the acquire in shm_ring_peek().
 */
void shm_ring_publish(struct shm_ring_tx *r);

/* Whether the consumer sleeps and wants its bell rung.  Ask after publishing. */
bool shm_ring_wants_bell(const struct shm_ring_tx *r);

/* Slots published and not yet consumed, as far as the consumer tells the truth. */
uint32_t shm_ring_used(struct shm_ring_tx *r);

/* --- consumer --- */

/*
 * Copy the oldest slot to `copy` (slot_size bytes).  False: nothing there, or violated.
 * The slot stays until shm_ring_advance(): a death in between means that it is seen again.
 */
bool shm_ring_peek(struct shm_ring_rx *r, void *copy);

/* Give the oldest slot back. */
void shm_ring_advance(struct shm_ring_rx *r);

/*
 * Announce sleep.  Returns true when the ring is really empty: the caller may sleep until its bell
 * rings.  False: something came meanwhile; the announcement is taken back.
 */
bool shm_ring_sleep(struct shm_ring_rx *r);
void shm_ring_wake(struct shm_ring_rx *r);

#endif
