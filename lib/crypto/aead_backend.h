/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a ChaCha20-Poly1305 implementation offers to aead.c.  Private to lib/crypto and its tests.
 *
 * A new back end is one file with one such structure, a row in aead.c, and a line in meson.build;
 * where it cannot be built, a file `..._absent.c` with the same symbol takes its place.  A file
 * that is built for one instruction set alone has nothing in it that runs before is_available()
 * said yes, and is_available() asks for every flag that the file is built with (the operating
 * system's part of it too: __builtin_cpu_supports() does).
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
	/*
	 * As aead_seal() and aead_open(): any thread, any n (0 too), any mixture of lengths, keys
	 * (the same one in several jobs too) and alignments, no allocation per burst, no failure.
	 * Nothing outside data[0 .. len + AEAD_TAG_LEN) is read or written, not even beside it.
	 * open verifies in constant time, and leaves what it refuses exactly as it was.  No key,
	 * no keystream and no expected tag stays behind in memory that others get to see.
	 */
	void (*seal)(struct aead_job *jobs, size_t n);
	void (*open)(struct aead_job *jobs, size_t n);
};

extern const struct aead_backend aead_sodium; /* runs everywhere; the others are measured by it */
extern const struct aead_backend aead_ipsec_mb;
extern const struct aead_backend aead_avx2;   /* 8 lanes across packets */
extern const struct aead_backend aead_avx512; /* 16 lanes, IFMA */

/* ---- parts of aead_init() ---- */

/* Known answers: a quarter of a megabyte while they are asked for.  NULL: no memory. */
struct aead_check *aead_check_create(void);
void aead_check_destroy(struct aead_check *c);
/*
 * Does it give the known answers, in bursts of several sizes, and refuse what is forged as the
 * contract above asks?  The first to be asked must be the oracle.
 */
[[nodiscard]] bool aead_check_passes(struct aead_check *c, const struct aead_backend *backend);

/* Of one packet, in nanoseconds, best of some rounds. */
struct aead_times {
	float ns[AEAD_DIRECTIONS][AEAD_BURST_CLASSES][AEAD_SIZE_CLASSES];
};

/*
 * Time n back ends against each other.  ret_times: n of them.  Takes up to 15 ms, or one round if
 * that is longer.  Returns 0 or -ENOMEM.
 */
[[nodiscard]] int
aead_race(const struct aead_backend *const *backends, size_t n, struct aead_times *ret_times);

/*
 * aead_init() with the back ends given, n <= AEAD_MAX_BACKENDS, the oracle first, the most
 * preferred last.  `forced` is the name that must be used, or NULL.  The pointers are kept.  For
 * aead_init() and for tests, which hand in back ends that are wrong.
 */
[[nodiscard]] int aead_choose(const struct aead_backend *const *all,
	size_t n,
	const char *forced,
	const char **ret_refused);

/* The name lists' entry; NULL if there is none that works here.  For tests. */
const struct aead_backend *aead_find(const char *name);

#endif
