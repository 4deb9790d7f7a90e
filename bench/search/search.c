/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/search/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const double search_overload_factors[SEARCH_OVERLOADS] = { 1.5, 3, 10 };
const unsigned search_latency_percents[SEARCH_LATENCIES] = { 10, 50, 90 };

#define WARM_UP_TRIALS 1

struct search {
	const struct search_config *config;
	struct search_probe *probe;
	struct search_result *r;
	struct mlr mlr;
	double most_offered_pps; // in any MRR trial
};

static int
run_trial(struct search *s,
	const char *step,
	double rate,
	double seconds,
	unsigned nth,
	struct search_trial *t)
{
	int err;

	memset(t, 0, sizeof(*t));
	err = s->probe->trial(s->probe, step, rate, seconds, nth, t);
	if (err != 0)
		return err;
	s->r->n_trials++;
	s->r->trial_seconds += t->seconds;
	s->r->duplicated += t->duplicated;
	s->r->reordered += t->reordered;
	s->r->corrupted += t->corrupted;
	return 0;
}

// As run_trial(), where nobody wants its histogram.
static int
run_plain(struct search *s,
	const char *step,
	double rate,
	double seconds,
	unsigned nth,
	struct search_trial *t)
{
	int err = run_trial(s, step, rate, seconds, nth, t);

	json_decref(t->latency);
	t->latency = NULL;
	return err;
}

// What comes out when everything goes in that the generator can do (MRR).
static int
find_mrr(struct search *s)
{
	unsigned wanted =
		s->config->mrr_trials < SEARCH_MRR_MAX ? s->config->mrr_trials : SEARCH_MRR_MAX;
	struct search_trial t;

	for (unsigned i = 0; i < WARM_UP_TRIALS; i++) {
		int err = run_plain(s, "warm-up", 0, s->config->trial_s, i, &t);

		if (err != 0)
			return err;
	}
	s->r->mrr_is_limited = true;
	for (unsigned i = 0; i < wanted; i++) {
		int err = run_plain(s, "mrr", 0, s->config->trial_s, i, &t);

		if (err != 0)
			return err;
		s->r->mrr_pps[s->r->n_mrr++] = t.delivered_pps;
		s->most_offered_pps = fmax(s->most_offered_pps, t.offered_pps);
		if (t.loss_ratio > 0)
			s->r->mrr_is_limited = false;
	}
	return 0;
}

static int
by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

struct spread {
	double least, median, most;
};

static struct spread
spread_of(const double *values, unsigned n)
{
	double sorted[SEARCH_MRR_MAX];

	if (n == 0)
		return (struct spread){};
	memcpy(sorted, values, n * sizeof(values[0]));
	qsort(sorted, n, sizeof(sorted[0]), by_value);
	return (struct spread){ sorted[0], sorted[n / 2], sorted[n - 1] };
}

// The two goals as configured, the strict one first.
static void
goals_of(const struct search_config *config, struct mlr_goal goals[2])
{
	goals[0] = mlr_ndr;
	goals[1] = mlr_pdr;
	goals[1].loss_ratio = config->pdr_loss_ratio;
	for (unsigned g = 0; g < 2; g++) {
		goals[g].final_s = config->trial_s;
		goals[g].duration_sum_s = config->duration_sum_s;
		goals[g].width = config->width;
	}
}

// How often this load was tried already: trials are told apart by it.
static unsigned
count_trials(const struct mlr *m, double load)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_trials; i++)
		n += m->trial[i].load_pps == load;
	return n;
}

/*
 * A trial at a load, again if the generator was held up: on a shared machine that happens to one
 * trial and not to the next.  What was not offered cannot have been carried, so a trial that offers
 * less than this share of the load does not count.
 */
#define OFFERED_ENOUGH 0.98
#define TRIES          4

static int
try_load(struct search *s, double load, double seconds, struct search_trial *t)
{
	unsigned nth = count_trials(&s->mlr, load) * TRIES;
	double most = 0;

	for (unsigned try = 0; try < TRIES; try++) {
		int err = run_plain(s, "ndr+pdr", load, seconds, nth + try, t);

		if (err != 0)
			return err;
		if (!t->is_limited || t->offered_pps >= OFFERED_ENOUGH * load)
			return 0;
		most = fmax(most, t->offered_pps);
	}
	t->offered_pps = most;
	return 0;
}

static int
find_bounds(struct search *s)
{
	double load, seconds;
	struct search_trial t;

	while (mlr_next(&s->mlr, &load, &seconds)) {
		int err = try_load(s, load, seconds, &t);

		if (err != 0)
			return err;
		if (t.is_limited && t.offered_pps < OFFERED_ENOUGH * load &&
			load > s->mlr.min_pps) {
			s->r->is_generator_limited = true;
			mlr_limit(&s->mlr, t.offered_pps);
			continue;
		}
		mlr_add(&s->mlr, &(struct mlr_trial){ load, seconds, t.loss_ratio });
	}
	return 0;
}

static int
try_overload(struct search *s)
{
	struct search_trial t;

	for (unsigned i = 0; i < SEARCH_OVERLOADS; i++) {
		double rate = search_overload_factors[i] * s->r->ndr.lower_pps;
		char step[32];
		int err;

		snprintf(step, sizeof(step), "overload %g", search_overload_factors[i]);
		err = run_plain(s, step, rate, s->config->trial_s, 0, &t);
		if (err != 0)
			return err;
		s->r->overload[i] = (struct search_overload){
			.offered_pps = t.offered_pps,
			.delivered_pps = t.delivered_pps,
			.ratio = t.delivered_pps / s->r->ndr.lower_pps,
			.is_limited = t.is_limited && t.offered_pps < OFFERED_ENOUGH * rate,
			.is_done = true,
		};
	}
	return 0;
}

static int
measure_latency(struct search *s)
{
	struct search_trial t;

	for (unsigned i = 0; i < SEARCH_LATENCIES; i++) {
		double rate = s->r->ndr.lower_pps * search_latency_percents[i] / 100;
		char step[32];
		int err;

		snprintf(step, sizeof(step), "latency %u", search_latency_percents[i]);
		err = run_trial(s, step, rate, s->config->trial_s, 0, &t);
		s->r->latency[i] = t.latency;
		if (err != 0)
			return err;
	}
	return 0;
}

static int
run_steps(struct search *s)
{
	const struct search_config *c = s->config;
	struct mlr_goal goals[2];
	double max = c->max_pps;
	int err = find_mrr(s);

	if (err != 0)
		return err;
	if (max <= 0) // not the MRR: a device that collapses carries more when less is offered
		max = s->most_offered_pps;
	goals_of(c, goals);
	mlr_init(&s->mlr, c->min_pps, fmax(max, 2 * c->min_pps), goals, 2);
	err = find_bounds(s);
	mlr_result(&s->mlr, 0, &s->r->ndr);
	mlr_result(&s->mlr, 1, &s->r->pdr);
	if (err != 0 || s->r->ndr.lower_pps <= 0)
		return err;
	if (c->with_overload)
		err = try_overload(s);
	if (err == 0 && c->with_latency)
		err = measure_latency(s);
	return err;
}

int
search_run(const struct search_config *config,
	struct search_probe *probe,
	struct search_result *ret)
{
	static struct search s; // large

	memset(ret, 0, sizeof(*ret));
	s.config = config;
	s.probe = probe;
	s.r = ret;
	s.most_offered_pps = 0;
	return run_steps(&s);
}

void
search_result_fini(struct search_result *r)
{
	for (unsigned i = 0; i < SEARCH_LATENCIES; i++)
		json_decref(r->latency[i]);
}

// --- results -------------------------------------------------------------------------------------

static json_t *
bound_json(const struct mlr_result *b)
{
	return json_pack("{s:f, s:f, s:f, s:b, s:b, s:b}", "lower_pps", b->lower_pps, "upper_pps",
		b->upper_pps, "throughput_pps", b->throughput_pps, "complete", b->is_complete,
		"at_maximum", b->at_maximum, "below_minimum", b->below_minimum);
}

static json_t *
overload_json(const struct search_result *r)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < SEARCH_OVERLOADS; i++) {
		const struct search_overload *o = &r->overload[i];

		if (o->is_done)
			json_array_append_new(all,
				json_pack("{s:f, s:f, s:f, s:f, s:b}", "factor",
					search_overload_factors[i], "offered_pps", o->offered_pps,
					"delivered_pps", o->delivered_pps, "ratio", o->ratio,
					"generator_limited", o->is_limited));
	}
	return all;
}

static json_t *
latencies_json(const struct search_result *r)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < SEARCH_LATENCIES; i++) {
		if (r->latency[i] != NULL)
			json_array_append_new(all,
				json_pack("{s:i, s:O}", "percent_of_ndr",
					(int)search_latency_percents[i], "latency", r->latency[i]));
	}
	return all;
}

json_t *
search_json(const struct search_config *config, const struct search_result *r)
{
	struct spread mrr = spread_of(r->mrr_pps, r->n_mrr);

	return json_pack(
		"{s:o, s:o, s:{s:f, s:f, s:f, s:i, s:b}, s:o, s:o, s:f, s:b, s:I, s:f, s:I, s:I, "
		"s:I}",
		"ndr", bound_json(&r->ndr), "pdr", bound_json(&r->pdr), "mrr", "min_pps", mrr.least,
		"median_pps", mrr.median, "max_pps", mrr.most, "n", (int)r->n_mrr,
		"generator_limited", r->mrr_is_limited, "overload", overload_json(r), "latency",
		latencies_json(r), "pdr_loss_ratio", config->pdr_loss_ratio, "generator_limited",
		r->is_generator_limited, "trials", (json_int_t)r->n_trials, "trial_seconds",
		r->trial_seconds, "duplicated", (json_int_t)r->duplicated, "reordered",
		(json_int_t)r->reordered, "corrupted", (json_int_t)r->corrupted);
}

static void
print_bound(const char *name, const struct mlr_result *b, double mean_bytes)
{
	printf("  %-4s", name);
	if (b->below_minimum) {
		printf("less than %.0f pps\n", b->upper_pps);
		return;
	}
	printf("%9.4f Mpps  %8.3f Gbit/s   carried %.4f, not carried ", b->throughput_pps / 1e6,
		b->throughput_pps * mean_bytes * 8 / 1e9, b->lower_pps / 1e6);
	if (b->upper_pps > 0)
		printf("%.4f Mpps", b->upper_pps / 1e6);
	else
		printf("- (the generator's maximum: the device may carry more)");
	printf("%s\n", b->is_complete ? "" : "   (not settled)");
}

static void
print_latency(const struct search_result *r)
{
	for (unsigned i = 0; i < SEARCH_LATENCIES; i++) {
		json_int_t p50, p99, p999, most;

		if (r->latency[i] == NULL ||
			json_unpack(r->latency[i], "{s:I, s:I, s:I, s:I}", "p50_ns", &p50, "p99_ns",
				&p99, "p99_9_ns", &p999, "max_ns", &most) != 0)
			continue;
		printf("  at %2u %% of NDR   latency p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us\n",
			search_latency_percents[i], (double)p50 / 1e3, (double)p99 / 1e3,
			(double)p999 / 1e3, (double)most / 1e3);
	}
}

void
search_print(const struct search_config *config, const struct search_result *r, double mean_bytes)
{
	struct spread mrr = spread_of(r->mrr_pps, r->n_mrr);

	print_bound("NDR", &r->ndr, mean_bytes);
	print_bound("PDR", &r->pdr, mean_bytes);
	printf("  MRR %9.4f Mpps  (%.4f to %.4f in %u trials)%s\n", mrr.median / 1e6,
		mrr.least / 1e6, mrr.most / 1e6, r->n_mrr,
		r->mrr_is_limited ? "   nothing was lost: the generator's limit" : "");
	for (unsigned i = 0; i < SEARCH_OVERLOADS; i++) {
		const struct search_overload *o = &r->overload[i];

		if (o->is_done)
			printf("  at %4.1f x NDR   delivered %.2f of NDR%s\n",
				o->offered_pps / r->ndr.lower_pps, o->ratio,
				o->is_limited ? "   (as far as the generator goes)" : "");
	}
	print_latency(r);
	printf("  PDR allows %.2g %% loss; %zu trials, %.0f s; in all of them duplicated %llu, "
	       "reordered %llu, corrupted %llu\n",
		config->pdr_loss_ratio * 100, r->n_trials, r->trial_seconds,
		(unsigned long long)r->duplicated, (unsigned long long)r->reordered,
		(unsigned long long)r->corrupted);
}
