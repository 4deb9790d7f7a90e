/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows and sweeps: ../shared/design/reliability.md 2.2, with this ring's window: what is at most W
 * behind the newest is judged exactly, older counters may still be accepted, once.  So rows of the
 * source that demand "too old" are kept only where the word has moved on.
 */

#include "lib/wg/replay.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

#define W  ((uint64_t)WG_REPLAY_WINDOW)
#define L  (W + 1)
#define RE WG_REJECT_AFTER_MESSAGES

static const struct {
	const char *what;
	uint64_t counter;
	bool fresh;
} story[] = {
	{ "the first counter is 0", 0, true },
	{ "the next is 1", 1, true },
	{ "1 again is a repeat", 1, false },
	{ "a gap is fine", 9, true },
	{ "late, but inside", 8, true },
	{ "late, but inside", 7, true },
	{ "7 is a repeat", 7, false },
	{ "a jump of a window", L, true },
	{ "one behind the newest", L - 1, true },
	{ "again", L - 1, false },
	{ "and the one before", L - 2, true },
	{ "2 is still inside", 2, true },
	{ "once", 2, false },
	{ "half a block on", L + 16, true },
	{ "again", L + 16, false },
	{ "seen long ago, word not moved on: still known", 7, false },
	{ "a jump of several windows", 4 * L, true },
	{ "the oldest counter of the window", 4 * L - W, true },
	{ "again", 4 * L - W, false },
	{ "the newest again", 4 * L, false },
	{ "a counter whose word has moved on", 4 * L - 8192, false },
	{ "another inside", 4 * L - (W - 1), true },
	{ "8,192 on from 0 its word moves", 8192, true },
	{ "0 is behind its word", 0, false },
	{ "the first forbidden counter", RE, false },
	{ "the last allowed one", RE - 1, true },
	{ "forbidden still", RE, false },
	{ "a repeat", RE - 1, false },
	{ "the one before", RE - 2, true },
	{ "beyond", RE + 1, false },
	{ "beyond", RE + 2, false },
	{ "a repeat", RE - 2, false },
	{ "the one before that", RE - 3, true },
	{ "the largest number", UINT64_MAX, false },
	{ "0, after all this", 0, false },
};

static void
tell_story(void)
{
	struct wg_replay *r = calloc(1, sizeof(*r));

	for (size_t i = 0; i < sizeof(story) / sizeof(story[0]); i++) {
		bool check = wg_replay_check(r, story[i].counter);

		tap_int(wg_replay_accept(r, story[i].counter), story[i].fresh, story[i].what);
		tap_int(check, story[i].fresh, "and the check before agrees");
	}
	free(r);
}

// Offer `from` to `to`, up or down; each must be accepted.
static int
sweep(struct wg_replay *r, uint64_t from, uint64_t to)
{
	int wrong = 0;

	for (uint64_t c = from;; c = from < to ? c + 1 : c - 1) {
		wrong += !wg_replay_check(r, c) || !wg_replay_accept(r, c);
		wrong += wg_replay_check(r, c) || wg_replay_accept(r, c);
		if (c == to)
			return wrong;
	}
}

static void
sweeps(void)
{
	struct wg_replay *r = calloc(1, sizeof(*r));

	tap_int(sweep(r, 1, W) + sweep(r, 0, 0), 0, "up from 1 to W, then 0");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, 2, W + 1) + sweep(r, 1, 1), 0, "up from 2 to W+1, then 1");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, W, 0), 0, "down from W to 0");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, W + 1, 1), 0, "down from W+1 to 1");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, W, 1) + sweep(r, W + 1, W + 1), 0, "down from W to 1, then W+1");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, W, 1) + sweep(r, 0, 0) + sweep(r, W + 1, W + 1), 0,
		"down from W to 1, 0, W+1");
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, 0, 100000), 0, "100,000 in order");
	tap_int(sweep(r, 100000 + 3 * W, 100000 + 2 * W), 0, "a window downwards after a jump");
	free(r);
}

// The same window anywhere in the range: each offset, also across the tag's wrap at 2^45.
static void
anywhere(void)
{
	static const uint64_t bases[] = {
		31,
		32,
		8191,
		8192,
		(UINT64_C(1) << 32) - 5,
		(UINT64_C(1) << 37) - 3,
		(UINT64_C(1) << 44) + 1,
		(UINT64_C(1) << 45) - 20000,
		RE - 8192,
	};
	struct wg_replay *r = calloc(1, sizeof(*r));

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		memset(r, 0, sizeof(*r));
		tap_int(sweep(r, bases[i] + W, bases[i]), 0,
			"a fresh ring takes a window anywhere");
	}
	memset(r, 0, sizeof(*r));
	tap_int(sweep(r, (UINT64_C(1) << 44) - 20000, (UINT64_C(1) << 44) + 20000), 0,
		"in order across 2^44: tags are distinct up to 2^45");
	memset(r, 0, sizeof(*r));
	for (uint64_t c = (UINT64_C(1) << 45) - 16384; c < (UINT64_C(1) << 45) + 16384; c++)
		(void)wg_replay_accept(r, c);
	int twice = 0;
	for (uint64_t c = (UINT64_C(1) << 45) - 16384; c < (UINT64_C(1) << 45) + 16384; c++)
		twice += wg_replay_accept(r, c);
	for (uint64_t c = 0; c < 16384; c++)
		(void)wg_replay_accept(r, c);
	for (uint64_t c = (UINT64_C(1) << 45) - 16384; c < (UINT64_C(1) << 45) + 16384; c++)
		twice += wg_replay_accept(r, c);
	tap_int(twice, 0, "nothing is accepted twice across 2^45, where tags repeat");
	free(r);
}

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

// Naive twin: all counters ever seen, one byte each, and the newest.
static void
against_twin(void)
{
	enum {
		RANGE = 1 << 22
	};
	uint8_t *seen = calloc(RANGE, 1);
	struct wg_replay *r = calloc(1, sizeof(*r));
	uint64_t x = 88172645463325252, newest = 0;
	int twice = 0, lost = 0, differ = 0;

	for (int i = 0; i < 4000000; i++) {
		uint64_t back = next_random(&x) % (x & 0x100000 ? 9000 : 60), c;
		uint64_t ahead = next_random(&x) % (x % 5000 == 0 ? 20000 : 2);
		bool check, accepted;

		c = newest + ahead > back ? newest + ahead - back : 0;
		if (c >= RANGE)
			break;
		check = wg_replay_check(r, c);
		accepted = wg_replay_accept(r, c);
		differ += check != accepted;
		twice += accepted && seen[c];
		lost += !accepted && !seen[c] && c + W >= newest;
		seen[c] |= accepted;
		if (accepted && c > newest)
			newest = c;
	}
	tap_ok(newest > 1000000, "a random walk of %llu counters", (unsigned long long)newest);
	tap_int(twice, 0, "no counter twice");
	tap_int(lost, 0, "no new counter inside the window refused");
	tap_int(differ, 0, "check and accept agree");
	free(r);
	free(seen);
}

// Two workers, one ring.
struct race {
	struct wg_replay ring;
	_Atomic uint64_t next;  // first of the next 64 counters that nobody has offered
	_Atomic uint64_t at[2]; // what each thread is offering; it never looks back
	_Atomic int accepted, refused, twice;
	uint64_t range;
};

struct racer {
	struct race *race;
	int self;
};

// Not further ahead of the other than the window, so that the guarantee covers what the other
// offers.
static void
keep_close(struct racer *me, uint64_t at)
{
	atomic_store(&me->race->at[me->self], at);
	while (at > atomic_load(&me->race->at[!me->self]) + W - 128)
		sched_yield();
}

// Each counter is offered by one thread only, and again by it, some time later.
static void *
run_fresh(void *arg)
{
	struct racer *me = arg;
	struct race *race = me->race;
	uint64_t base, before[64] = {};

	while ((base = atomic_fetch_add(&race->next, 64)) < race->range) {
		int accepted = 0, twice = 0;
		uint64_t *old = &before[base / 64 % 64];

		keep_close(me, base);
		for (uint64_t c = base; c < base + 64; c++)
			accepted += wg_replay_accept(&race->ring, c);
		for (uint64_t c = *old; *old != 0 && c < *old + 64; c++)
			twice += wg_replay_accept(&race->ring, c);
		*old = base;
		race->accepted += accepted;
		race->refused += 64 - accepted;
		race->twice += twice;
	}
	atomic_store(&race->at[me->self], UINT64_MAX / 2);
	return NULL;
}

// Both offer every counter: each must be accepted by one of them.
static void *
run_same(void *arg)
{
	struct racer *me = arg;
	struct race *race = me->race;
	int accepted = 0;

	for (uint64_t c = 0; c < race->range; c++) {
		if (c % 16 == 0)
			keep_close(me, c);
		// One thread goes backwards within each 16, so that they do not march in step.
		accepted += wg_replay_accept(&race->ring, me->self ? (c ^ 15) : c);
	}
	race->accepted += accepted;
	atomic_store(&race->at[me->self], UINT64_MAX / 2);
	return NULL;
}

static struct race *
run_race(void *(*run)(void *), uint64_t range)
{
	struct race *race = calloc(1, sizeof(*race));
	struct racer racers[2] = { { race, 0 }, { race, 1 } };
	pthread_t other;

	race->range = range;
	if (pthread_create(&other, NULL, run, &racers[1]) != 0) {
		printf("Bail out! no second thread\n");
		exit(1);
	}
	run(&racers[0]);
	pthread_join(other, NULL);
	return race;
}

static void
two_threads(void)
{
	const uint64_t range = 1 << 21;
	struct race *race = run_race(run_fresh, range);

	tap_int(race->accepted, (long long)range, "two threads: every new counter is accepted");
	tap_int(race->refused, 0, "none of them refused");
	tap_int(race->twice, 0, "none accepted again later");
	free(race);
	race = run_race(run_same, range);
	tap_int(race->accepted, (long long)range, "two threads, same counters: each accepted once");
	free(race);
}

int
main(void)
{
	tell_story();
	sweeps();
	anywhere();
	against_twin();
	two_threads();
	return tap_done();
}
