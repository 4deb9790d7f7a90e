/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rings between two threads: a million records arrive once each and in order; and an other side
 * that writes anything anywhere at full speed never makes this one crash, loop, or go out of
 * bounds.
 */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/shm/ring.h"
#include "tests/lib/tap.h"

#define N_SLOTS   64u
#define N_RECORDS 1000000u
#define HOSTILE_S 2

struct record {
	uint64_t number;
	uint64_t check;
	uint8_t more[48];
};

// What each side may write lies apart, as in the two regions.
static struct producer_side {
	struct shm_ring_producer head;
	_Alignas(64) struct record slots[N_SLOTS];
} producer;
static struct consumer_side {
	struct shm_ring_consumer tail;
} consumer;

static void *
produce(void *arg)
{
	struct shm_ring_tx tx;

	(void)arg;
	shm_ring_tx_init(&tx, &producer.head, &consumer.tail, producer.slots,
		sizeof(producer.slots[0]), N_SLOTS);
	for (uint64_t i = 0; i < N_RECORDS;) {
		struct record *r = shm_ring_reserve(&tx);

		if (r == NULL) {
			if (tx.violated)
				return (void *)1;
			sched_yield();
			continue;
		}
		r->number = i;
		r->check = ~i;
		memset(r->more, (int)i, sizeof(r->more));
		shm_ring_publish(&tx);
		i++;
	}
	return NULL;
}

static void
a_million_records(void)
{
	struct shm_ring_rx rx;
	uint64_t wrong = 0;
	struct record r;
	pthread_t thread;
	void *failed;

	shm_ring_rx_init(&rx, &consumer.tail, &producer.head, producer.slots,
		sizeof(producer.slots[0]), N_SLOTS);
	if (pthread_create(&thread, NULL, produce, NULL) != 0)
		abort();
	for (uint64_t i = 0; i < N_RECORDS && !rx.violated;) {
		if (!shm_ring_peek(&rx, &r)) {
			sched_yield();
			continue;
		}
		wrong += r.number != i || r.check != ~i || r.more[0] != (uint8_t)i ||
		         r.more[47] != (uint8_t)i;
		shm_ring_advance(&rx);
		i++;
	}
	pthread_join(thread, &failed);
	tap_int((long long)wrong, 0, "a million records, whole and in order");
	tap_ok(failed == NULL && !rx.violated, "no side did wrong");
	tap_ok(!shm_ring_peek(&rx, &r), "and none twice");
}

// --- a hostile other side ------------------------------------------------------------------------

static _Atomic int stop;

static uint64_t
next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

// Mostly values near the true ones, which pass the checks; sometimes anything.
static uint32_t
near(uint64_t *state, uint32_t count)
{
	uint64_t r = next(state);

	return r % 16 == 0 ? (uint32_t)(r >> 16)
	                   : count + (uint32_t)(r >> 16) % (2 * N_SLOTS) - N_SLOTS / 2;
}

static void *
write_as_producer(void *arg)
{
	uint64_t state = 88172645463325252;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		volatile uint8_t *bytes = (volatile uint8_t *)producer.slots;

		atomic_store_explicit(&producer.head.head,
			near(&state,
				atomic_load_explicit(&consumer.tail.tail, memory_order_relaxed)),
			memory_order_relaxed);
		for (int i = 0; i < 8; i++)
			bytes[next(&state) % sizeof(producer.slots)] = (uint8_t)next(&state);
	}
	return NULL;
}

static void *
write_as_consumer(void *arg)
{
	uint64_t state = 88172645463325252;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		atomic_store_explicit(&consumer.tail.tail,
			near(&state,
				atomic_load_explicit(&producer.head.head, memory_order_relaxed)),
			memory_order_relaxed);
		atomic_store_explicit(
			&consumer.tail.asleep, (uint32_t)next(&state), memory_order_relaxed);
	}
	return NULL;
}

static bool
is_over(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec ||
	       (now.tv_sec == end->tv_sec && now.tv_nsec > end->tv_nsec);
}

static struct timespec
in_a_while(void)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += HOSTILE_S;
	return end;
}

static void
hostile_producer(void)
{
	struct timespec end = in_a_while();
	uint64_t taken = 0, joined = 0, too_many = 0;
	pthread_t thread;

	atomic_store(&stop, 0);
	if (pthread_create(&thread, NULL, write_as_producer, NULL) != 0)
		abort();
	while (!is_over(&end)) {
		struct shm_ring_rx rx;

		shm_ring_rx_init(&rx, &consumer.tail, &producer.head, producer.slots,
			sizeof(producer.slots[0]), N_SLOTS);
		joined++;
		for (int i = 0; i < 1000 && !rx.violated; i++) {
			struct record copy[3];
			uint32_t before = rx.tail;

			memset(&copy[0], 0xa5, sizeof(copy));
			if (!shm_ring_peek(&rx, &copy[1]))
				continue;
			for (size_t k = 0; k < sizeof(copy[0]); k++)
				too_many += ((uint8_t *)&copy[0])[k] != 0xa5 ||
				            ((uint8_t *)&copy[2])[k] != 0xa5;
			shm_ring_advance(&rx);
			too_many += rx.tail != before + 1;
			taken++;
		}
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	tap_ok(too_many == 0, "a hostile producer: one slot at a time, not a byte beyond");
	tap_ok(taken > 0 && joined > 1, "some were taken, and lies were found");
}

static void
hostile_consumer(void)
{
	struct timespec end = in_a_while();
	uint64_t put = 0, joined = 0, outside = 0, overfull = 0;
	pthread_t thread;

	atomic_store(&stop, 0);
	if (pthread_create(&thread, NULL, write_as_consumer, NULL) != 0)
		abort();
	while (!is_over(&end)) {
		struct shm_ring_tx tx;

		shm_ring_tx_init(&tx, &producer.head, &consumer.tail, producer.slots,
			sizeof(producer.slots[0]), N_SLOTS);
		joined++;
		for (int i = 0; i < 1000 && !tx.violated; i++) {
			struct record *r = shm_ring_reserve(&tx);

			overfull += shm_ring_used(&tx) > N_SLOTS;
			if (r == NULL || tx.violated)
				continue;
			outside += r < producer.slots || r >= producer.slots + N_SLOTS;
			r->number = (uint64_t)i;
			shm_ring_publish(&tx);
			put++;
			(void)shm_ring_wants_bell(&tx);
		}
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	tap_ok(outside == 0 && overfull == 0,
		"a hostile consumer: no slot but the ring's, never more");
	tap_ok(put > 0 && joined > 1, "some were put, and lies were found");
}

// "honest" leaves out what is a race by design, for a run under ThreadSanitizer.
int
main(int argc, char **argv)
{
	a_million_records();
	if (argc > 1 && strcmp(argv[1], "honest") == 0)
		return tap_done();
	hostile_producer();
	hostile_consumer();
	return tap_done();
}
