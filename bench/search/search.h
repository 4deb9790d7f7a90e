/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A whole search of one device under one load: what it lets through at most (MRR), what it carries
 * without and with little loss (NDR, PDR), what is left of that when far more is offered, and how
 * long packets take at shares of the NDR.
 *
 * Source: RFC 9971 (mlr.h); FD.io CSIT for MRR; ../shared/design/performance.md 6.1 and 6.2.
 * Thread: one.
 */
#ifndef BENCH_SEARCH_SEARCH_H
#define BENCH_SEARCH_SEARCH_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/search/mlr.h"

/* What a search needs to know of a trial.  Latency: latency_json(), borrowed for the call; may be
 * NULL. */
struct search_trial {
	double offered_pps;   /* really sent per second */
	double delivered_pps; /* received per second of sending */
	double seconds;       /* of sending */
	double loss_ratio;    /* what our own sockets lost is not the device's and not in it */
	bool is_limited;      /* the generator did not reach the rate */
	uint64_t duplicated, reordered, corrupted;
	json_t *latency; /* owned by the trial: json_decref() */
};

/*
 * Where trials come from.  step: "warm-up", "mrr", "ndr+pdr", "overload 3", "latency 50".
 * rate_pps 0: as fast as it goes.  nth: of the trials of this step at this rate, from 0.
 * Returns 0, or something else to end the search: said already, or the run is stopped.
 */
struct search_probe {
	int (*trial)(struct search_probe *probe,
		const char *step,
		double rate_pps,
		double seconds,
		unsigned nth,
		struct search_trial *ret_trial);
};

struct search_config {
	double min_pps, max_pps; /* max_pps 0: what the generator can offer */
	double trial_s;          /* of a full-length trial */
	double duration_sum_s;   /* of a goal: less is quicker and less sure */
	double width;            /* of a goal */
	double pdr_loss_ratio;
	unsigned mrr_trials;
	bool with_overload, with_latency;
};

#define SEARCH_MRR_MAX   32
#define SEARCH_OVERLOADS 3
#define SEARCH_LATENCIES 3
extern const double search_overload_factors[SEARCH_OVERLOADS];   /* 1.5, 3, 10 */
extern const unsigned search_latency_percents[SEARCH_LATENCIES]; /* of the NDR: 10, 50, 90 */

struct search_overload {
	double offered_pps, delivered_pps;
	double ratio;    /* delivered / NDR */
	bool is_limited; /* the generator did not reach factor x NDR: offered_pps says what it did
	                    reach */
	bool is_done;
};

struct search_result {
	struct mlr_result ndr, pdr;
	unsigned n_mrr;
	double mrr_pps[SEARCH_MRR_MAX];
	bool mrr_is_limited; /* nothing was lost: the generator is the limit, not the device */
	bool is_generator_limited; /* the search met the generator's limit: bounds are the device's
	                              lower ones */
	struct search_overload overload[SEARCH_OVERLOADS];
	json_t *latency[SEARCH_LATENCIES]; /* NULL: not done */
	size_t n_trials;
	double trial_seconds;
	uint64_t duplicated, reordered, corrupted; /* in all trials: always to be shown */
};

/*
 * Returns 0, or what the probe returned; the result holds what was found until then.  Release it by
 * search_result_fini() in any case.
 */
int search_run(const struct search_config *config,
	struct search_probe *probe,
	struct search_result *ret);
void search_result_fini(struct search_result *r);

/* For records (harness/run.h): every field above, by name. */
json_t *search_json(const struct search_config *config, const struct search_result *r);
/* For people. */
void
search_print(const struct search_config *config, const struct search_result *r, double mean_bytes);

#endif
