/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory for keys: locked where the limit allows it, never in a core dump, wiped when given back.
 *
 * Owner:  process-wide; whoever takes memory gives it back.
 * Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_SECRET_MEMORY_H
#define CONTROLPLANE_GATEWAY_SECRET_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed pages for len bytes, or NULL.  Where they cannot be locked, secret_memory_locked() says
 * so. */
void *secret_memory_map(size_t len);
/* Wipe and give back; NULL is allowed. */
void secret_memory_unmap(void *p, size_t len);

/* Whether everything handed out so far is locked (it cannot be swapped out). */
bool secret_memory_locked(void);

/* Cells of one size, cut out of such pages.  Starts with `size` set, the rest zero. */
struct secret_pool {
	size_t size; /* bytes of a cell, a multiple of 16 */
	void *free;
	void *chunks;
};

/* A zeroed cell, or NULL. */
void *secret_pool_take(struct secret_pool *pool);
/* Wipes the cell; NULL is allowed. */
void secret_pool_give(struct secret_pool *pool, void *cell);
/* Unmaps everything, cells that were not given back too. */
void secret_pool_fini(struct secret_pool *pool);

#endif
