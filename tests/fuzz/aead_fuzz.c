/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A burst of packets as the input says, by every back end, against libsodium: lengths, alignments,
 * keys (some shared), what is forged and where, and texts that may be anything, since what is
 * opened may be.
 *
 * Six bytes a packet: length (two), flags, alignment, seed of key and text, place of a forgery.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead_backend.h"
#include "lib/crypto/key.h"

#define RECORD    6
#define MAX_BURST 130
#define MAX_LEN   9216

enum {
	FORGED = 1,
	IN_TAG = 2,
	SHARED_KEY = 4, /* with the packet before it */
	FLAT_TEXT = 8,  /* one byte all over: zeros and ones are Poly1305's edges */
	SHORT = 16,     /* length by one byte */
	LIKE_LAST = 32, /* the length of the packet before it */
};

struct packet {
	uint8_t *memory; /* no byte more than is used, so that the sanitizer sees each too many */
	uint8_t *text;
	uint8_t key[AEAD_KEY_LEN];
	uint8_t flags, place;
};

static struct packet packets[MAX_BURST];
static struct aead_job jobs[MAX_BURST];
static uint8_t *wanted[MAX_BURST]; // sealed by libsodium
static size_t n;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void
fill(uint8_t *p, size_t len, uint8_t seed, bool flat)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < len; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = flat ? seed : (uint8_t)(state >> 56);
	}
}

static uint32_t
length_of(const uint8_t *record, uint32_t last)
{
	uint32_t len = (uint32_t)(record[0] | record[1] << 8) % (MAX_LEN + 1);

	if ((record[2] & LIKE_LAST) != 0)
		return last;
	return (record[2] & SHORT) != 0 ? len & 0xff : len;
}

static void
make_packet(size_t i, const uint8_t *record)
{
	struct packet *p = &packets[i];
	uint32_t len = length_of(record, i > 0 ? jobs[i - 1].len : 0);
	size_t shift = record[3] % 64;

	p->flags = record[2];
	p->place = record[5];
	p->memory = must(malloc(shift + len + AEAD_TAG_LEN));
	p->text = must(malloc(len + AEAD_TAG_LEN));
	fill(p->key, AEAD_KEY_LEN, record[4], false);
	fill(p->text, len, record[4], (p->flags & FLAT_TEXT) != 0);
	jobs[i] = (struct aead_job){
		.data = p->memory + shift,
		.key = i > 0 && (p->flags & SHARED_KEY) != 0 ? jobs[i - 1].key : p->key,
		.counter = i * UINT64_C(0x0101010101010101) + record[4],
		.len = len,
	};
	memcpy(jobs[i].data, p->text, len);
}

static void
seal_by_oracle(void)
{
	aead_sodium.seal(jobs, n);
	for (size_t i = 0; i < n; i++) {
		wanted[i] = must(malloc(jobs[i].len + AEAD_TAG_LEN));
		memcpy(wanted[i], jobs[i].data, jobs[i].len + AEAD_TAG_LEN);
	}
}

static void
check_seal(const struct aead_backend *backend)
{
	for (size_t i = 0; i < n; i++)
		memcpy(jobs[i].data, packets[i].text, jobs[i].len);
	backend->seal(jobs, n);
	for (size_t i = 0; i < n; i++)
		if (memcmp(jobs[i].data, wanted[i], jobs[i].len + AEAD_TAG_LEN) != 0)
			abort();
}

// Where it is wrong: counted from the tag, or from the text's begin.
static uint8_t *
forged_byte(size_t i, uint8_t *sealed)
{
	if ((packets[i].flags & IN_TAG) != 0 || jobs[i].len == 0)
		return sealed + jobs[i].len + packets[i].place % AEAD_TAG_LEN;
	return sealed + packets[i].place * (size_t)37 % jobs[i].len;
}

static void
flip_forged(size_t i, uint8_t *sealed)
{
	if ((packets[i].flags & FORGED) != 0)
		*forged_byte(i, sealed) ^= (uint8_t)(1 << (packets[i].place >> 4) % 8);
}

// After check_seal().
static void
check_open(const struct aead_backend *backend)
{
	for (size_t i = 0; i < n; i++) {
		jobs[i].ok = (packets[i].flags & FORGED) != 0;
		flip_forged(i, jobs[i].data);
	}
	backend->open(jobs, n);
	for (size_t i = 0; i < n; i++) {
		bool forged = (packets[i].flags & FORGED) != 0;

		if (jobs[i].ok == forged)
			abort();
		flip_forged(i, jobs[i].data); // what is refused is as it was: now as it was sealed
		if (memcmp(jobs[i].data, forged ? wanted[i] : packets[i].text, jobs[i].len) != 0)
			abort();
		if (forged && memcmp(jobs[i].data, wanted[i], jobs[i].len + AEAD_TAG_LEN) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	const char *const *names;
	size_t n_names;

	if (!ready && (crypto_init() < 0 || aead_init(NULL) < 0))
		abort();
	ready = true;
	for (n = 0; n < MAX_BURST && (n + 1) * RECORD <= len; n++)
		make_packet(n, data + n * RECORD);
	seal_by_oracle();
	names = aead_backends(&n_names);
	for (size_t i = 0; i < n_names; i++) {
		check_seal(aead_find(names[i]));
		check_open(aead_find(names[i]));
	}
	for (size_t i = 0; i < n; i++) {
		free(packets[i].memory);
		free(packets[i].text);
		free(wanted[i]);
	}
	return 0;
}
