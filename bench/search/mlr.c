/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/search/mlr.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

// Trial times are sums of doubles: what differs by less than this is equal.
#define EPSILON_S 1e-9

// ../shared/design/performance.md 6.1.
const struct mlr_goal mlr_ndr = { "ndr", 0, 0.5, 1, 21, 0.005 };
const struct mlr_goal mlr_pdr = { "pdr", 0.005, 0.5, 1, 21, 0.005 };

// --- RFC 9971, appendices A and B ----------------------------------------------------------------

struct sums { // seconds of trials at one load
	double full_low, full_high, short_low, short_high;
};

static struct sums
add_up(const struct mlr *m, const struct mlr_goal *goal, double load)
{
	struct sums s = {};

	for (const struct mlr_trial *t = m->trial; t < m->trial + m->n_trials; t++) {
		bool is_full = t->seconds >= goal->final_s - EPSILON_S;
		bool is_high = t->loss_ratio > goal->loss_ratio;

		if (t->load_pps != load)
			continue;
		if (is_full)
			*(is_high ? &s.full_high : &s.full_low) += t->seconds;
		else
			*(is_high ? &s.short_high : &s.short_low) += t->seconds;
	}
	return s;
}

enum mlr_bound
mlr_classify(const struct mlr *m, const struct mlr_goal *goal, double load)
{
	struct sums s = add_up(m, goal, load);
	// Short trials with little loss weigh against short ones with much, never for the load.
	double balance = s.short_low * goal->exceed_ratio / (1 - goal->exceed_ratio);
	double high = s.full_high + fmax(0, s.short_high - balance);
	double whole = fmax(s.full_low + high, goal->duration_sum_s);
	double allowed = whole * goal->exceed_ratio + EPSILON_S;

	if (high > allowed) // even if all that is missing had little loss
		return MLR_UPPER;
	if (whole - s.full_low <= allowed) // even if all that is missing had much
		return MLR_LOWER;
	return MLR_UNDECIDED;
}

static int
by_loss(const void *x, const void *y)
{
	const struct mlr_trial *a = x, *b = y;

	return a->loss_ratio < b->loss_ratio ? -1 : a->loss_ratio > b->loss_ratio;
}

double
mlr_conditional_throughput(const struct mlr *m, const struct mlr_goal *goal, double load)
{
	static _Thread_local struct mlr_trial full[MLR_MAX_TRIALS];
	double sum = 0, remaining, loss = 1;
	size_t n = 0, i;

	for (const struct mlr_trial *t = m->trial; t < m->trial + m->n_trials; t++) {
		if (t->load_pps != load || t->seconds < goal->final_s - EPSILON_S)
			continue;
		full[n++] = *t;
		sum += t->seconds;
	}
	if (n == 0)
		return 0;
	qsort(full, n, sizeof(full[0]), by_loss);
	remaining = fmax(goal->duration_sum_s, sum) * (1 - goal->exceed_ratio);
	for (i = 0; i < n && (i == 0 || remaining > EPSILON_S); i++) {
		loss = full[i].loss_ratio;
		remaining -= full[i].seconds;
	}
	if (i == n && remaining > EPSILON_S)
		loss = 1;
	return load * (1 - loss);
}

// --- bounds --------------------------------------------------------------------------------------

struct bounds {
	double lower, upper; // relevant; 0: none
};

// Each load that was tried, ascending.
static size_t
loads_tried(const struct mlr *m, double loads[MLR_MAX_TRIALS])
{
	size_t n = 0;

	for (size_t t = 0; t < m->n_trials; t++) {
		double load = m->trial[t].load_pps;
		size_t at = 0;

		while (at < n && loads[at] < load)
			at++;
		if (at < n && loads[at] == load)
			continue;
		for (size_t i = n++; i > at; i--)
			loads[i] = loads[i - 1];
		loads[at] = load;
	}
	return n;
}

// The smallest upper bound, and the largest lower bound below it (section 6.1 of the RFC: when
// trials contradict each other the pessimistic reading counts).
static struct bounds
find_bounds(const struct mlr *m, const struct mlr_goal *goal)
{
	static _Thread_local double loads[MLR_MAX_TRIALS];
	struct bounds b = {};
	size_t n = loads_tried(m, loads);

	for (size_t i = 0; i < n; i++) {
		enum mlr_bound kind = mlr_classify(m, goal, loads[i]);

		if (kind == MLR_LOWER)
			b.lower = loads[i];
		if (kind == MLR_UPPER) {
			b.upper = loads[i];
			break;
		}
	}
	return b;
}

static bool
is_settled(const struct mlr *m, const struct mlr_goal *goal, const struct bounds *b)
{
	if (b->lower > 0 && b->upper > 0)
		return (b->upper - b->lower) / b->upper <= goal->width + EPSILON_S;
	return b->lower >= m->max_pps || (b->upper > 0 && b->upper <= m->min_pps);
}

// --- which load next -----------------------------------------------------------------------------

#define N_PHASES 3

static const double phase_width[N_PHASES] = { 4, 2, 1 };

static struct mlr_goal
phase_goal(const struct mlr_goal *goal, unsigned phase)
{
	struct mlr_goal g = *goal;

	g.width *= phase_width[phase];
	if (phase + 1 < N_PHASES) // one trial decides
		g.duration_sum_s = g.final_s;
	return g;
}

static double
within(const struct mlr *m, double load)
{
	return fmin(fmax(load, m->min_pps), m->max_pps);
}

static const struct mlr_trial *
trial_at(const struct mlr *m, double load)
{
	for (const struct mlr_trial *t = m->trial; t < m->trial + m->n_trials; t++)
		if (t->load_pps == load)
			return t;
	return NULL;
}

/*
 * Away from a bound that has no partner: the further, the more bounds there are on that side
 * already, so that a wrong hint costs few steps.
 */
static double
step_out(const struct mlr *m, const struct mlr_goal *goal, double from, int direction)
{
	static _Thread_local double loads[MLR_MAX_TRIALS];
	size_t n = loads_tried(m, loads);
	double step = goal->width;

	for (size_t i = 0; i < n; i++) {
		bool is_behind = direction < 0 ? loads[i] > from : loads[i] < from;

		if (is_behind && fabs(loads[i] - from) / from < 4 * step)
			step *= 2;
	}
	step = fmin(step, 0.5);
	return within(m, direction < 0 ? from * (1 - step) : from / (1 - step));
}

// The first load of all, and the first guess from it.
static double
begin(const struct mlr *m)
{
	const struct mlr_trial *t = trial_at(m, m->max_pps);

	if (t == NULL)
		return m->max_pps;
	return within(m, t->load_pps * (1 - t->loss_ratio));
}

/*
 * Where this phase looks next.  `hint`: the bounds of the phase before.  False: settled.
 */
static bool
next_load(const struct mlr *m,
	const struct mlr_goal *goal,
	const struct bounds *hint,
	double *ret_load)
{
	struct bounds b = find_bounds(m, goal);

	if (is_settled(m, goal, &b))
		return false;
	if (b.lower > 0 && b.upper > 0)
		*ret_load = sqrt(b.lower * b.upper);
	else if (b.lower == 0 && hint->lower > 0 && (b.upper == 0 || hint->lower < b.upper))
		*ret_load = hint->lower; // smaller loads first: a later upper bound undoes nothing
	else if (b.lower > 0 && hint->upper > b.lower)
		*ret_load = within(m, hint->upper);
	else if (b.lower > 0)
		*ret_load = step_out(m, goal, b.lower, 1);
	else if (b.upper > 0 && b.upper < m->max_pps)
		*ret_load = step_out(m, goal, b.upper, -1);
	else
		*ret_load = begin(m);
	if (b.upper > 0 && *ret_load >= b.upper) // what came through at the maximum was no less
		*ret_load = step_out(m, goal, b.upper, -1);
	return true;
}

bool
mlr_next(const struct mlr *m, double *ret_load, double *ret_seconds)
{
	if (m->n_trials == MLR_MAX_TRIALS)
		return false;
	for (size_t g = 0; g < m->n_goals; g++) {
		struct bounds hint = {};

		for (unsigned p = 0; p < N_PHASES; p++) {
			struct mlr_goal goal = phase_goal(&m->goal[g], p);

			if (next_load(m, &goal, &hint, ret_load)) {
				*ret_seconds = goal.final_s;
				return true;
			}
			hint = find_bounds(m, &goal);
		}
	}
	return false;
}

void
mlr_init(struct mlr *m, double min_pps, double max_pps, const struct mlr_goal *goals, size_t n)
{
	assert(min_pps > 0 && min_pps < max_pps && n >= 1 && n <= MLR_MAX_GOALS);
	m->min_pps = min_pps;
	m->max_pps = max_pps;
	m->n_goals = n;
	m->n_trials = 0;
	for (size_t i = 0; i < n; i++)
		m->goal[i] = goals[i];
}

void
mlr_add(struct mlr *m, const struct mlr_trial *trial)
{
	if (m->n_trials < MLR_MAX_TRIALS)
		m->trial[m->n_trials++] = *trial;
}

void
mlr_limit(struct mlr *m, double max_pps)
{
	m->max_pps = fmax(fmin(m->max_pps, max_pps), m->min_pps);
}

void
mlr_result(const struct mlr *m, size_t goal, struct mlr_result *ret)
{
	const struct mlr_goal *g = &m->goal[goal];
	struct bounds b = find_bounds(m, g);

	*ret = (struct mlr_result){
		.lower_pps = b.lower,
		.upper_pps = b.upper,
		.is_complete = is_settled(m, g, &b),
		.at_maximum = b.upper == 0 && b.lower >= m->max_pps,
		.below_minimum = b.lower == 0 && b.upper > 0 && b.upper <= m->min_pps,
	};
	if (b.lower > 0)
		ret->throughput_pps = mlr_conditional_throughput(m, g, b.lower);
}
