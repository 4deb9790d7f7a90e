/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/quiescent.h"

#include <time.h>

// Two rounds: the first may have passed a ring before the worker put its packet there.  Sleeping
// and waking count one each, a round two.
#define IO_STEPS 4

static const struct timespec moment = { .tv_nsec = 20000 };

static uint64_t
rounds(const struct quiescent *q, unsigned i)
{
	return atomic_load_explicit(&q->of[i].rounds, memory_order_seq_cst);
}

void
quiescent_wait_workers(struct quiescent *q)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < q->n_workers; i++) {
		uint64_t seen = rounds(q, i);

		while (seen % 2 == 0 && rounds(q, i) == seen)
			nanosleep(&moment, NULL);
	}
}

void
quiescent_wait_all(struct quiescent *q)
{
	quiescent_wait_workers(q);
	for (unsigned i = 0; i < q->n_io; i++) {
		uint64_t seen = rounds(q, q->n_workers + i);

		while (rounds(q, q->n_workers + i) - seen < IO_STEPS) {
			doorbell_ring(q->io_bell[i]);
			nanosleep(&moment, NULL);
		}
	}
}
