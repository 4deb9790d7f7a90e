/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When nobody can hold an old reference any more: every worker and I/O thread counts its rounds,
 * and a round begun after a change has not seen what was there before.
 *
 * Thread: each participant writes its own counter, the main thread waits.
 */
#ifndef DATAPLANE_QUIESCENT_H
#define DATAPLANE_QUIESCENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

#define QUIESCENT_MAX (SHM_MAX_WORKERS + 4)

/* Even while the thread is in a round, odd while it sleeps and holds nothing. */
struct quiescent_counter {
	_Alignas(64) _Atomic uint64_t rounds;
};

struct quiescent {
	unsigned n;
	struct quiescent_counter of[QUIESCENT_MAX]; /* in the order in which packets pass them */
};

/* Participant, at the end of a round: nothing read before is used after it. */
static inline void
quiescent_round(_Atomic uint64_t *rounds)
{
	atomic_fetch_add_explicit(rounds, 2, memory_order_seq_cst);
}

static inline void
quiescent_sleep(_Atomic uint64_t *rounds)
{
	atomic_fetch_add_explicit(rounds, 1, memory_order_seq_cst);
}

static inline void
quiescent_wake(_Atomic uint64_t *rounds)
{
	atomic_fetch_add_explicit(rounds, 1, memory_order_seq_cst);
}

/*
 * Main thread: wait until every participant, one after the other, has finished the round that it
 * was in.  In that order a packet that a worker passed on is also gone from the I/O thread behind.
 */
void quiescent_wait(struct quiescent *q);

#endif
