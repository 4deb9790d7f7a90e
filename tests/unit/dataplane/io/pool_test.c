/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The frame pool: nothing is lost, nothing is given out twice, by one thread and by two.
 */

#include "dataplane/io/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/pkt_ring.h"
#include "tests/lib/tap.h"

#define FRAME_LEN 2048u
#define N_FRAMES  1024u

static uint8_t *memory;

static struct pool *
make_pool(void)
{
	struct pool *pool = NULL;

	memory = aligned_alloc(4096, (size_t)N_FRAMES * FRAME_LEN);
	memset(memory, 0xee, (size_t)N_FRAMES * FRAME_LEN);
	if (pool_create(memory, (size_t)N_FRAMES * FRAME_LEN, FRAME_LEN, &pool) < 0)
		abort();
	return pool;
}

static void
drop_pool(struct pool *pool)
{
	pool_destroy(pool);
	free(memory);
}

static void
frame_lengths_fit_the_mtu(void)
{
	static const struct {
		uint32_t mtu, frame_len;
	} rows[] = {
		{ 1280, 2048 + 64 },
		{ 1420, 2048 + 64 },
		{ 1760, 2048 + 64 },
		{ 1761, 4096 + 64 },
		{ 9000, 16384 + 64 },
		{ 65535, 131072 + 64 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_int(pool_frame_len(rows[i].mtu), rows[i].frame_len, "frame length for an MTU");
}

static void
sizes_are_checked(void)
{
	struct pool *pool;

	memory = aligned_alloc(4096, 4 * 64 * 2048);
	tap_int(pool_create(memory, 4 * 64 * 2048 - 1, 2048, &pool), -EINVAL,
		"less than four magazines");
	tap_int(pool_create(memory, 4 * 64 * 2048, 1024, &pool), -EINVAL, "frames too short");
	tap_int(pool_create(memory, 4 * 64 * 2048, 2049, &pool), -EINVAL, "odd frames");
	tap_int(pool_create(memory, 4 * 64 * 2048, 2048, &pool), 0, "four magazines");
	tap_int(pool_frame_count(pool), 256, "frames of four magazines");
	drop_pool(pool);
}

static int
compare_pointers(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool
all_differ(struct pkt **pkts, uint32_t n)
{
	qsort(pkts, n, sizeof(pkts[0]), compare_pointers);
	for (uint32_t i = 1; i < n; i++) {
		if (pkts[i] == pkts[i - 1])
			return false;
	}
	return true;
}

static void
every_frame_once(void)
{
	struct pool *pool = make_pool();
	struct pkt *pkts[N_FRAMES + 1];
	struct pool_cache cache;
	uint32_t n;

	pool_cache_init(&cache, pool);
	tap_int(pool_free_count(pool), N_FRAMES, "all frames are free at first");
	n = pool_get(&cache, pkts, N_FRAMES + 1);
	tap_int(n, N_FRAMES, "as many as there are, no more");
	tap_int(pool_get(&cache, pkts + n, 1), 0, "an empty pool gives none");
	tap_int(pkts[0]->len, 0, "a frame is empty");
	tap_int(pkts[0]->frame_len, FRAME_LEN, "and knows its length");
	tap_int(pkt_headroom(pkts[0]), PKT_HEADROOM, "headroom of a fresh frame");
	tap_ok(pkts[0]->outer == &pkts[0]->rx_outer && pkts[0]->next == NULL, "it is reset");
	tap_ok(all_differ(pkts, n), "no frame twice");
	tap_ok((uint8_t *)pkts[0] == memory &&
			(uint8_t *)pkts[n - 1] == memory + (size_t)(N_FRAMES - 1) * FRAME_LEN,
		"they lie in the memory given");

	pool_put(&cache, pkts, n);
	tap_ok(pool_free_count(pool) >= N_FRAMES - 2 * POOL_MAGAZINE, "a cache keeps little");
	pool_cache_fini(&cache);
	tap_int(pool_free_count(pool), N_FRAMES, "the end of a cache gives all back");
	drop_pool(pool);
}

// Partly full magazines come and go without using the spare ones up.
static void
caches_come_and_go(void)
{
	struct pool *pool = make_pool();
	struct pkt *pkts[N_FRAMES];
	struct pool_cache a, b;

	for (int i = 0; i < 2000; i++) {
		uint32_t n = 1 + (uint32_t)i % 90;

		pool_cache_init(&a, pool);
		pool_cache_init(&b, pool);
		n = pool_get(&a, pkts, n);
		pool_put(&b, pkts, n);
		pool_cache_fini(&a);
		pool_cache_fini(&b);
	}
	tap_int(pool_free_count(pool), N_FRAMES, "2,000 pairs of caches leave all frames free");
	pool_cache_init(&a, pool);
	tap_int(pool_get(&a, pkts, N_FRAMES), N_FRAMES, "and all can be taken");
	tap_ok(all_differ(pkts, N_FRAMES), "each once");
	drop_pool(pool);
}

struct mover {
	struct pool *pool;
	struct pkt_ring *from, *to;
	uint32_t mark;
	uint32_t doubles; // frames that somebody else held too
	uint32_t moved;
};

// Take, mark, check the marks, and give back: a frame that two threads hold shows another's mark.
static void *
take_and_give(void *arg)
{
	struct mover *m = arg;
	struct pool_cache cache;
	struct pkt *pkts[100];

	pool_cache_init(&cache, m->pool);
	for (uint32_t round = 0; round < 20000; round++) {
		uint32_t n = pool_get(&cache, pkts, 1 + round % 100);

		for (uint32_t i = 0; i < n; i++)
			pkts[i]->peer = m->mark;
		for (uint32_t i = 0; i < n; i++)
			m->doubles += pkts[i]->peer != m->mark;
		m->moved += n;
		pool_put(&cache, pkts, n);
	}
	pool_cache_fini(&cache);
	return NULL;
}

static void
two_threads_share(void)
{
	struct pool *pool = make_pool();
	struct mover movers[2] = { { .pool = pool, .mark = 1 }, { .pool = pool, .mark = 2 } };
	pthread_t other;

	pthread_create(&other, NULL, take_and_give, &movers[1]);
	take_and_give(&movers[0]);
	pthread_join(other, NULL);
	tap_ok(movers[0].moved > 0 && movers[1].moved > 0, "both threads got frames");
	tap_int(movers[0].doubles + movers[1].doubles, 0, "no frame was in two hands");
	tap_int(pool_free_count(pool), N_FRAMES, "none is lost between two threads");
	drop_pool(pool);
}

#define TO_PASS 200000u

// What a receiving thread does: take from the pool, number, hand over.
static void *
produce(void *arg)
{
	struct mover *m = arg;
	struct pool_cache cache;
	struct pkt *pkts[64];

	pool_cache_init(&cache, m->pool);
	while (m->moved < TO_PASS) {
		uint32_t n = pool_get(&cache, pkts, 64), done;

		for (uint32_t i = 0; i < n; i++)
			pkts[i]->counter = m->moved + i;
		done = pkt_ring_put(m->to, pkts, n);
		m->moved += done;
		pool_put(&cache, pkts + done, n - done);
	}
	pool_cache_fini(&cache);
	return NULL;
}

static void
a_ring_keeps_order(void)
{
	struct pool *pool = make_pool();
	struct pkt_ring *ring = aligned_alloc(64, sizeof(*ring));
	struct mover m = { .pool = pool, .to = ring };
	uint32_t next = 0, wrong = 0;
	struct pool_cache cache;
	struct pkt *pkts[50];
	pthread_t producer;

	memset(ring, 0, sizeof(*ring));
	pool_cache_init(&cache, pool);
	pthread_create(&producer, NULL, produce, &m);
	while (next < TO_PASS) {
		uint32_t n = pkt_ring_get(ring, pkts, 50);

		for (uint32_t i = 0; i < n; i++)
			wrong += pkts[i]->counter != next++;
		pool_put(&cache, pkts, n);
	}
	pthread_join(producer, NULL);
	// The producer stops at a multiple of what fitted; what is beyond TO_PASS is still inside.
	while (pkt_ring_get(ring, pkts, 1) == 1)
		pool_put(&cache, pkts, 1);
	pool_cache_fini(&cache);
	tap_int(wrong, 0, "a ring between two threads keeps number and order");
	tap_int(pool_free_count(pool), N_FRAMES,
		"frames that went from thread to thread come back");
	free(ring);
	drop_pool(pool);
}

static void
a_ring_says_full(void)
{
	struct pkt_ring *ring = aligned_alloc(64, sizeof(*ring));
	static struct pkt *in[PKT_RING_SIZE + 1], *out[PKT_RING_SIZE + 1];
	static struct pkt pkts[2];

	memset(ring, 0, sizeof(*ring));
	for (uint32_t i = 0; i <= PKT_RING_SIZE; i++)
		in[i] = &pkts[i & 1];
	tap_ok(pkt_ring_is_empty(ring), "a new ring is empty");
	tap_int(pkt_ring_put(ring, in, PKT_RING_SIZE + 1), PKT_RING_SIZE, "a ring takes its size");
	tap_int(pkt_ring_put(ring, in, 1), 0, "and no more");
	tap_int(pkt_ring_get(ring, out, 3), 3, "three go out");
	tap_int(pkt_ring_put(ring, in, 5), 3, "so three go in");
	tap_int(pkt_ring_get(ring, out, PKT_RING_SIZE + 1), PKT_RING_SIZE, "all come out");
	tap_ok(pkt_ring_is_empty(ring), "it is empty again");
	free(ring);
}

int
main(void)
{
	frame_lengths_fit_the_mtu();
	sizes_are_checked();
	every_frame_once();
	caches_come_and_go();
	two_threads_share();
	a_ring_says_full();
	a_ring_keeps_order();
	return tap_done();
}
