/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/flow_memory.h"

#include "lib/shm/huge_page.h"

#define ROWS_OF_PAGE (uint32_t)(NAT_HUGE_LEN / sizeof(struct nat_flow))

static_assert(NAT_HUGE_LEN == SHM_HUGE_LEN, "what nat_memory.h takes a huge page for");

void
flow_memory_reserve(struct flow_memory *m, uint32_t *n_made)
{
	uint32_t end = atomic_load_explicit(&m->nat.flows_end, memory_order_relaxed);
	uint32_t wanted = (end + ROWS_OF_PAGE / 2) / ROWS_OF_PAGE + 1;

	if (*n_made == 0)
		for (size_t at = 0; at < sizeof(m->nat.index); at += SHM_HUGE_LEN)
			shm_huge_page_make((uint8_t *)m->nat.index + at);
	for (; *n_made < wanted && *n_made < NAT_MAX_FLOWS / ROWS_OF_PAGE; ++*n_made)
		shm_huge_page_make(&m->nat.flows[*n_made * ROWS_OF_PAGE]);
}
