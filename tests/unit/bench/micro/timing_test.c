/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The constant-time check: its statistics, and that it finds what leaks.
 */

#include "bench/micro/timing.h"

#include <math.h>
#include <stdio.h>

#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

static bool
is_near(double got, double wanted)
{
	return fabs(got - wanted) < 1e-6;
}

// Means 23.5 and 20.5, variances 3.5 each: (23.5 - 20.5) / sqrt(3.5 / 6 + 3.5 / 6).
static void
test_welch(void)
{
	static const double value[] = { 21, 18, 22, 19, 23, 20, 24, 21, 25, 22, 26, 23, 1e6 };
	static const uint8_t class[] = { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1 };

	tap_ok(is_near(timing_welch_t(value, class, 12, INFINITY), 3 / sqrt(3.5 / 3)),
		"t of two classes");
	tap_ok(is_near(timing_welch_t(value, class, 13, 1000), 3 / sqrt(3.5 / 3)),
		"what is above the limit does not count");
	tap_ok(timing_welch_t(value, class, 13, INFINITY) < 0, "without a limit it does");
	tap_ok(timing_welch_t(value, class, 3, INFINITY) == 0, "too few of a class say nothing");
	tap_ok(timing_welch_t(value, class, 0, INFINITY) == 0, "nor do none");
}

// A busy machine may spoil one try.
static bool
finds(enum timing_test test)
{
	struct timing_result r = {};

	for (int try = 0; try < 3; try++) {
		if (timing_measure(&timing_leaky, test, 64, 1, 0.3, &r) < 0)
			return false;
		printf("# %s: t %.1f of %zu measurements, %.1f and %.1f ticks\n",
			timing_test_names[test], r.t, r.n, r.tsc[0], r.tsc[1]);
		if (fabs(r.t) > TIMING_LEAK)
			return true;
	}
	return false;
}

// The other way round: what leaks in none of three tries.
static bool
clears(enum timing_test test)
{
	struct timing_result r = {};

	for (int try = 0; try < 3; try++)
		if (timing_measure(&aead_sodium, test, 64, 1, 0.3, &r) == 0 &&
			fabs(r.t) <= TIMING_LEAK)
			return true;
	return false;
}

static void
test_leaks(void)
{
	struct timing_result r = {};

	tap_ok(finds(TIMING_SEAL), "time that hangs on a bit of the key is found");
	tap_ok(finds(TIMING_REFUSE), "a compare up to the first difference is found");
	tap_ok(clears(TIMING_SEAL), "libsodium seals in constant time");
	tap_ok(clears(TIMING_REFUSE), "and refuses in constant time");
	tap_int(timing_measure(&aead_sodium, TIMING_OPEN, TIMING_MAX_LEN, TIMING_MAX_BURST, 0, &r),
		0, "the longest packets, the largest burst");
	tap_ok(r.n >= 1000 && r.tsc[0] > 0 && r.tsc[1] > 0, "are measured a thousand times");
}

int
main(void)
{
	tap_int(crypto_init(), 0, "the library works");
	test_welch();
	test_leaks();
	return tap_done();
}
