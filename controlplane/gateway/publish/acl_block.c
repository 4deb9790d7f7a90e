/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/acl_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shm/shm_abi.h"

#define GENERATION_AT  offsetof(struct acl_table, generation)
#define GENERATION_END (GENERATION_AT + sizeof(uint64_t))

int
acl_block_create(const struct acl_table *table, struct acl_block **ret_block)
{
	size_t len = table->size_bytes;
	struct acl_block *b;

	if (len > SHM_MAX_FILTER)
		return -E2BIG;
	b = malloc(sizeof(*b) + len);
	if (b == NULL)
		return -ENOMEM;
	atomic_init(&b->refs, 1);
	b->len = len;
	memcpy(b->bytes, table, len);
	*ret_block = b;
	return 0;
}

struct acl_block *
acl_block_ref(struct acl_block *block)
{
	if (block != NULL)
		atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
	return block;
}

void
acl_block_unref(struct acl_block *block)
{
	// Release: what others did with it is over before the last one frees it.
	if (block != NULL && atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) == 1)
		free(block);
}

bool
acl_block_equal(const struct acl_block *a, const struct acl_block *b)
{
	if (a == b)
		return true;
	return a != NULL && b != NULL && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, GENERATION_AT) == 0 &&
	       memcmp(a->bytes + GENERATION_END, b->bytes + GENERATION_END,
		       a->len - GENERATION_END) == 0;
}
