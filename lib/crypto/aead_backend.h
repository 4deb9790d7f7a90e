/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a ChaCha20-Poly1305 implementation offers to aead.c.  Private to lib/crypto and its tests.
 *
 * A new back end is one file with one such structure, a row in aead.c, and a line in meson.build;
 * where it cannot be built, a file `..._absent.c` with the same symbol takes its place.
 */
#ifndef LIB_CRYPTO_AEAD_BACKEND_H
#define LIB_CRYPTO_AEAD_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/crypto/aead.h"

struct aead_backend {
	const char *name;
	/* Does this CPU run it?  Called before the others, from aead_init() only. */
	bool (*is_available)(void);
	/* As aead_seal() and aead_open(): any thread, no allocation per burst, no failure. */
	void (*seal)(struct aead_job *jobs, size_t n);
	void (*open)(struct aead_job *jobs, size_t n);
};

extern const struct aead_backend aead_sodium; /* runs everywhere; the others are measured by it */
extern const struct aead_backend aead_ipsec_mb;

#define AEAD_MAX_BACKENDS 8

/*
 * aead_init() with the back ends given, n <= AEAD_MAX_BACKENDS, the oracle first.  `forced` is the
 * name that must be used, or NULL.  The pointers are kept.  For aead_init() and for tests, which
 * hand in back ends that are wrong.
 */
[[nodiscard]] int aead_choose(const struct aead_backend *const *all,
	size_t n,
	const char *forced,
	const char **ret_refused);

/* The name lists' entry; NULL if there is none that works here.  For tests. */
const struct aead_backend *aead_find(const char *name);

#endif
