/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Back ends timed against each other.  What disturbs a measurement only ever makes it longer, so
 * the best of some rounds counts; in each round they take turns, so that a slow second hits all.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/crypto/aead_backend.h"

/* Of this thread's own time: where others take the core away, a race is no shorter, only later. */
#define BUDGET_NS  INT64_C(14000000)
#define MAX_NS     INT64_C(80000000) /* but not for ever */
#define MAX_ROUNDS 40
/* From then on, who is that much slower than the best of a class does not run there any more. */
#define SIFT_ROUND 3
#define SIFT_RATIO 1.5f

/* A size that is frequent, and one burst, for each class. */
static const uint32_t lens[AEAD_SIZE_CLASSES] = { 64, 352, 800, 1420 };
static const uint32_t bursts[AEAD_BURST_CLASSES] = { 1, 2, 5, 32 };
/* How many packets are between two looks at the clock. */
static const uint32_t packets[AEAD_BURST_CLASSES] = { 8, 16, 20, 32 };

#define MAX_PACKETS 32
#define MAX_LEN     1420

struct track {
	struct aead_job jobs[MAX_PACKETS];
	uint8_t keys[MAX_PACKETS][AEAD_KEY_LEN];
	uint8_t data[MAX_PACKETS][MAX_LEN + AEAD_TAG_LEN];
};

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
line_up(struct track *t, uint32_t len)
{
	for (size_t i = 0; i < MAX_PACKETS; i++) {
		memset(t->keys[i], (int)i + 1, AEAD_KEY_LEN);
		t->jobs[i] = (struct aead_job){ .data = t->data[i], .key = t->keys[i], .len = len };
	}
}

// Per packet.
static float
time_direction(struct track *t, void (*run)(struct aead_job *, size_t), size_t burst_class)
{
	size_t n = bursts[burst_class], all = packets[burst_class];
	int64_t start = clock_ns(CLOCK_MONOTONIC), took;

	for (size_t i = 0; i < all; i += n)
		run(t->jobs + i, n);
	took = clock_ns(CLOCK_MONOTONIC) - start;
	return (float)(took > 0 ? took : 1) / (float)all;
}

static void
keep_best(float *best, float ns)
{
	if (*best == 0 || ns < *best)
		*best = ns;
}

static float
both_ways(const struct aead_times *times, size_t burst_class, size_t size_class)
{
	return times->ns[0][burst_class][size_class] + times->ns[1][burst_class][size_class];
}

static bool
is_hopeless(const struct aead_times *times, size_t n, size_t i, size_t b, size_t s)
{
	for (size_t other = 0; other < n; other++)
		if (both_ways(&times[i], b, s) > SIFT_RATIO * both_ways(&times[other], b, s))
			return true;
	return false;
}

static void
run_class(struct track *t,
	const struct aead_backend *const *backends,
	size_t n,
	struct aead_times *times,
	int round,
	size_t b,
	size_t s)
{
	line_up(t, lens[s]);
	for (size_t i = 0; i < n; i++) {
		if (round >= SIFT_ROUND && is_hopeless(times, n, i, b, s))
			continue;
		// What was sealed is opened, so that every tag is right.
		keep_best(&times[i].ns[0][b][s], time_direction(t, backends[i]->seal, b));
		keep_best(&times[i].ns[1][b][s], time_direction(t, backends[i]->open, b));
	}
}

static bool
is_over(int64_t start, int64_t used)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - used > BUDGET_NS ||
	       clock_ns(CLOCK_MONOTONIC) - start > MAX_NS;
}

int
aead_race(const struct aead_backend *const *backends, size_t n, struct aead_times *ret_times)
{
	struct track *t = calloc(1, sizeof(*t));
	int64_t start = clock_ns(CLOCK_MONOTONIC), used = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (t == NULL)
		return -ENOMEM;
	memset(ret_times, 0, n * sizeof(*ret_times));
	for (int round = 0; round < MAX_ROUNDS; round++) {
		for (size_t i = 0; i < AEAD_BURST_CLASSES * AEAD_SIZE_CLASSES; i++) {
			if (round > 0 && is_over(start, used))
				goto free_track;
			run_class(t, backends, n, ret_times, round, i / AEAD_SIZE_CLASSES,
				i % AEAD_SIZE_CLASSES);
		}
	}
free_track:
	free(t);
	return 0;
}
