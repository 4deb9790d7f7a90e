/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows, in memory of the keeper: they outlive the forwarder.  Those of the address translation,
 * and what the packet filter remembers of outbound packets.
 *
 * The translation's part comes first: the control plane, which maps the region to show flows, knows
 * that part only (nat_foreach() of lib/nat).
 *
 * Owner:  the keeper makes the memory, all zero, and writes nat.head (nat_memory_begin()) and key.
 * Thread: as lib/nat/nat.h and lib/policy/flow_table.h: any number of workers.
 */
#ifndef DATAPLANE_TABLE_FLOW_MEMORY_H
#define DATAPLANE_TABLE_FLOW_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/nat/nat_memory.h"
#include "lib/policy/flow_table.h"

#define FLOW_MEMORY_GROUPS 256 /* of about 1,000 flows and 16 KiB each; sparse */

struct flow_memory {
	struct nat_memory nat;
	_Alignas(64) uint64_t key[2]; /* random */
	_Alignas(64) struct flow_group groups[FLOW_MEMORY_GROUPS];
};
static_assert(offsetof(struct flow_memory, nat) == 0, "where the control plane looks");

/* n: groups, a power of two up to FLOW_MEMORY_GROUPS; whoever uses the memory says the same. */
static inline void
flow_memory_use(struct flow_memory *m, size_t n, struct flow_table *ret_table)
{
	flow_table_over(ret_table, m->groups, n, m->key);
}

/*
 * Main thread, before packets are translated for the first time, and after each nat_sweep(): the
 * index, and the rows that will be used next, lie in huge pages if the kernel can, for both are
 * looked at anywhere.  That is 34 MiB at first and 2 MiB more for each 32,768 flows.
 * n_made: huge pages of rows that there are; 0 at first.
 */
void flow_memory_reserve(struct flow_memory *m, uint32_t *n_made);

#endif
