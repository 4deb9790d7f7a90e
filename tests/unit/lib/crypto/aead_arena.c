/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/lib/crypto/aead_arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE     4096
#define WATCHED  64 /* bytes on either side that must stay */
#define CANARY   0xa5
#define KEY_STEP (AEAD_KEY_LEN + 1) /* keys too are aligned to nothing */
#define KEYS_LEN (2 * PAGE)
#define POOL_LEN (64 * 1024)

static_assert(ARENA_BURST * KEY_STEP <= KEYS_LEN);
static_assert(ARENA_REGION % PAGE == 0 && ARENA_REGION >= ARENA_MAX_LEN + PAGE / 2);

static uint8_t pool[POOL_LEN + ARENA_MAX_LEN]; // random bytes, to be copied from anywhere

static uint8_t *
must_map(size_t len)
{
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void
must_guard(uint8_t *page)
{
	if (mprotect(page, PAGE, PROT_NONE) != 0) {
		perror("mprotect");
		exit(1);
	}
}

uint64_t
arena_random(struct arena *a)
{
	a->random ^= a->random >> 12; // xorshift64*
	a->random ^= a->random << 25;
	a->random ^= a->random >> 27;
	return a->random * UINT64_C(0x2545f4914f6cdd1d);
}

struct arena *
arena_create(uint64_t seed)
{
	size_t step = ARENA_REGION + PAGE;
	struct arena *a = (struct arena *)must_map(sizeof(*a));
	uint8_t *map = must_map(ARENA_BURST * step + PAGE + KEYS_LEN + PAGE);
	uint8_t *others = must_map(2 * (size_t)ARENA_BURST * ARENA_REGION);

	a->random = 1; // the pool is always the same: a burst follows from its seed alone
	for (size_t i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)(arena_random(a) >> 56);
	a->random = seed != 0 ? seed : 1;
	for (size_t i = 0; i < ARENA_BURST; i++) {
		must_guard(map + i * step);
		a->region[i] = map + i * step + PAGE;
		a->twin[i] = others + 2 * i * ARENA_REGION;
		a->plain[i] = others + (2 * i + 1) * ARENA_REGION;
	}
	must_guard(map + ARENA_BURST * step);
	a->keys_end = map + ARENA_BURST * step + PAGE + KEYS_LEN;
	must_guard(a->keys_end);
	return a;
}

static size_t
offset_of(const struct arena *a, size_t i)
{
	return (size_t)(a->jobs[i].data - a->region[i]);
}

// The part of a region that is compared.
static size_t
watched(const struct arena *a, size_t i, size_t *ret_begin)
{
	size_t at = offset_of(a, i), end = at + a->jobs[i].len + AEAD_TAG_LEN + WATCHED;

	*ret_begin = at > WATCHED ? at - WATCHED : 0;
	return (end < ARENA_REGION ? end : ARENA_REGION) - *ret_begin;
}

void
arena_put(struct arena *a, size_t i, size_t at, uint32_t len)
{
	uint8_t *key = a->keys_end - AEAD_KEY_LEN - i * KEY_STEP;
	size_t begin, n;

	assert(i < ARENA_BURST && at + len + AEAD_TAG_LEN <= ARENA_REGION && len <= ARENA_MAX_LEN);
	memcpy(key, pool + arena_random(a) % POOL_LEN, AEAD_KEY_LEN);
	a->jobs[i] = (struct aead_job){
		.data = a->region[i] + at,
		.key = key,
		.counter = arena_random(a),
		.len = len,
		.ok = arena_random(a) & 1,
	};
	a->twins[i] = a->jobs[i];
	a->twins[i].data = a->twin[i] + at;
	a->forged[i] = false;
	n = watched(a, i, &begin);
	memset(a->region[i] + begin, CANARY, n);
	memcpy(a->plain[i], pool + arena_random(a) % POOL_LEN, len);
	memcpy(a->jobs[i].data, a->plain[i], len);
	memcpy(a->twin[i] + begin, a->region[i] + begin, n);
}

void
arena_put_last(struct arena *a, size_t i, uint32_t len)
{
	arena_put(a, i, ARENA_REGION - AEAD_TAG_LEN - len, len);
}

void
arena_share_key(struct arena *a, size_t i, size_t j)
{
	a->jobs[i].key = a->twins[i].key = a->jobs[j].key;
}

static bool
is_as_wanted(const struct arena *a, size_t i)
{
	const struct aead_job *job = &a->jobs[i], *twin = &a->twins[i];
	size_t begin, n = watched(a, i, &begin);

	return memcmp(a->region[i] + begin, a->twin[i] + begin, n) == 0 && job->len == twin->len &&
	       job->key == twin->key && job->counter == twin->counter;
}

int
arena_seal(struct arena *a, const struct aead_backend *backend, size_t n)
{
	int wrong = 0;

	backend->seal(a->jobs, n);
	aead_sodium.seal(a->twins, n);
	for (size_t i = 0; i < n; i++)
		wrong += !is_as_wanted(a, i);
	return wrong;
}

void
arena_forge(struct arena *a, size_t i, bool in_tag)
{
	size_t from = in_tag ? a->jobs[i].len : 0;
	size_t byte = from + arena_random(a) % (a->jobs[i].len + AEAD_TAG_LEN - from);
	uint8_t bit = (uint8_t)(1 << arena_random(a) % 8);

	a->jobs[i].data[byte] ^= bit;
	a->twins[i].data[byte] ^= bit;
	a->forged[i] = true;
}

int
arena_open(struct arena *a, const struct aead_backend *backend, size_t n)
{
	int wrong = 0;

	for (size_t i = 0; i < n; i++) {
		a->jobs[i].ok = a->forged[i]; // the wrong answer, lest it be left as it was
		if (!a->forged[i])
			memcpy(a->twins[i].data, a->plain[i], a->jobs[i].len);
	}
	backend->open(a->jobs, n);
	for (size_t i = 0; i < n; i++)
		wrong += a->jobs[i].ok == a->forged[i] || !is_as_wanted(a, i);
	return wrong;
}
