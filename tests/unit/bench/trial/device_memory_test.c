/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The whole data plane between a generator and a sink, in two threads.  How fast it is, is not
 * asked; only that every packet is accounted for.
 */

#include "bench/trial/device_memory.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead.h"
#include "tests/lib/tap.h"

#define TRIES 5 // other processes on these cores cost packets or time: not the device's mistake

static struct device *
new_device(const struct device_memory_config *config)
{
	struct device *d;

	if (device_memory_create(config, &d) < 0)
		abort();
	return d;
}

static struct sizes
sizes_of(const char *text)
{
	struct sizes sizes;
	const char *why;

	if (sizes_parse(text, 1420, 60, &sizes, &why) < 0)
		abort();
	return sizes;
}

static bool
is_clean(const struct tally_sum *s)
{
	return s->duplicated == 0 && s->reordered == 0 && s->corrupted == 0 && s->foreign == 0 &&
	       s->unexpected == 0 && s->sent == s->received + s->lost;
}

static bool
are_all_clean(const struct trial_result *r)
{
	return is_clean(&r->sum) && is_clean(&r->way[0]) && is_clean(&r->way[1]) &&
	       r->way[0].sent + r->way[1].sent == r->sum.sent;
}

// True: the trial had its cores, and everything can be asked of it.
static bool
run_gently(struct device *d, const struct trial_request *request, const char *what)
{
	struct trial_result r;
	bool clean = true, whole = false;

	for (unsigned tries = 0; tries < TRIES && !whole; tries++) {
		if (d->run(d, request, &r) != 0)
			abort();
		clean = clean && are_all_clean(&r);
		whole = r.sum.lost == 0 && !r.generator_limited;
	}
	tap_ok(clean, "%s: nothing comes twice, late, damaged, or from nowhere", what);
	tap_ok(r.latency.n == r.sum.received &&
			r.sum.flows_seen ==
				(request->direction == TRIAL_BOTH ? 2 : 1) * request->n_flows,
		"%s: of all flows, and each packet has its time (median %llu ns)", what,
		(unsigned long long)latency_quantile_ns(&r.latency, 0.5));
	if (!whole && (r.device_core_share < 0.97 || r.generator_cpu_s < 0.97 * r.seconds)) {
		tap_skip(what, "other processes had the cores all the time");
		return false;
	}
	tap_ok(r.sum.lost == 0 && r.sum.received == r.sum.sent, "%s: nothing is lost", what);
	tap_ok(r.sum.sent == (uint64_t)(request->rate_pps * request->seconds + 0.5),
		"%s: %llu were sent", what, (unsigned long long)r.sum.sent);
	return whole;
}

static void
test_directions(enum addr_family family, const char *family_name)
{
	struct device_memory_config config = {
		.family = family, .n_peers = 7, .device_core = -1, .generator_core = -1
	};
	struct device *d = new_device(&config);
	static const char *const mixes[] = { "64", "imix" };

	for (int direction = TRIAL_INBOUND; direction <= TRIAL_BOTH; direction++)
		for (unsigned i = 0; i < 4; i++) {
			struct sizes sizes = sizes_of(mixes[i % 2]);
			struct trial_request request = {
				.direction = (enum trial_direction)direction,
				.rate_pps = 100000,
				.seconds = 0.2,
				.drain_seconds = 1,
				.sizes = &sizes,
				.n_flows = 20,
				.encrypt_ahead = i < 2,
			};
			char what[100];

			snprintf(what, sizeof(what), "%s %s %s %s", family_name,
				trial_direction_names[direction], mixes[i % 2],
				i < 2 ? "ahead" : "as it goes");
			(void)run_gently(d, &request, what);
		}
	d->destroy(d);
}

static void
test_rounds(void)
{
	// 20,000 packets of 64 bytes are 2.3 MB: at least three rounds.
	struct device_memory_config config = {
		.device_core = -1, .generator_core = -1, .ahead_bytes = 1 << 20
	};
	struct device *d = new_device(&config);
	struct sizes sizes = sizes_of("64");

	for (int direction = TRIAL_INBOUND; direction <= TRIAL_BOTH; direction++) {
		struct trial_request request = {
			.direction = (enum trial_direction)direction,
			.rate_pps = 100000,
			.seconds = 0.3,
			.drain_seconds = 1,
			.sizes = &sizes,
			.n_flows = 3,
			.encrypt_ahead = true,
		};
		json_t *json;

		if (!run_gently(d, &request, "in rounds"))
			continue;
		json = device_memory_json(d);
		tap_ok(json_integer_value(json_object_get(json, "rounds")) >= 3,
			"and there were some");
		json_decref(json);
	}
	d->destroy(d);
}

static void
test_overload(void)
{
	struct device_memory_config config = {
		.n_peers = 3, .device_core = -1, .generator_core = -1, .ahead_bytes = 32 << 20
	};
	struct device *d = new_device(&config);
	struct sizes sizes = sizes_of("64");

	for (int direction = TRIAL_INBOUND; direction <= TRIAL_BOTH; direction++)
		for (int ahead = 0; ahead < 2; ahead++) {
			struct trial_request request = {
				.direction = (enum trial_direction)direction,
				.seconds = 0.1,
				.drain_seconds = 1,
				.sizes = &sizes,
				.n_flows = 5,
				.encrypt_ahead = ahead,
			};
			struct trial_result r;

			if (d->run(d, &request, &r) != 0)
				abort();
			tap_ok(are_all_clean(&r) && r.sum.received > 0 && r.sum.lost < r.sum.sent,
				"%s at full speed, %s: %llu sent = %llu received + %llu lost",
				trial_direction_names[direction], ahead ? "ahead" : "as it goes",
				(unsigned long long)r.sum.sent, (unsigned long long)r.sum.received,
				(unsigned long long)r.sum.lost);
			tap_ok(r.latency.n == 0 && r.generator_late == 0 &&
					(r.sum.lost > 0 || r.generator_limited),
				"without a rate nothing is late; without loss the generator was "
				"the limit");
		}
	d->destroy(d);
}

static void
test_limited(void)
{
	struct device_memory_config config = { .device_core = -1, .generator_core = -1 };
	struct device *d = new_device(&config);
	struct sizes sizes = sizes_of("1420");
	struct trial_request request = {
		.direction = TRIAL_INBOUND,
		.rate_pps = 9e7,
		.seconds = 0.05,
		.drain_seconds = 1,
		.sizes = &sizes,
		.n_flows = 1,
	};
	struct trial_result r;

	if (d->run(d, &request, &r) != 0)
		abort();
	tap_ok(are_all_clean(&r) && r.generator_limited && r.offered_pps < 9e7 * 0.99 &&
			r.seconds < 1,
		"a rate beyond the generator's: it says so, and ends in time");
	d->destroy(d);
}

static bool
stop_at_once(void *context)
{
	++*(unsigned *)context;
	return true;
}

static void
test_stopping(void)
{
	unsigned asked = 0;
	struct device_memory_config config = { .device_core = -1,
		.generator_core = -1,
		.is_stopped = stop_at_once,
		.context = &asked };
	struct device *d = new_device(&config);
	struct sizes sizes = sizes_of("64");
	struct trial_request request = {
		.rate_pps = 1000, .seconds = 30, .drain_seconds = 1, .sizes = &sizes, .n_flows = 1
	};
	struct trial_result r;

	tap_ok(d->run(d, &request, &r) == 0 && asked > 0 && are_all_clean(&r) && r.seconds < 5,
		"a trial can be cut short");
	d->destroy(d);
}

static void
test_refusals(void)
{
	struct device_memory_config config = {
		.n_peers = 4, .device_core = -1, .generator_core = -1
	};
	struct device *d = new_device(&config), *none;
	struct sizes sizes = sizes_of("1420");
	struct trial_request good = {
		.rate_pps = 1000, .seconds = 0.01, .sizes = &sizes, .n_flows = 4
	};
	struct trial_request bad[4] = { good, good, good, good };
	struct trial_result r;

	bad[0].n_flows = 3;
	bad[1].seconds = 100;
	bad[2].rate_pps = 1e12;
	bad[3].seconds = 0;
	for (unsigned i = 0; i < 4; i++)
		tap_ok(d->run(d, &bad[i], &r) < 0, "bad request %u is refused", i + 1);
	sizes.most = 1421;
	tap_ok(d->run(d, &good, &r) < 0, "packets beyond the MTU are refused");
	d->destroy(d);

	config.n_peers = 65537;
	tap_ok(device_memory_create(&config, &none) < 0, "too many peers are refused");
	config.n_peers = 1;
	config.mtu = 100;
	tap_ok(device_memory_create(&config, &none) < 0, "an MTU without sense is refused");
	config.mtu = 0;
	config.device_core = config.generator_core = 0;
	tap_ok(device_memory_create(&config, &none) < 0, "one core for both is refused");
	config.device_core = 1023;
	tap_ok(device_memory_create(&config, &none) < 0, "and one that is not there");
}

static unsigned
count_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

int
main(void)
{
	if (aead_init(NULL) < 0)
		return 1;
	if (count_cores() < 2) {
		tap_skip("trials in memory", "there is only one core");
		return tap_done();
	}
	test_directions(ADDR_V4, "IPv4");
	test_directions(ADDR_V6, "IPv6");
	test_rounds();
	test_overload();
	test_limited();
	test_stopping();
	test_refusals();
	return tap_done();
}
