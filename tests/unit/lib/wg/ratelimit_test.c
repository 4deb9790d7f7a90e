/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Timing and capacity rows: ../shared/design/reliability.md 2.3, V-22 and V-23.
 */

#include "lib/wg/ratelimit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wg/limits.h"
#include "tests/lib/tap.h"

static const uint8_t key[WG_RATELIMIT_KEY_LEN] = "0123456789abcdef";

static const struct {
	int after_ms; // since the row before
	bool accepted;
} rows[] = {
	{ 0, true }, { 0, true }, { 0, true }, { 0, true }, { 0, true }, // a burst of five
	{ 0, false },                                                    // and no more
	{ 50, true }, { 0, false },                                      // a token after 50 ms
	{ 100, true }, { 0, true }, { 0, false },                        // two after 100 ms
};

static struct addr
v4(uint32_t a)
{
	return (struct addr){ ADDR_V4,
		{ (uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a } };
}

static void
timing(void)
{
	struct wg_ratelimit_entry *entries = calloc(64, sizeof(*entries));
	struct wg_ratelimit limit;
	struct mono now = { 1000 * NS_PER_S };
	struct addr a = v4(0x0a000001), b = v4(0x0a000002);
	struct addr c = { ADDR_V6, { 0x20, 1, 0xd, 0xb8 } }, d = c;

	d.bytes[7] = 1;
	wg_ratelimit_init(&limit, entries, 64, key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		now = mono_add_ns(now, rows[i].after_ms * NS_PER_MS);
		c.bytes[15] = (uint8_t)i; // another host, same /64: the same source
		c.bytes[8] = (uint8_t)(i * 7);
		tap_int(wg_ratelimit_accept(&limit, &a, now), rows[i].accepted, "an IPv4 source");
		tap_int(wg_ratelimit_accept(&limit, &b, now), rows[i].accepted, "another one");
		tap_int(wg_ratelimit_accept(&limit, &c, now), rows[i].accepted, "hosts of a /64");
		tap_int(wg_ratelimit_accept(&limit, &d, now), rows[i].accepted, "another /64");
	}
	tap_int(limit.count, 4, "four sources are known");
	tap_ok(!wg_ratelimit_accept(&limit, &a, mono_add_ns(now, -NS_PER_S)),
		"a time before the last gives no token");
	wg_ratelimit_collect(&limit, mono_add_ns(now, 2 * NS_PER_S));
	tap_int(limit.count, 0, "and none after two seconds");
	free(entries);
}

// Long-term rate: asked every millisecond for 10 s, 5 + 20 a second.
static void
rate(void)
{
	struct wg_ratelimit_entry entries[4] = {};
	struct wg_ratelimit limit;
	struct mono now = { 77 * NS_PER_S };
	struct addr a = v4(1);
	int accepted = 0;

	wg_ratelimit_init(&limit, entries, 4, key);
	for (int ms = 0; ms < 10000; ms++, now = mono_add_ns(now, NS_PER_MS))
		accepted += wg_ratelimit_accept(&limit, &a, now);
	tap_ok(accepted >= 203 && accepted <= 205, "10 s of asking gives 5 + 200 (%d)", accepted);
}

static void
capacity(void)
{
	struct wg_ratelimit_entry *entries = calloc(WG_RATE_MAX_SOURCES, sizeof(*entries));
	struct wg_ratelimit limit;
	struct mono now = { 5 * NS_PER_S };
	struct addr a;
	uint32_t n = 0;

	wg_ratelimit_init(&limit, entries, WG_RATE_MAX_SOURCES, key);
	for (uint32_t i = 0; i < WG_RATE_MAX_SOURCES; i++) {
		a = v4(i);
		n += wg_ratelimit_accept(&limit, &a, now);
	}
	tap_int(n, 65536, "65,536 sources are taken");
	a = v4(65536);
	tap_ok(!wg_ratelimit_accept(&limit, &a, now), "source number 65,537 is refused");
	a = v4(1234);
	tap_ok(wg_ratelimit_accept(&limit, &a, now), "a known one still has its tokens");
	now = mono_add_ns(now, 1500 * NS_PER_MS);
	a = v4(65536);
	tap_ok(wg_ratelimit_accept(&limit, &a, now), "idle sources make room by themselves");
	tap_int(limit.count, 1, "the table was emptied for it");
	free(entries);
}

// Naive twin: a list of all sources ever, in a table that is too small and is swept all the time.
struct twin {
	uint64_t updated;
	int64_t tokens;
};

static bool
twin_accept(struct twin *t, uint64_t now)
{
	if (t->updated == 0)
		t->tokens = 250000000;
	else
		t->tokens += (int64_t)(now - t->updated);
	if (t->tokens > 250000000)
		t->tokens = 250000000;
	t->updated = now;
	if (t->tokens < 50000000)
		return false;
	t->tokens -= 50000000;
	return true;
}

static void
against_twin(void)
{
	static struct twin twins[48];
	struct wg_ratelimit_entry entries[64] = {};
	struct wg_ratelimit limit;
	struct mono now = { NS_PER_S };
	int wrong = 0;

	srand(5);
	wg_ratelimit_init(&limit, entries, 64, key);
	for (int i = 0; i < 200000; i++) {
		uint32_t who = (uint32_t)rand() % 48;
		struct addr a = v4(who * 77);

		if (rand() % 500 == 0)
			now = mono_add_ns(now, rand() % (3 * NS_PER_S));
		now = mono_add_ns(now, rand() % (3 * NS_PER_MS));
		wrong += wg_ratelimit_accept(&limit, &a, now) != twin_accept(&twins[who], now.ns);
	}
	tap_int(wrong, 0, "200,000 random requests of 48 sources agree with a naive list");
}

int
main(void)
{
	timing();
	rate();
	capacity();
	against_twin();
	return tap_done();
}
