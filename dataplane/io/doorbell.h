/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Waking a thread that sleeps in poll(): an eventfd, written only when its owner said that it
 * sleeps.  One system call per sleep, none per packet.
 *
 * Thread: the owner announces and clears; any thread rings.
 */
#ifndef DATAPLANE_IO_DOORBELL_H
#define DATAPLANE_IO_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

struct doorbell {
	_Alignas(64) _Atomic uint32_t asleep; /* 1: the owner sleeps, or is about to */
	int fd;                               /* eventfd, non-blocking */
};

/* Announce sleep.  The owner then looks at its rings once more, and sleeps only if they are empty.
 */
static inline void
doorbell_announce(struct doorbell *bell)
{
	// seq_cst against doorbell_ring(): of "something is in the ring" and "asleep" one side must
	// see the other's.
	atomic_store_explicit(&bell->asleep, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
doorbell_clear(struct doorbell *bell)
{
	atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}

/* Call after putting something where the owner will look. */
static inline void
doorbell_ring(struct doorbell *bell)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&bell->asleep, memory_order_relaxed) == 0)
		return;
	if (atomic_exchange_explicit(&bell->asleep, 0, memory_order_relaxed) == 0)
		return; // somebody else has rung
	if (write(bell->fd, &one, sizeof(one)) < 0)
		return; // full counter: it rings already
}

#endif
