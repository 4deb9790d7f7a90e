/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Does the time of a cipher depend on what is secret?  Two classes of input, taken in random turns;
 * Welch's t says whether their mean times differ by more than chance.
 *
 * Source: O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code constant time?", 2017.  It
 * shows leaks; it proves no absence of them. Owner:  the caller's; measurements are kept in memory
 * of the call. Thread: any, one that stays on its core.
 */
#ifndef BENCH_MICRO_TIMING_H
#define BENCH_MICRO_TIMING_H

#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/aead_backend.h"

enum timing_test {
	/* One fixed key and plaintext against random ones. */
	TIMING_SEAL,
	TIMING_OPEN,
	/* A tag whose first byte is wrong against one whose last is.  That a packet is refused is
	 * public; how near it came is not. */
	TIMING_REFUSE,
	TIMING_TESTS
};
extern const char *const timing_test_names[TIMING_TESTS];

/* |t| from which on it should be looked at, and beyond any doubt. */
#define TIMING_LOOK 4.5
#define TIMING_LEAK 10.0

#define TIMING_MAX_LEN   2048
#define TIMING_MAX_BURST 64

struct timing_result {
	double t; /* the largest by amount of those below; positive: the first class is slower */
	double share;  /* of the measurements that it was computed from, the fastest */
	size_t n;      /* measurements, both classes */
	double tsc[2]; /* mean time of a burst by class, in TSC ticks, of the fastest 90 % */
};

/*
 * Measure for so many seconds (1,000 measurements at least).  len <= TIMING_MAX_LEN, 1 <= burst <=
 * TIMING_MAX_BURST; all packets of a burst are of the measurement's class.  Returns 0 or -ENOMEM.
 */
[[nodiscard]] int timing_measure(const struct aead_backend *backend,
	enum timing_test test,
	uint32_t len,
	size_t burst,
	double seconds,
	struct timing_result *ret_result);

/*
 * Welch's t of two classes: value[i] belongs to class[i], 0 or 1.  Only values below `limit` count.
 * 0 where there are too few, or they do not vary.
 */
double timing_welch_t(const double *value, const uint8_t *class, size_t n, double limit);

/*
 * One that leaks, to show that it is found: it seals in a time that hangs on a bit of the key, and
 * compares tags up to the first difference.
 */
extern const struct aead_backend timing_leaky;

#endif
