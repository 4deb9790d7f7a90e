/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/secret_memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/secret.h"

#define CHUNK_LEN 16384

static _Atomic bool some_unlocked;

void *
secret_memory_map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, len, MADV_DONTDUMP); // core dumps are off anyway
	if (mlock2(p, len, MLOCK_ONFAULT) < 0)
		atomic_store_explicit(&some_unlocked, true, memory_order_relaxed);
	return p;
}

void
secret_memory_unmap(void *p, size_t len)
{
	if (p == NULL)
		return;
	secret_wipe(p, len);
	munmap(p, len);
}

bool
secret_memory_locked(void)
{
	return !atomic_load_explicit(&some_unlocked, memory_order_relaxed);
}

/* A free cell holds the next one; a chunk begins with the address of the chunk before. */
static bool
grow(struct secret_pool *pool)
{
	uint8_t *chunk = secret_memory_map(CHUNK_LEN);

	assert(pool->size % 16 == 0 && pool->size >= 16 && pool->size <= CHUNK_LEN - 16);
	if (chunk == NULL)
		return false;
	memcpy(chunk, &pool->chunks, sizeof(pool->chunks));
	pool->chunks = chunk;
	for (size_t at = 16; at + pool->size <= CHUNK_LEN; at += pool->size) {
		memcpy(chunk + at, &pool->free, sizeof(pool->free));
		pool->free = chunk + at;
	}
	return true;
}

void *
secret_pool_take(struct secret_pool *pool)
{
	void *cell;

	if (pool->free == NULL && !grow(pool))
		return NULL;
	cell = pool->free;
	memcpy(&pool->free, cell, sizeof(pool->free));
	memset(cell, 0, pool->size);
	return cell;
}

void
secret_pool_give(struct secret_pool *pool, void *cell)
{
	if (cell == NULL)
		return;
	secret_wipe(cell, pool->size);
	memcpy(cell, &pool->free, sizeof(pool->free));
	pool->free = cell;
}

void
secret_pool_fini(struct secret_pool *pool)
{
	void *chunk = pool->chunks, *before;

	while (chunk != NULL) {
		memcpy(&before, chunk, sizeof(before));
		secret_memory_unmap(chunk, CHUNK_LEN);
		chunk = before;
	}
	pool->chunks = pool->free = NULL;
}
