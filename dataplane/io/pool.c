/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/frame_ledger.h"

#define MIN_MAGAZINES 4
// Magazines beyond those that full ones need: one that is being filled or emptied per thread, and
// the partly full ones that ended caches leave behind.
#define SPARE_MAGAZINES 320

#define STAGGER 64 // see pool_frame_len()

#define HUGE_PAGE ((size_t)2 << 20)

#define CACHE_FRAMES (2 * POOL_MAGAZINE)

struct magazine {
	uint32_t n;
	struct pkt *frames[POOL_MAGAZINE];
};

// A lock-free stack of magazines.  The lower half of `top` is a magazine's number + 1, 0 for none;
// the upper half counts pops, so that a top that went and came back is not taken for one that
// stayed (ABA).
struct stack {
	_Alignas(64) _Atomic uint64_t top;
};

struct pool {
	struct stack full;                         // with frames
	struct stack empty;                        // without
	_Alignas(64) _Atomic uint32_t free_frames; // in `full`
	uint32_t frame_len;
	uint32_t n_frames;
	uint8_t *memory;
	struct magazine *magazines;
	// Of each magazine the one below it on its stack.  Beside them, because a thread whose pop
	// fails reads it while another already fills the magazine.
	_Atomic uint32_t *below;
};

static_assert(sizeof(struct pkt) + PKT_HEADROOM + PKT_TAILROOM < 2048, "a frame has room for data");

static void
stack_push(struct pool *pool, struct stack *s, uint32_t number)
{
	uint64_t top = atomic_load_explicit(&s->top, memory_order_relaxed);
	uint64_t new_top;

	do {
		atomic_store_explicit(&pool->below[number], (uint32_t)top, memory_order_relaxed);
		new_top = (top & ~UINT64_C(0xffffffff)) | (number + 1);
		// Release: pairs with the acquire in stack_pop(), the content goes along.
	} while (!atomic_compare_exchange_weak_explicit(
		&s->top, &top, new_top, memory_order_release, memory_order_relaxed));
}

static bool
stack_pop(struct pool *pool, struct stack *s, uint32_t *ret_number)
{
	uint64_t top = atomic_load_explicit(&s->top, memory_order_acquire);
	uint64_t new_top;

	do {
		if ((uint32_t)top == 0)
			return false;
		new_top = ((top >> 32) + 1) << 32;
		new_top |=
			atomic_load_explicit(&pool->below[(uint32_t)top - 1], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&s->top, &top, new_top, memory_order_acquire, memory_order_acquire));
	*ret_number = (uint32_t)top - 1;
	return true;
}

uint32_t
pool_frame_len(uint32_t mtu)
{
	// What a worker adds to an inner packet inside its frame: padding to 16, header and tag;
	// the tailroom is there for that, headers go into the headroom.
	uint64_t needed =
		sizeof(struct pkt) + PKT_HEADROOM + PKT_TAILROOM + (uint64_t)mtu + 16 + 32;
	uint32_t len = 2048;

	while (len + STAGGER < needed && len < UINT32_C(1) << 31)
		len *= 2;
	return len + STAGGER;
}

// May frame `number` be handed out?
static bool
is_usable(const struct pool *pool, const struct frame_ledger *ledger, size_t number)
{
	size_t begin = number * pool->frame_len;

	if (ledger == NULL)
		return true;
	return ledger->holder[number] == FRAME_OURS &&
	       begin / HUGE_PAGE == (begin + pool->frame_len - 1) / HUGE_PAGE;
}

static void
fill_stacks(struct pool *pool, const struct frame_ledger *ledger, uint32_t n_magazines)
{
	uint32_t n_full = pool->n_frames / POOL_MAGAZINE, n_free = 0;

	// Backwards, so that low addresses are used first.
	for (uint32_t i = n_magazines; i-- > n_full;)
		stack_push(pool, &pool->empty, i);
	for (uint32_t i = n_full; i-- > 0;) {
		struct magazine *m = &pool->magazines[i];

		for (uint32_t k = POOL_MAGAZINE; k-- > 0;) {
			size_t number = (size_t)i * POOL_MAGAZINE + k;

			if (is_usable(pool, ledger, number))
				m->frames[m->n++] =
					(struct pkt *)(pool->memory + number * pool->frame_len);
		}
		n_free += m->n;
		stack_push(pool, m->n > 0 ? &pool->full : &pool->empty, i);
	}
	atomic_store_explicit(&pool->free_frames, n_free, memory_order_relaxed);
}

// Whole cache lines are what the descriptor's alignment needs; only drivers may want powers of two.
static bool
is_frame_len(uint32_t len)
{
	return len >= 2048 && len % 64 == 0;
}

int
pool_create_from_ledger(void *memory,
	size_t len,
	uint32_t frame_len,
	const struct frame_ledger *ledger,
	struct pool **ret_pool)
{
	struct pool *pool;
	size_t n_full, n_magazines;

	if (!is_frame_len(frame_len))
		return -EINVAL;
	n_full = len / frame_len / POOL_MAGAZINE;
	if (n_full < MIN_MAGAZINES || n_full > UINT32_MAX / POOL_MAGAZINE - SPARE_MAGAZINES)
		return -EINVAL;
	n_magazines = n_full + SPARE_MAGAZINES;

	pool = aligned_alloc(64, sizeof(*pool));
	if (pool == NULL)
		return -ENOMEM;
	memset(pool, 0, sizeof(*pool));
	pool->frame_len = frame_len;
	pool->n_frames = (uint32_t)n_full * POOL_MAGAZINE;
	pool->memory = memory;
	pool->magazines = calloc(n_magazines, sizeof(*pool->magazines));
	pool->below = calloc(n_magazines, sizeof(*pool->below));
	if (pool->magazines == NULL || pool->below == NULL) {
		pool_destroy(pool);
		return -ENOMEM;
	}
	fill_stacks(pool, ledger, (uint32_t)n_magazines);
	*ret_pool = pool;
	return 0;
}

int
pool_create(void *memory, size_t len, uint32_t frame_len, struct pool **ret_pool)
{
	return pool_create_from_ledger(memory, len, frame_len, NULL, ret_pool);
}

void
pool_destroy(struct pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->below);
	free(pool->magazines);
	free(pool);
}

uint32_t
pool_frames_in(size_t len, uint32_t frame_len)
{
	return (uint32_t)(len / frame_len / POOL_MAGAZINE * POOL_MAGAZINE);
}

uint8_t *
pool_memory(const struct pool *pool)
{
	return pool->memory;
}

uint32_t
pool_frame_count(const struct pool *pool)
{
	return pool->n_frames;
}

uint32_t
pool_frame_length(const struct pool *pool)
{
	return pool->frame_len;
}

uint32_t
pool_free_count(const struct pool *pool)
{
	return atomic_load_explicit(&pool->free_frames, memory_order_relaxed);
}

void
pool_cache_init(struct pool_cache *cache, struct pool *pool)
{
	cache->pool = pool;
	cache->n = 0;
}

// Move the cache's last n frames into a magazine of the pool.
static void
unload(struct pool_cache *cache, uint32_t n)
{
	struct pool *pool = cache->pool;
	struct magazine *m;
	uint32_t number;

	// There are spare ones for every thread: at worst another one is about to give one back.
	while (!stack_pop(pool, &pool->empty, &number))
		;
	m = &pool->magazines[number];
	cache->n -= n;
	memcpy(m->frames, &cache->frames[cache->n], n * sizeof(m->frames[0]));
	m->n = n;
	stack_push(pool, &pool->full, number);
	atomic_fetch_add_explicit(&pool->free_frames, n, memory_order_relaxed);
}

// Take a magazine's frames into an empty cache.
static bool
load(struct pool_cache *cache)
{
	struct pool *pool = cache->pool;
	struct magazine *m;
	uint32_t number;

	if (!stack_pop(pool, &pool->full, &number))
		return false;
	m = &pool->magazines[number];
	cache->n = m->n;
	memcpy(cache->frames, m->frames, m->n * sizeof(m->frames[0]));
	atomic_fetch_sub_explicit(&pool->free_frames, m->n, memory_order_relaxed);
	stack_push(pool, &pool->empty, number);
	return true;
}

void
pool_cache_fini(struct pool_cache *cache)
{
	while (cache->n > 0)
		unload(cache, cache->n > POOL_MAGAZINE ? POOL_MAGAZINE : cache->n);
}

uint32_t
pool_get(struct pool_cache *cache, struct pkt **ret_pkts, uint32_t n)
{
	uint32_t frame_len = cache->pool->frame_len;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p;

		if (cache->n == 0 && !load(cache))
			return i;
		p = cache->frames[--cache->n];
		// Written here and not once for all: a frame never used stays an untouched page.
		p->frame_len = frame_len;
		pkt_reset(p);
		ret_pkts[i] = p;
	}
	return n;
}

uint32_t
pool_get_raw(struct pool_cache *cache, struct pkt **ret_pkts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (cache->n == 0 && !load(cache))
			return i;
		ret_pkts[i] = cache->frames[--cache->n];
	}
	return n;
}

void
pool_put(struct pool_cache *cache, struct pkt *const *pkts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (cache->n == CACHE_FRAMES)
			unload(cache, POOL_MAGAZINE);
		cache->frames[cache->n++] = pkts[i];
	}
}
