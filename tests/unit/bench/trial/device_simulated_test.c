/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/device_simulated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

static struct sizes sizes;

static struct trial_request
request_of(enum trial_direction direction, double rate_pps, double seconds)
{
	return (struct trial_request){
		.direction = direction,
		.rate_pps = rate_pps,
		.seconds = seconds,
		.drain_seconds = 0.1,
		.sizes = &sizes,
		.n_flows = 4,
	};
}

static struct trial_result
run_once(struct device *d, enum trial_direction direction, double rate_pps)
{
	struct trial_request request = request_of(direction, rate_pps, 2);
	struct trial_result result;

	if (d->run(d, &request, &result) != 0)
		abort();
	return result;
}

static struct device *
new_device(const struct device_simulated_config *config)
{
	struct device *d;

	if (device_simulated_create(config, &d) < 0)
		abort();
	return d;
}

static void
test_capacity(void)
{
	static const double rates[] = { 1000, 500000, 999999, 1000000, 1000001, 1500000, 9999999 };
	struct device_simulated_config config = { .seed = 1, .capacity_pps = 1e6 };
	struct device *d = new_device(&config);
	unsigned wrong = 0;

	for (int direction = TRIAL_INBOUND; direction <= TRIAL_BOTH; direction++)
		for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
			struct trial_result r =
				run_once(d, (enum trial_direction)direction, rates[i]);
			double excess = rates[i] > 1e6 ? (rates[i] - 1e6) * 2 : 0;

			wrong += r.sum.sent != (uint64_t)llround(rates[i] * 2) ||
			         r.sum.lost != (uint64_t)llround(excess) ||
			         r.sum.received != r.sum.sent - r.sum.lost ||
			         r.way[0].sent + r.way[1].sent != r.sum.sent ||
			         fabs(r.offered_pps - rates[i]) > 1 || r.generator_limited ||
			         r.latency.n == 0;
		}
	tap_int(wrong, 0, "up to its capacity nothing is lost, beyond it the excess");
	tap_ok(device_simulated_trials(d) == 21 &&
			fabs(device_simulated_clock_s(d) - 21 * 2.1) < 1e-9,
		"time is simulated");
	d->destroy(d);
}

static void
test_collapse(void)
{
	struct device_simulated_config config = {
		.seed = 1, .capacity_pps = 1e6, .collapse = 1, .generator_pps = 5e6
	};
	struct device *d = new_device(&config);

	tap_ok(fabs(run_once(d, TRIAL_INBOUND, 2e6).delivered_pps - 5e5) < 1,
		"a device that collapses delivers half at twice its capacity");
	tap_ok(run_once(d, TRIAL_INBOUND, 1e6).sum.lost == 0, "and all at its capacity");
	d->destroy(d);
}

static void
test_generator(void)
{
	struct device_simulated_config config = {
		.seed = 1, .capacity_pps = 1e6, .generator_pps = 2e6
	};
	struct device *d = new_device(&config);
	struct trial_result r = run_once(d, TRIAL_INBOUND, 4e6);

	tap_ok(r.generator_limited && fabs(r.offered_pps - 2e6) < 1,
		"a generator that does not reach the rate says so");
	r = run_once(d, TRIAL_INBOUND, 0);
	tap_ok(!r.generator_limited && fabs(r.offered_pps - 2e6) < 1 && r.sum.lost > 0,
		"without a rate it gives all it can");
	d->destroy(d);
}

static void
test_noise(void)
{
	struct device_simulated_config config = {
		.seed = 3, .capacity_pps = 1e6, .noise = 0.3, .noise_most = 5
	};
	struct device *d = new_device(&config), *again = new_device(&config);
	unsigned lossy = 0, wrong = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct trial_result a = run_once(d, TRIAL_INBOUND, 5e5);
		struct trial_result b = run_once(again, TRIAL_INBOUND, 5e5);

		lossy += a.sum.lost > 0;
		wrong += a.sum.lost > 5 || memcmp(&a.sum, &b.sum, sizeof(a.sum)) != 0 ||
		         memcmp(&a.latency, &b.latency, sizeof(a.latency)) != 0;
	}
	tap_ok(lossy > 250 && lossy < 350, "with p 0.3, %u of 1000 trials lose a few", lossy);
	tap_int(wrong, 0, "the same seed gives the same");
	d->destroy(d);
	again->destroy(again);
}

static void
test_stalls(void)
{
	struct device_simulated_config config = {
		.seed = 3, .capacity_pps = 1e6, .stalls_per_s = 0.5, .stall_s = 0.001
	};
	struct device *d = new_device(&config);
	uint64_t lost = 0;

	for (unsigned i = 0; i < 1000; i++)
		lost += run_once(d, TRIAL_INBOUND, 5e5).sum.lost;
	tap_ok(lost > 450000 && lost < 550000,
		"a stall of 1 ms every other second loses 500 packets each (%.0f)",
		(double)lost / 1000);
	d->destroy(d);
	config.buffer_packets = 500;
	d = new_device(&config);
	lost = 0;
	for (unsigned i = 0; i < 100; i++)
		lost += run_once(d, TRIAL_INBOUND, 5e5).sum.lost;
	tap_int((long long)lost, 0, "unless its buffer takes them");
	d->destroy(d);
}

static void
test_latency(void)
{
	struct device_simulated_config config = {
		.seed = 3, .capacity_pps = 1e6, .buffer_packets = 1000
	};
	struct device *d = new_device(&config);
	struct trial_result low = run_once(d, TRIAL_INBOUND, 1e5);
	struct trial_result high = run_once(d, TRIAL_INBOUND, 9.9e5);
	struct trial_result over = run_once(d, TRIAL_INBOUND, 2e6);
	uint64_t p99[3] = { latency_quantile_ns(&low.latency, 0.99),
		latency_quantile_ns(&high.latency, 0.99),
		latency_quantile_ns(&over.latency, 0.99) };

	tap_ok(p99[0] < p99[1] && p99[1] < p99[2] && p99[2] > 1000000,
		"packets wait the longer the more come");
	d->destroy(d);
}

static void
test_json(void)
{
	struct device_simulated_config config = { .seed = 3, .capacity_pps = 1e6 };
	struct device *d = new_device(&config);
	struct trial_request request = request_of(TRIAL_BOTH, 2e6, 1);
	struct trial_result r = run_once(d, TRIAL_BOTH, 2e6);
	json_t *axes = trial_axes(d, &request), *json = trial_json(&r);

	tap_text(json_string_value(json_object_get(axes, "direction")), "both",
		"axes say the direction");
	tap_text(json_string_value(json_object_get(axes, "sizes")), "64", "and the sizes");
	tap_ok(json_number_value(json_object_get(axes, "rate_pps")) == 2e6 &&
			json_integer_value(json_object_get(axes, "flows")) == 4,
		"and what else was asked for");
	tap_ok(json_integer_value(json_object_get(json_object_get(json, "sum"), "lost")) ==
				2000000 &&
			json_integer_value(json_object_get(
				json_object_get(json, "outbound"), "lost")) == 1000000 &&
			json_object_get(json_object_get(json, "latency"), "p99_ns") != NULL &&
			json_is_false(json_object_get(json, "generator_limited")),
		"the result has sums, ways and latency");
	json_decref(axes);
	json_decref(json);
	d->destroy(d);
}

int
main(void)
{
	const char *why;

	if (sizes_parse("64", 1420, 40, &sizes, &why) < 0)
		return 1;
	test_capacity();
	test_collapse();
	test_generator();
	test_noise();
	test_stalls();
	test_latency();
	test_json();
	return tap_done();
}
