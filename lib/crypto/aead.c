/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/crypto/aead.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/crypto/aead_answers.h"
#include "lib/crypto/aead_backend.h"
#include "lib/crypto/hash.h"

static const struct aead_backend *const built_in[] = {
	&aead_sodium, // the oracle
	&aead_ipsec_mb,
};

// Written by aead_init(), read only afterwards.
static const struct aead_backend *chosen = &aead_sodium;
static const struct aead_backend *working[AEAD_MAX_BACKENDS];
static const char *working_names[AEAD_MAX_BACKENDS];
static size_t n_working;

/* ---- known answers ---- */

#define SLOT_LEN (ANSWER_MAX_LEN + AEAD_TAG_LEN)

struct answer_bench {
	struct aead_job jobs[ANSWER_COUNT];
	uint8_t keys[ANSWER_COUNT][AEAD_KEY_LEN];
	uint8_t plain[SLOT_LEN];
	uint8_t data[ANSWER_COUNT][SLOT_LEN];
};

// The same in tests/vectors/aead_known_answers.py.
static void
answer_fill(size_t i, uint8_t key[static AEAD_KEY_LEN], uint8_t *plain, uint64_t *ret_counter)
{
	for (size_t j = 0; j < AEAD_KEY_LEN; j++)
		key[j] = (uint8_t)(i * 37 + j * 11 + 5);
	for (size_t j = 0; j < answers[i].len; j++)
		plain[j] = (uint8_t)(i * 59 + j * 7 + (j >> 8) * 13 + 1);
	*ret_counter = UINT64_C(0x0123456789abcdef) * (i + 1);
}

static void
bench_fill(struct answer_bench *b)
{
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		struct aead_job *job = &b->jobs[i];

		*job = (struct aead_job){
			.data = b->data[i], .key = b->keys[i], .len = answers[i].len
		};
		answer_fill(i, b->keys[i], b->data[i], &job->counter);
	}
}

static bool
seals_right(struct answer_bench *b, const struct aead_backend *backend)
{
	uint8_t digest[HASH_LEN];

	backend->seal(b->jobs, ANSWER_COUNT);
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		struct bytes_ref sealed = { b->data[i], answers[i].len + AEAD_TAG_LEN };

		hash_blake2s(digest, &sealed, 1);
		if (memcmp(digest, answers[i].digest, sizeof(digest)) != 0)
			return false;
	}
	return true;
}

// Every third packet has a wrong bit, in its tag (the first of them in the tag's last byte) or in
// the last byte of its data.
static uint8_t *
byte_to_forge(struct answer_bench *b, size_t i)
{
	uint8_t *tag = &b->data[i][answers[i].len];

	if (i % 3 != 0)
		return NULL;
	return i % 2 == 0 ? &tag[AEAD_TAG_LEN - 1 - i % AEAD_TAG_LEN] : tag - 1;
}

static_assert(ANSWER_COUNT > 6, "there are packets of each kind");

static bool
opens_right(struct answer_bench *b, const struct aead_backend *backend)
{
	uint8_t key[AEAD_KEY_LEN];
	uint64_t counter;

	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		uint8_t *forge = byte_to_forge(b, i);

		b->jobs[i].ok = forge != NULL; // the wrong answer, lest it be left as it was
		if (forge != NULL)
			*forge ^= 0x80;
	}
	backend->open(b->jobs, ANSWER_COUNT);
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		bool forged = byte_to_forge(b, i) != NULL;

		if (b->jobs[i].ok == forged)
			return false;
		answer_fill(i, key, b->plain, &counter);
		if (!forged && memcmp(b->data[i], b->plain, answers[i].len) != 0)
			return false;
	}
	return true;
}

static bool
answers_right(struct answer_bench *b, const struct aead_backend *backend)
{
	bench_fill(b);
	return seals_right(b, backend) && opens_right(b, backend);
}

/* ---- speed ---- */

#define RACE_BURST  32 /* packets, each with its own key */
#define RACE_ROUNDS 12

static const uint32_t race_lens[] = { 64, 352, 1420 };
#define RACE_SIZES (sizeof(race_lens) / sizeof(race_lens[0]))

struct race_bench {
	struct aead_job jobs[RACE_BURST];
	uint8_t keys[RACE_BURST][AEAD_KEY_LEN];
	uint8_t data[RACE_BURST][1420 + AEAD_TAG_LEN];
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

// Best of some rounds: what disturbs a round only ever makes it slower.
static double
race_ns(struct race_bench *b, const struct aead_backend *backend, uint32_t len)
{
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i < RACE_BURST; i++) {
		memset(b->keys[i], (int)i + 1, AEAD_KEY_LEN);
		b->jobs[i] = (struct aead_job){ .data = b->data[i], .key = b->keys[i], .len = len };
	}
	for (int round = 0; round < RACE_ROUNDS; round++) {
		uint64_t start = now_ns();
		uint64_t took;

		backend->seal(b->jobs, RACE_BURST);
		backend->open(b->jobs, RACE_BURST);
		took = now_ns() - start;
		if (took < best)
			best = took;
	}
	return (double)(best > 0 ? best : 1);
}

// The smallest sum of times, each as a multiple of the best time at that size.
static const struct aead_backend *
fastest(struct race_bench *b)
{
	double took_ns[AEAD_MAX_BACKENDS][RACE_SIZES];
	double best_ns[RACE_SIZES];
	const struct aead_backend *winner = NULL;
	double winner_sum = 0;

	for (size_t s = 0; s < RACE_SIZES; s++) {
		best_ns[s] = 0;
		for (size_t i = 0; i < n_working; i++) {
			took_ns[i][s] = race_ns(b, working[i], race_lens[s]);
			if (i == 0 || took_ns[i][s] < best_ns[s])
				best_ns[s] = took_ns[i][s];
		}
	}
	for (size_t i = 0; i < n_working; i++) {
		double sum = 0;

		for (size_t s = 0; s < RACE_SIZES; s++)
			sum += took_ns[i][s] / best_ns[s];
		if (winner == NULL || sum < winner_sum) {
			winner = working[i];
			winner_sum = sum;
		}
	}
	return winner;
}

/* ---- choice ---- */

// Room for both, once, instead of a quarter of a megabyte that stays.
union bench {
	struct answer_bench answer;
	struct race_bench race;
};

static void
check_all(union bench *bench,
	const struct aead_backend *const *all,
	size_t n,
	const char **ret_refused)
{
	n_working = 0;
	for (size_t i = 0; i < n; i++) {
		if (!all[i]->is_available())
			continue;
		if (!answers_right(&bench->answer, all[i])) {
			if (ret_refused != NULL)
				*ret_refused = all[i]->name;
			continue;
		}
		working[n_working] = all[i];
		working_names[n_working++] = all[i]->name;
	}
}

int
aead_choose(const struct aead_backend *const *all,
	size_t n,
	const char *forced,
	const char **ret_refused)
{
	union bench *bench;
	int err = 0;

	assert(n >= 1 && n <= AEAD_MAX_BACKENDS);
	bench = calloc(1, sizeof(*bench));
	if (bench == NULL)
		return -ENOMEM;

	check_all(bench, all, n, ret_refused);
	if (n_working == 0 || working[0] != all[0]) {
		err = ERR_BAD_MAC;
		goto free_bench;
	}
	if (forced == NULL) {
		chosen = fastest(&bench->race);
	} else if (aead_find(forced) != NULL) {
		chosen = aead_find(forced);
	} else {
		err = -ENOENT;
	}

free_bench:
	free(bench);
	return err;
}

const struct aead_backend *
aead_find(const char *name)
{
	for (size_t i = 0; i < n_working; i++) {
		if (strcmp(working_names[i], name) == 0)
			return working[i];
	}
	return NULL;
}

int
aead_init(const char **ret_refused)
{
	const char *forced = getenv("SLUICE_AEAD");

	if (forced != NULL && forced[0] == '\0')
		forced = NULL;
	if (ret_refused != NULL)
		*ret_refused = NULL;
	return aead_choose(built_in, sizeof(built_in) / sizeof(built_in[0]), forced, ret_refused);
}

const char *
aead_backend(void)
{
	return chosen->name;
}

const char *const *
aead_backends(size_t *ret_count)
{
	*ret_count = n_working;
	return working_names;
}

void
aead_seal(struct aead_job *jobs, size_t n)
{
	chosen->seal(jobs, n);
}

void
aead_open(struct aead_job *jobs, size_t n)
{
	chosen->open(jobs, n);
}
