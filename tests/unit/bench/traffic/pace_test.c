/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/pace.h"

#include <stdlib.h>

#include "tests/lib/tap.h"

static const double rates[] = { 1, 3, 7, 1000, 99999, 333333.3, 1e6, 7123456.7, 14880952,
	148809523 };
#define N_RATES (sizeof(rates) / sizeof(rates[0]))

// A poll at any moment gives exactly those whose due time has come, whatever was asked before.
static void
test_exact(void)
{
	unsigned wrong = 0;

	srand(2);
	for (unsigned r = 0; r < N_RATES; r++) {
		struct pace p;
		uint64_t now = 0, n = 0;

		pace_init(&p, rates[r], 0, UINT32_MAX);
		for (unsigned i = 0; i < 20000; i++) {
			uint32_t due = pace_due(&p, now);

			n += due;
			pace_sent(&p, now, due);
			wrong += pace_due(&p, now) != 0 || p.next != n;
			wrong += n > 0 && pace_due_ns(p.packet_ns, n - 1) > now;
			wrong += pace_next_ns(&p) <= now;
			now += (uint64_t)((double)(rand() % 1000) * 2.1 * p.packet_ns / 700);
		}
	}
	tap_int(wrong, 0, "due is what is due, neither more nor less");
}

static void
test_drift(void)
{
	unsigned wrong = 0;

	for (unsigned r = 0; r < N_RATES; r++) {
		struct pace p;
		uint64_t hour = UINT64_C(3600000000000);
		double wanted = rates[r] * 3600;

		pace_init(&p, rates[r], 0, UINT32_MAX);
		while (pace_due(&p, hour - 1) > 0)
			pace_sent(&p, hour - 1, pace_due(&p, hour - 1));
		wrong += (double)p.next < wanted - 1.5 || (double)p.next > wanted + 1.5;
	}
	tap_int(wrong, 0, "after an hour it is right to a packet");
}

static void
test_bursts(void)
{
	struct pace p;
	uint32_t sent = 0, n;

	pace_init(&p, 1e6, 0, 32);
	tap_int(pace_due(&p, 0), 1, "the first is due at once");
	pace_sent(&p, 0, 1);
	tap_int(pace_due(&p, 999), 0, "the second not before its time");
	tap_int(pace_due(&p, 1000), 1, "but then");
	tap_int((long long)pace_next_ns(&p), 1000, "and it is said when");
	for (unsigned calls = 0; calls < 40 && (n = pace_due(&p, 1000000)) > 0; calls++) {
		sent += n <= 32 ? n : 1000000;
		pace_sent(&p, 1000000, n);
	}
	tap_int(sent, 1000,
		"after a pause of 1 ms a thousand are sent, never more than a burst at once");
	tap_int((long long)p.late, 0, "exactly 1 ms is not late");
	tap_int((long long)p.most_ns, 999000, "the oldest was 999 us late");
}

static void
test_late(void)
{
	struct pace p;

	pace_init(&p, 1e6, 0, 64);
	pace_sent(&p, 1050000, 64); // packets 0 to 63, due at 0 to 63 us
	tap_int((long long)p.late, 50, "packets more than 1 ms behind are late, the others not");
	tap_int((long long)p.most_ns, 1050000, "the first was most");
	pace_sent(&p, 1064000, 64); // 64 to 127
	tap_int((long long)p.late, 50, "the next ones are not");
}

static void
test_clock(void)
{
	unsigned ahead = 0, jumps = 0;
	uint64_t before = 0, now = 0;
	struct pace p;

	pace_init(&p, 1e7, 0, 64);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t clock;

		now += i == 1000 ? 1000000 : 100 + (i * 37) % 400; // once a pause of 1 ms
		clock = pace_clock(&p, now);
		ahead += clock > now;
		jumps += clock - before > PACE_PAUSE_NS + PACE_PAUSE_NS / 8 + 1;
		if (i == 999)
			tap_ok(clock == now, "undisturbed, the clock is the time");
		if (i == 1000)
			tap_ok(now - clock > 940000, "it does not jump over a pause");
		before = clock;
	}
	tap_ok(ahead == 0 && jumps == 0, "it is never ahead");
	tap_ok(before == now, "and makes up for the pause");
	pace_init(&p, 1000, 0, 64);
	tap_int((long long)pace_clock(&p, 400000000), 400000000,
		"at a low rate a longer pause does not matter: it is a few packets");
}

static void
test_end(void)
{
	struct pace p;
	uint64_t n = 0;

	pace_init(&p, 100000, 0.25, 7);
	for (uint64_t now = 0; now < UINT64_C(500000000); now += 20000) {
		uint32_t due = pace_due(&p, now);

		n += due;
		pace_sent(&p, now, due);
	}
	tap_int((long long)n, 25000, "rate times seconds, and no more");
	tap_ok(pace_is_done(&p) && pace_next_ns(&p) == UINT64_MAX, "then it is done");
	pace_init(&p, 0, 1, 32);
	tap_int(pace_due(&p, 0), 32, "without a rate a whole burst is always due");
	pace_sent(&p, 5, 32);
	tap_ok(pace_due(&p, 5) == 32 && p.late == 0 && p.next == 32 && !pace_is_done(&p),
		"and never late, and never done");
}

int
main(void)
{
	test_exact();
	test_drift();
	test_bursts();
	test_late();
	test_clock();
	test_end();
	return tap_done();
}
