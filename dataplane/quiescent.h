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

#include "dataplane/io/doorbell.h"
#include "lib/shm/shm_abi.h"

#define QUIESCENT_MAX (SHM_MAX_WORKERS + 4)

/* Even while the thread is in a round, odd while it sleeps and holds nothing. */
struct quiescent_counter {
	_Alignas(64) _Atomic uint64_t rounds;
};

struct quiescent {
	unsigned n_workers;
	unsigned n_io; /* I/O threads; their counters lie behind the workers' */
	struct doorbell *io_bell[QUIESCENT_MAX - SHM_MAX_WORKERS];
	struct quiescent_counter of[QUIESCENT_MAX];
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
 * Main thread: wait until every worker has finished the round that it was in.  What only workers
 * look at (tables, sessions) is then out of use.
 */
void quiescent_wait_workers(struct quiescent *q);

/*
 * The same, and then until each I/O thread has gone through its rings twice: whatever a worker had
 * passed on before has been sent.  It wakes them, so it costs some system calls.
 */
void quiescent_wait_all(struct quiescent *q);

#endif
