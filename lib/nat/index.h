/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The index: a word per key, in one of two buckets.
 */
#ifndef LIB_NAT_INDEX_H
#define LIB_NAT_INDEX_H

#include "lib/nat/table.h"

/* Numbers that stand under a hash, up to NAT_MAX_FOUND of them. */
unsigned nat_index_find(const struct nat *nat,
	uint64_t hash,
	enum nat_side side,
	uint32_t ret_numbers[static NAT_MAX_FOUND]);
/* False: both buckets are full. */
bool nat_index_put(struct nat *nat, uint64_t hash, enum nat_side side, uint32_t number);
/* All words with this number under this hash. */
void nat_index_remove(struct nat *nat, uint64_t hash, enum nat_side side, uint32_t number);

#endif
