/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A burst of packets for the tests of back ends.  Each lies in a region of its own, with pages
 * before and behind it that nobody may touch; so do the keys.  Beside each lies its twin, for what
 * libsodium makes of it.
 */
#ifndef TESTS_UNIT_LIB_CRYPTO_AEAD_ARENA_H
#define TESTS_UNIT_LIB_CRYPTO_AEAD_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/aead_backend.h"

#define ARENA_BURST   130
#define ARENA_MAX_LEN 9216
#define ARENA_REGION  12288 /* bytes that may be touched, a page or more of which are spare */

struct arena {
	struct aead_job jobs[ARENA_BURST];
	struct aead_job twins[ARENA_BURST];
	bool forged[ARENA_BURST];
	uint8_t *region[ARENA_BURST]; /* ARENA_REGION bytes between two guards */
	uint8_t *twin[ARENA_BURST];
	uint8_t *plain[ARENA_BURST];
	uint8_t *keys_end; /* the last key ends where a guard begins */
	uint64_t random;   /* state of a reproducible sequence, not a good one */
};

/* Never NULL: ends the test without memory.  Not freed: the process ends soon. */
struct arena *arena_create(uint64_t seed);

uint64_t arena_random(struct arena *a);

/* Packet i, of random content, key and counter, `at` bytes from its region's begin. */
void arena_put(struct arena *a, size_t i, size_t at, uint32_t len);
/* The same with the end of its tag at the guard. */
void arena_put_last(struct arena *a, size_t i, uint32_t len);
/* Packet i has the key of packet j. */
void arena_share_key(struct arena *a, size_t i, size_t j);

/* Seal packets 0 to n - 1.  Returns how many are not what libsodium makes of them, to the byte,
 * 64 bytes on either side included. */
[[nodiscard]] int arena_seal(struct arena *a, const struct aead_backend *backend, size_t n);

/* Spoil one random bit of packet i, which was sealed: of its tag, if it must be. */
void arena_forge(struct arena *a, size_t i, bool in_tag);

/* Open them.  Returns how many are not as they should be: ok right, the plaintext there or what was
 * forged left to the byte, 64 bytes on either side included. */
[[nodiscard]] int arena_open(struct arena *a, const struct aead_backend *backend, size_t n);

#endif
