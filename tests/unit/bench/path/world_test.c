/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway between two cards, and its peers: nothing is lost, whatever the direction, also while
 * sessions are replaced.
 */

#include "bench/path/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/path/measure.h"
#include "bench/path/traffic.h"
#include "lib/crypto/aead.h"
#include "tests/lib/tap.h"

static struct sizes sizes;
static struct measure_result result; // large

static bool
never(void *context)
{
	unsigned *volleys = context;

	return ++*volleys > 60;
}

static struct measure_row
row_of(enum measure_direction direction)
{
	return (struct measure_row){
		.direction = direction,
		.world = { .n_peers = 20, .prefixes = 3, .ring = 128, .burst = 32 },
		.in_flight = 60,
		.n_active = 20,
		.lan_hosts = 5,
		.sizes = &sizes,
		.seconds = 20, // until `never` says so
	};
}

static void
run(struct measure_row row, const char *what)
{
	struct bench_clock clock;
	unsigned volleys = 0;

	bench_clock_init(&clock);
	tap_int(measure_run(&row, &clock, never, &volleys, &result), 0, what);
	tap_ok(result.sent > 60 * 60 && result.received == result.sent && result.wrong == 0,
		"%s: all %llu packets came out right", what, (unsigned long long)result.sent);
	tap_ok(result.path.n > 20 && result.whole.n > 20, "%s: with samples of both kinds", what);
}

static void
test_directions(void)
{
	for (unsigned d = 0; d < MEASURE_DIRECTIONS; d++)
		run(row_of(d), measure_direction_names[d]);
}

static void
test_rekey(void)
{
	for (unsigned d = 0; d < MEASURE_DIRECTIONS; d++) {
		struct measure_row row = row_of(d);
		char what[64];

		row.rekeys_per_s = 30000; // several per volley
		snprintf(what, sizeof(what), "%s while sessions are replaced",
			measure_direction_names[d]);
		run(row, what);
		tap_ok(result.rekeys > 20, "%s: %llu were", what,
			(unsigned long long)result.rekeys);
	}
}

static void
test_old_sessions(void)
{
	const struct world_config config = { .n_peers = 1, .prefixes = 1, .ring = 64, .burst = 64 };
	struct world_seal first, second, third;
	struct world *w;

	if (world_create(&config, &w) < 0)
		abort();
	world_sending(w, 0, &first);
	world_rekey(w, 1, true);
	world_sending(w, 0, &second);
	world_sending(w, 0, &third);
	tap_ok(second.receiver_index == first.receiver_index &&
			third.receiver_index != first.receiver_index,
		"after a rekey old and new session are used by turns");
	tap_int((long long)second.counter, 1, "the old one's counter goes on");
	tap_int((long long)third.counter, 0, "the new one's begins");
	world_rekey(w, 1, true);
	tap_int((long long)w->n_rekeys, 1, "who still uses the old one gets no third");
	world_destroy(w);
	world_destroy(NULL);
}

// What the gateway does not deliver is told, not counted as done.
static void
test_lost(void)
{
	struct measure_row row = row_of(MEASURE_INBOUND);
	struct bench_clock clock;
	unsigned volleys = 0;

	bench_clock_init(&clock);
	row.lan_hosts = 1 << 25; // some of them beyond 10.0.0.0/8, where nobody is
	tap_ok(measure_run(&row, &clock, never, &volleys, &result) < 0,
		"a packet that does not come out is an error");
}

int
main(void)
{
	const char *why;

	if (aead_init(NULL) < 0 || sizes_parse("imix", IN_MEMORY_MTU, 40, &sizes, &why) < 0)
		abort();
	test_directions();
	test_rekey();
	test_old_sessions();
	test_lost();
	return tap_done();
}
