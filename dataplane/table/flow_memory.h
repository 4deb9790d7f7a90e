/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flows that outbound packets have opened, in memory of the keeper: they outlive the forwarder.
 *
 * Owner:  the keeper makes the memory, all zero, and writes the key.
 * Thread: as lib/policy/flow_table.h: any number of workers.
 */
#ifndef DATAPLANE_TABLE_FLOW_MEMORY_H
#define DATAPLANE_TABLE_FLOW_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/policy/flow_table.h"

#define FLOW_MEMORY_GROUPS 64 /* of 512 flows and 16 KiB */

struct flow_memory {
	_Alignas(64) uint64_t key[2]; /* random */
	_Alignas(64) struct flow_group groups[FLOW_MEMORY_GROUPS];
};

/* n: groups, a power of two up to FLOW_MEMORY_GROUPS; whoever uses the memory says the same. */
static inline void
flow_memory_use(struct flow_memory *m, size_t n, struct flow_table *ret_table)
{
	flow_table_over(ret_table, m->groups, n, m->key);
}

#endif
