/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/timing.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#define MAX_MEASUREMENTS 400000
#define MIN_MEASUREMENTS 1000
#define POOL_LEN         (64 * 1024)
#define SLOT             (TIMING_MAX_LEN + AEAD_TAG_LEN)

const char *const timing_test_names[TIMING_TESTS] = { "seal", "open", "refuse" };

struct inputs {
	uint8_t keys[TIMING_MAX_BURST][AEAD_KEY_LEN];
	uint8_t data[TIMING_MAX_BURST][SLOT];
};

struct bench {
	struct aead_job jobs[TIMING_MAX_BURST];
	struct inputs fixed, random, work;
	uint8_t pool[POOL_LEN + SLOT];
	uint64_t state;
	double value[MAX_MEASUREMENTS];
	double sorted[MAX_MEASUREMENTS];
	uint8_t class[MAX_MEASUREMENTS];
	size_t n;
};

/* ---- statistics ---- */

double
timing_welch_t(const double *value, const uint8_t *class, size_t n, double limit)
{
	double mean[2] = { 0 }, squares[2] = { 0 }, count[2] = { 0 }, error;

	for (size_t i = 0; i < n; i++) {
		size_t c = class[i];
		double delta = value[i] - mean[c];

		if (value[i] >= limit)
			continue;
		count[c]++;
		mean[c] += delta / count[c];
		squares[c] += delta * (value[i] - mean[c]);
	}
	if (count[0] < 2 || count[1] < 2)
		return 0;
	error = squares[0] / (count[0] - 1) / count[0] + squares[1] / (count[1] - 1) / count[1];
	return error > 0 ? (mean[0] - mean[1]) / sqrt(error) : 0;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
mean_below(const struct bench *b, uint8_t class, double limit)
{
	double sum = 0, count = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (b->class[i] != class || b->value[i] >= limit)
			continue;
		sum += b->value[i];
		count++;
	}
	return count > 0 ? sum / count : 0;
}

// What interrupts a measurement hides small differences: the slowest are left out, at several
// places.
static void
evaluate(struct bench *b, struct timing_result *result)
{
	static const double shares[] = { 1.0, 0.99, 0.9, 0.75, 0.5, 0.25 };

	memcpy(b->sorted, b->value, b->n * sizeof(b->value[0]));
	qsort(b->sorted, b->n, sizeof(b->sorted[0]), by_size);
	*result = (struct timing_result){ .n = b->n, .share = 1 };
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		// Equal values are all left out or all in; at 1.0 all are in.
		double limit = i == 0 ? INFINITY
		                      : b->sorted[(size_t)(shares[i] * (double)(b->n - 1))] + 0.5;
		double t = timing_welch_t(b->value, b->class, b->n, limit);

		if (fabs(t) > fabs(result->t)) {
			result->t = t;
			result->share = shares[i];
		}
	}
	for (uint8_t c = 0; c < 2; c++)
		result->tsc[c] = mean_below(b, c, b->sorted[b->n * 9 / 10] + 0.5);
}

/* ---- inputs ---- */

static uint64_t
next_random(struct bench *b)
{
	b->state ^= b->state >> 12; // xorshift64*
	b->state ^= b->state << 25;
	b->state ^= b->state >> 27;
	return b->state * UINT64_C(0x2545f4914f6cdd1d);
}

static void
init(struct bench *b, uint32_t len, size_t burst)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	b->state = ((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec) | 1;
	for (size_t i = 0; i < sizeof(b->pool); i++)
		b->pool[i] = (uint8_t)(next_random(b) >> 56);
	memset(&b->fixed, 0, sizeof(b->fixed));
	for (size_t i = 0; i < burst; i++)
		b->jobs[i] = (struct aead_job){
			.data = b->work.data[i], .key = b->work.keys[i], .counter = i, .len = len
		};
}

// Without a branch or an address that depends on the class, or that would be what is measured.
static void
blend(uint8_t *to, const uint8_t *fixed, const uint8_t *random, uint8_t class, size_t len)
{
	uint8_t mask = (uint8_t) - class;

	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)((fixed[i] & ~mask) | (random[i] & mask));
}

/*
 * Class 0 has the fixed key and text, class 1 others each time; where verdicts are timed both have
 * others, and another byte of the tag is wrong.  All memory is touched for both.
 */
static void
prepare(struct bench *b, enum timing_test test, uint32_t len, size_t burst, uint8_t class)
{
	uint8_t blended = test == TIMING_REFUSE ? 1 : class;
	uint8_t mask = (uint8_t) - class;

	for (size_t i = 0; i < burst; i++) {
		memcpy(b->random.keys[i], b->pool + next_random(b) % POOL_LEN, AEAD_KEY_LEN);
		memcpy(b->random.data[i], b->pool + next_random(b) % POOL_LEN, len);
		blend(b->work.keys[i], b->fixed.keys[i], b->random.keys[i], blended, AEAD_KEY_LEN);
		blend(b->work.data[i], b->fixed.data[i], b->random.data[i], blended, len);
	}
	if (test == TIMING_SEAL)
		return;
	aead_sodium.seal(b->jobs, burst); // the same for all that are tested
	for (size_t i = 0; i < burst && test == TIMING_REFUSE; i++) {
		b->work.data[i][len] ^= (uint8_t)~mask;
		b->work.data[i][len + AEAD_TAG_LEN - 1] ^= mask;
	}
}

static uint64_t
time_burst(void (*run)(struct aead_job *, size_t), struct aead_job *jobs, size_t n)
{
	unsigned core;
	uint64_t begin, end;

	_mm_mfence();
	_mm_lfence();
	begin = __rdtsc();
	_mm_lfence();
	run(jobs, n);
	end = __rdtscp(&core);
	_mm_lfence();
	return end - begin;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
timing_measure(const struct aead_backend *backend,
	enum timing_test test,
	uint32_t len,
	size_t burst,
	double seconds,
	struct timing_result *ret_result)
{
	void (*run)(struct aead_job *, size_t) =
		test == TIMING_SEAL ? backend->seal : backend->open;
	struct bench *b = calloc(1, sizeof(*b));
	double end = now_s() + seconds;
	const size_t warm_up = 100;

	if (b == NULL)
		return -ENOMEM;
	assert(len <= TIMING_MAX_LEN && burst >= 1 && burst <= TIMING_MAX_BURST);
	init(b, len, burst);
	for (size_t i = 0; b->n < MAX_MEASUREMENTS; i++) {
		uint8_t class = (uint8_t)(next_random(b) >> 63);
		uint64_t took;

		if (i % 64 == 0 && b->n >= MIN_MEASUREMENTS && now_s() >= end)
			break;
		prepare(b, test, len, burst, class);
		took = time_burst(run, b->jobs, burst);
		if (i < warm_up)
			continue;
		b->class[b->n] = class;
		b->value[b->n++] = (double)took;
	}
	evaluate(b, ret_result);
	free(b);
	return 0;
}

/* ---- what leaks ---- */

static bool
yes(void)
{
	return true;
}

// Sealing what came undoes the cipher, sealing that again gives the tag that should have come.
static void
leaky_open(struct aead_job *jobs, size_t n)
{
	for (struct aead_job *job = jobs; job < jobs + n; job++) {
		uint8_t came[AEAD_TAG_LEN];
		const uint8_t *wanted = job->data + job->len;
		size_t same = 0;

		memcpy(came, wanted, AEAD_TAG_LEN);
		aead_sodium.seal(job, 1);
		aead_sodium.seal(job, 1);
		while (same < AEAD_TAG_LEN && came[same] == wanted[same]) {
			__asm__ volatile("" ::: "memory"); // stays a loop over bytes
			same++;
		}
		memcpy(job->data + job->len, came, AEAD_TAG_LEN);
		job->ok = same == AEAD_TAG_LEN;
		if (job->ok)
			aead_sodium.open(job, 1);
	}
}

static void
leaky_seal(struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int delay = (jobs[i].key[0] & 1) != 0 ? 40 : 0;

		for (int k = 0; k < delay; k++)
			__asm__ volatile("" ::: "memory");
		aead_sodium.seal(&jobs[i], 1);
	}
}

const struct aead_backend timing_leaky = {
	.name = "leaky",
	.is_available = yes,
	.seal = leaky_seal,
	.open = leaky_open,
};
