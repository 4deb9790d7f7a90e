/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rings by rows: full, empty, wrapped, taken over, and counts that cannot be.
 */

#include "lib/shm/ring.h"

#include <string.h>

#include "tests/lib/tap.h"

#define N_SLOTS 8u

struct record {
	uint64_t number;
	uint64_t twice;
};

static struct shm_ring_producer head;
static struct shm_ring_consumer tail;
static struct record slots[N_SLOTS];
static struct shm_ring_tx tx;
static struct shm_ring_rx rx;

static void
join(void)
{
	shm_ring_tx_init(&tx, &head, &tail, slots, sizeof(slots[0]), N_SLOTS);
	shm_ring_rx_init(&rx, &tail, &head, slots, sizeof(slots[0]), N_SLOTS);
}

// Counts begin there: a ring that has run for long.
static void
start_at(uint32_t count)
{
	memset(slots, 0xee, sizeof(slots));
	atomic_store(&head.head, count);
	atomic_store(&tail.tail, count);
	atomic_store(&tail.asleep, 0);
	join();
}

static bool
put(uint64_t number)
{
	struct record *r = shm_ring_reserve(&tx);

	if (r == NULL)
		return false;
	*r = (struct record){ number, number * 2 };
	shm_ring_publish(&tx);
	return true;
}

static bool
get(uint64_t number)
{
	struct record r;

	if (!shm_ring_peek(&rx, &r) || r.number != number || r.twice != number * 2)
		return false;
	shm_ring_advance(&rx);
	return true;
}

static void
fills_and_empties(uint32_t count, const char *where)
{
	struct record r;
	bool good = true;

	start_at(count);
	tap_ok(!shm_ring_peek(&rx, &r), "%s: nothing in a new ring", where);
	for (uint64_t i = 0; i < N_SLOTS; i++)
		good &= put(i) && shm_ring_used(&tx) == i + 1;
	tap_ok(good, "every slot can be filled");
	tap_ok(shm_ring_reserve(&tx) == NULL, "then it is full");
	tap_ok(get(0) && put(100) && !put(101), "one out, one in");
	for (uint64_t i = 1; i < N_SLOTS; i++)
		good &= get(i);
	tap_ok(good && get(100) && !shm_ring_peek(&rx, &r), "what comes out is what went in");
	tap_ok(!tx.violated && !rx.violated, "nobody did wrong");
}

static void
unpublished_and_unadvanced(void)
{
	struct record r;

	start_at(0);
	tap_ok(shm_ring_reserve(&tx) != NULL && !shm_ring_peek(&rx, &r),
		"a slot that is not published does not exist");
	put(7);
	tap_ok(shm_ring_peek(&rx, &r) && shm_ring_peek(&rx, &r) && r.number == 7,
		"one that is not given back is seen again");
}

static void
taken_over(void)
{
	struct record r;

	start_at(UINT32_MAX - 2);
	put(1);
	put(2);
	put(3);
	get(1);
	shm_ring_peek(&rx, &r);
	join();
	tap_ok(shm_ring_peek(&rx, &r) && r.number == 2,
		"a successor sees again what was not given back");
	tap_ok(put(4) && get(2) && get(3) && get(4), "and goes on");
	for (uint64_t i = 0; i < N_SLOTS; i++)
		put(i);
	join();
	tap_ok(shm_ring_reserve(&tx) == NULL && !tx.violated,
		"a full ring is full for a successor");
	tap_ok(get(0) && put(9), "until something is given back");
}

static void
bells(void)
{
	start_at(0);
	tap_ok(!shm_ring_wants_bell(&tx), "a consumer that is awake wants no bell");
	tap_ok(shm_ring_sleep(&rx), "an empty ring: it may sleep");
	put(1);
	tap_ok(shm_ring_wants_bell(&tx), "and wants its bell");
	shm_ring_wake(&rx);
	tap_ok(!shm_ring_wants_bell(&tx), "awake again, it does not");
	tap_ok(!shm_ring_sleep(&rx) && !shm_ring_wants_bell(&tx),
		"with something there it must not sleep");
}

// --- the other side lies -----------------------------------------------------------------------

static const struct {
	const char *what;
	uint32_t off; // of the true count
	bool is_possible;
} heads[] = {
	{ "the truth", 0, true },
	{ "one more than there is", 1, true }, // the slot's contents are hostile anyway
	{ "as many as there are slots", N_SLOTS - 3, true },
	{ "one more than that", N_SLOTS - 2, false },
	{ "half the range ahead", 0x80000000, false },
	{ "behind the tail", UINT32_MAX - 3, false },
	{ "at the tail", UINT32_MAX - 2, true },
};

static void
lying_producer(void)
{
	struct record r;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		start_at(1000);
		put(1);
		put(2);
		put(3);
		atomic_store(&head.head, 1003 + heads[i].off);
		(void)shm_ring_peek(&rx, &r);
		tap_ok(rx.violated == !heads[i].is_possible, "a head that says %s: %s",
			heads[i].what, heads[i].is_possible ? "possible" : "violated");
		if (!rx.violated)
			continue;
		atomic_store(&head.head, 1003);
		tap_ok(!shm_ring_peek(&rx, &r) && shm_ring_sleep(&rx),
			"what was violated gives nothing any more");
		join();
		tap_ok(shm_ring_peek(&rx, &r), "until it is joined anew");
	}
}

static const struct {
	const char *what;
	uint32_t tail;
	bool is_possible;
} tails[] = {
	{ "nothing read", 1000, true },
	{ "half of it", 1004, true },
	{ "all of it", 1008, true },
	{ "more than there was", 1009, false },
	{ "backwards", 999, false },
	{ "far ahead", 0x80000000, false },
	{ "zero", 0, false },
};

static void
lying_consumer(void)
{
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		start_at(1000);
		for (uint64_t k = 0; k < N_SLOTS; k++)
			put(k);
		atomic_store(&tail.tail, tails[i].tail);
		(void)shm_ring_used(&tx);
		tap_ok(tx.violated == !tails[i].is_possible, "a tail that says %s: %s",
			tails[i].what, tails[i].is_possible ? "possible" : "violated");
		if (tx.violated) {
			atomic_store(&tail.tail, 1008);
			tap_ok(shm_ring_reserve(&tx) == NULL,
				"what was violated takes nothing any more");
		}
	}
	start_at(1000);
	put(1);
	put(2);
	get(1);
	(void)shm_ring_used(&tx);
	atomic_store(&tail.tail, 1000);
	(void)shm_ring_used(&tx);
	tap_ok(tx.violated, "a tail that was seen further on must not come back");
}

int
main(void)
{
	fills_and_empties(0, "from 0");
	fills_and_empties(UINT32_MAX - 3, "across the wrap of the counts");
	unpublished_and_unadvanced();
	taken_over();
	bells();
	lying_producer();
	lying_consumer();
	return tap_done();
}
