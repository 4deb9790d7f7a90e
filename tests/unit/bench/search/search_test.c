/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whole searches of devices whose answers are known: what is found, what is said of the generator,
 * and what is left when one is interrupted.
 */

#include <math.h>
#include <string.h>

#include "bench/search/search.h"
#include "tests/lib/tap.h"

struct known {
	struct search_probe probe;
	double capacity_pps;
	double collapsed_pps; // delivered when more than twice the capacity is offered
	double generator_pps; // it cannot do more
	unsigned trials, stop_after;
};

static int
known_trial(struct search_probe *probe,
	const char *step,
	double rate,
	double seconds,
	unsigned nth,
	struct search_trial *t)
{
	struct known *k = (struct known *)probe;
	double offered = rate == 0 || rate > k->generator_pps ? k->generator_pps : rate;
	double carried = offered > 2 * k->capacity_pps ? k->collapsed_pps : k->capacity_pps;

	(void)nth;
	if (k->stop_after > 0 && k->trials == k->stop_after)
		return 1;
	k->trials++;
	t->offered_pps = offered;
	t->delivered_pps = fmin(offered, carried);
	t->seconds = seconds;
	t->loss_ratio = 1 - t->delivered_pps / offered;
	t->is_limited = rate == 0 || rate > k->generator_pps;
	if (strncmp(step, "latency", 7) == 0)
		t->latency = json_pack("{s:i, s:i, s:i, s:i}", "p50_ns", 1000, "p99_ns", 2000,
			"p99_9_ns", 3000, "max_ns", 4000);
	return 0;
}

static const struct search_config quick = {
	.min_pps = 1000,
	.trial_s = 1,
	.duration_sum_s = 21,
	.width = 0.005,
	.pdr_loss_ratio = 0.005,
	.mrr_trials = 10,
	.with_overload = true,
	.with_latency = true,
};

static bool
near(double a, double b)
{
	return fabs(a - b) <= 0.006 * b;
}

static void
test_all_found(void)
{
	struct known k = { { known_trial }, 1e6, 0.2e6, 50e6, 0, 0 };
	struct search_result r;
	json_t *json;

	tap_int(search_run(&quick, &k.probe, &r), 0, "a search ends");
	tap_ok(near(r.ndr.lower_pps, 1e6) && r.ndr.is_complete, "NDR found: %.0f", r.ndr.lower_pps);
	tap_ok(near(r.pdr.throughput_pps, 1e6), "PDR found: %.0f", r.pdr.throughput_pps);
	tap_ok(r.n_mrr == 10 && r.mrr_pps[0] == 0.2e6 && !r.mrr_is_limited,
		"MRR is what comes through at the generator's fastest");
	tap_ok(near(r.overload[0].ratio, 1) && r.overload[1].ratio < 0.21 &&
			r.overload[2].ratio < 0.21 && !r.overload[2].is_limited,
		"the device's collapse under overload shows");
	tap_ok(r.latency[0] != NULL && r.latency[2] != NULL, "latency at three loads");
	tap_int((long long)r.n_trials, k.trials, "each trial is counted");
	json = search_json(&quick, &r);
	tap_ok(json != NULL && json_array_size(json_object_get(json, "overload")) == 3 &&
			json_array_size(json_object_get(json, "latency")) == 3,
		"the record holds everything");
	json_decref(json);
	search_result_fini(&r);
}

static void
test_weak_generator(void)
{
	struct known k = { { known_trial }, 5e6, 5e6, 2e6, 0, 0 };
	struct search_result r;

	tap_int(search_run(&quick, &k.probe, &r), 0,
		"a search ends when the generator is the limit");
	tap_ok(r.mrr_is_limited && r.ndr.at_maximum, "and says that it is");
	tap_ok(r.ndr.lower_pps <= 2e6 && r.ndr.lower_pps > 1.9e6,
		"with the generator's rate as bound");
	tap_ok(r.overload[2].is_limited && near(r.overload[2].offered_pps, 2e6),
		"overload says what was really offered");
	search_result_fini(&r);
	k = (struct known){ { known_trial }, 5e6, 5e6, 10, 0, 0 };
	tap_int(search_run(&quick, &k.probe, &r), 0, "a generator below the minimum ends too");
	search_result_fini(&r);
}

static void
test_interrupted(void)
{
	struct known k = { { known_trial }, 1e6, 0.2e6, 50e6, 0, 60 };
	struct search_result r;
	json_t *json;

	tap_int(search_run(&quick, &k.probe, &r), 1, "an interrupted search says so");
	tap_ok(r.n_trials == 60 && r.n_mrr == 10 && r.ndr.upper_pps > 0 && !r.overload[0].is_done,
		"and keeps what it has");
	json = search_json(&quick, &r);
	tap_ok(json != NULL &&
			!json_is_true(json_object_get(json_object_get(json, "pdr"), "complete")),
		"which is not called complete");
	json_decref(json);
	search_result_fini(&r);
}

int
main(void)
{
	test_all_found();
	test_weak_generator();
	test_interrupted();
	return tap_done();
}
