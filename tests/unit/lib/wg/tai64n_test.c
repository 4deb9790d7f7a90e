/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/tai64n.h"

#include "tests/lib/tap.h"

#define STEP_NS 16777216

static void
layout(void)
{
	// The timestamp of the vector "no-psk" in tests/vectors/wireguard.json: 2026-01-02 02:34:56
	// UTC.
	struct wg_tai64n t = wg_tai64n_from_unix(1767323046, 0x23abcdef);
	struct wg_tai64n epoch = wg_tai64n_from_unix(0, 999999999);

	tap_bytes(t.bytes, "\x40\0\0\0\x69\x57\x35\xb0\x23\0\0\0", 12,
		"2^62 + 10 + seconds, nanoseconds, both big-endian, 24 bits cleared");
	tap_bytes(epoch.bytes, "\x40\0\0\0\0\0\0\x0a\x3b\0\0\0", 12, "1970 and its last step");
}

static void
order(void)
{
	struct wg_tai64n a = wg_tai64n_from_unix(255, 0), b = wg_tai64n_from_unix(256, 0);
	struct wg_tai64n c = wg_tai64n_from_unix(255, STEP_NS), zero = {};

	tap_ok(wg_tai64n_compare(&a, &b) < 0, "a second later is greater");
	tap_ok(wg_tai64n_compare(&b, &a) > 0, "and the reverse");
	tap_ok(wg_tai64n_compare(&a, &c) < 0, "a step later is greater");
	tap_ok(wg_tai64n_compare(&a, &a) == 0, "equal is equal");
	tap_ok(wg_tai64n_compare(&zero, &a) < 0, "zeros are before any");
}

// The clock stands, steps back, jumps: what is sent only grows, and follows the clock when it can.
static void
after(void)
{
	struct wg_tai64n clock = wg_tai64n_from_unix(1000, 5 * STEP_NS), last = {}, next;
	int wrong = 0;

	next = wg_tai64n_after(&last, &clock);
	tap_ok(wg_tai64n_compare(&next, &clock) == 0, "the first is the clock's");
	last = next;
	for (int i = 0; i < 1000; i++) {
		next = wg_tai64n_after(&last, &clock);
		wrong += wg_tai64n_compare(&next, &last) <= 0 ||
		         (next.bytes[9] | next.bytes[10] | next.bytes[11]) != 0;
		last = next;
	}
	tap_int(wrong, 0, "a clock that stands still gives 1000 growing whitened values");
	next = wg_tai64n_from_unix(1000 + 17, 0);
	tap_ok(wg_tai64n_compare(&last, &next) < 0 && last.bytes[8] < 0x3c,
		"of 16.8 ms each, with a carry into the seconds");

	last = wg_tai64n_from_unix(1000000, 0);
	next = wg_tai64n_after(&last, &clock);
	tap_ok(wg_tai64n_compare(&next, &last) > 0, "greater, though the clock went back");
	clock = wg_tai64n_from_unix(1000001, 0);
	next = wg_tai64n_after(&next, &clock);
	tap_ok(wg_tai64n_compare(&next, &clock) == 0, "the clock's again once it is ahead");

	last = (struct wg_tai64n){ { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1 } };
	clock = (struct wg_tai64n){};
	next = wg_tai64n_after(&last, &clock);
	tap_bytes(next.bytes, "\0\0\0\0\0\0\0\1\1\0\0\0", 12, "from a value that is not whitened");
}

int
main(void)
{
	layout();
	order();
	after();
	return tap_done();
}
