/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/quiescent.h"

#include <time.h>

void
quiescent_wait(struct quiescent *q)
{
	const struct timespec pause = { .tv_nsec = 20000 };

	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < q->n; i++) {
		uint64_t seen = atomic_load_explicit(&q->of[i].rounds, memory_order_seq_cst);

		while (seen % 2 == 0 &&
			atomic_load_explicit(&q->of[i].rounds, memory_order_seq_cst) == seen)
			nanosleep(&pause, NULL);
	}
}
