/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The ciphers that are measured: each back end of lib/crypto, the front that chooses among them
 * ("sluice"), and OpenSSL.
 *
 * Thread: one.
 */
#ifndef BENCH_MICRO_SUBJECT_H
#define BENCH_MICRO_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/aead.h"

#define SUBJECTS_MAX (AEAD_MAX_BACKENDS + 2)
#define SUBJECT_KEYS 64

struct subject {
	const char *name;
	bool is_library; /* others' code: what ours is compared with */
	void (*seal)(struct aead_job *jobs, size_t n);
	void (*open)(struct aead_job *jobs, size_t n);
};

/* The keys that jobs may use: OpenSSL has a context ready for each. */
extern uint8_t subject_keys[SUBJECT_KEYS][AEAD_KEY_LEN];

/*
 * All that work here, "sluice" first; aead_init() was called.  Returns their number.  Where
 * OpenSSL has no ChaCha20-Poly1305 (FIPS), it is not among them.
 */
size_t subjects_find(struct subject subjects[static SUBJECTS_MAX]);
void subjects_free(void);

/* libsodium, by which the others are checked. */
const struct subject *subject_oracle(void);

/*
 * OpenSSL's EVP, with a context for each key and direction made beforehand: a packet sets its
 * nonce alone.  (Giving the key anew with each packet costs more.)
 */
[[nodiscard]] bool subject_openssl_init(struct subject *ret);
void subject_openssl_fini(void);

#endif
