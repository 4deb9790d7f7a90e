/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Multiple loss ratio search: which load does a device carry, when trials disagree with each other?
 *
 * Source: RFC 9971 (MLRsearch): "goal", "load", "full-length" and "short" trials, "lower" and
 * "upper bound", "relevant" bounds, "conditional throughput" as there; appendices A and B for
 *         classification and throughput.  Which load comes next is left to implementations: see
 *         mlr_next().
 * Owner:  the caller; no allocation.
 * Thread: one.  Pure: no clock, no device.
 */
#ifndef BENCH_SEARCH_MLR_H
#define BENCH_SEARCH_MLR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mlr_goal {
	const char *name;      /* "ndr", "pdr" */
	double loss_ratio;     /* a trial that loses more is a high-loss trial */
	double exceed_ratio;   /* share of trial time that may be high-loss, 0 <= x < 1 */
	double final_s;        /* a shorter trial is short */
	double duration_sum_s; /* this much full-length time always decides */
	double width;          /* (upper - lower) / upper that is near enough */
};

/* The two goals of FD.io CSIT (../shared/design/performance.md 6.1). */
extern const struct mlr_goal mlr_ndr, mlr_pdr;

struct mlr_trial {
	double load_pps; /* intended */
	double seconds;  /* effective duration */
	double loss_ratio;
};

#define MLR_MAX_TRIALS 4096
#define MLR_MAX_GOALS  4

struct mlr {
	double min_pps,
		max_pps; /* max_pps goes down when the generator cannot do it: mlr_limit() */
	size_t n_goals;
	struct mlr_goal goal[MLR_MAX_GOALS];
	size_t n_trials;
	struct mlr_trial trial[MLR_MAX_TRIALS];
};

enum mlr_bound {
	MLR_UNDECIDED,
	MLR_LOWER, /* the device carries this load */
	MLR_UPPER, /* it does not */
};

/* RFC 9971 appendix A, over the trials at exactly this load. */
enum mlr_bound mlr_classify(const struct mlr *m, const struct mlr_goal *goal, double load_pps);
/* Appendix B; 0 without a full-length trial. */
double
mlr_conditional_throughput(const struct mlr *m, const struct mlr_goal *goal, double load_pps);

/* 0 < min < max; goals are copied, the strictest (lowest loss) first. */
void
mlr_init(struct mlr *m, double min_pps, double max_pps, const struct mlr_goal *goals, size_t n);

/*
 * The next trial; false: every goal is settled, or no trial has room any more.
 *
 * Goal after goal, each in phases: first with one trial per load and four times the width, then two
 * times, then with the goal's own duration sum and width.  In a phase: the bounds of the phase
 * before are confirmed first; where they do not hold, the search steps outwards, twice as far each
 * time; between a lower and an upper bound it bisects, geometrically.  A first trial at the maximum
 * tells where to begin: at the rate that came through.
 */
bool mlr_next(const struct mlr *m, double *ret_load_pps, double *ret_seconds);
/* What came out of it. */
void mlr_add(struct mlr *m, const struct mlr_trial *trial);
/* The generator does not reach more than this: loads above it are not asked for any more. */
void mlr_limit(struct mlr *m, double max_pps);

struct mlr_result {
	double lower_pps, upper_pps; /* relevant bounds; 0: none found */
	double throughput_pps;       /* conditional throughput at lower_pps */
	bool is_complete;   /* both bounds, near enough; or the maximum itself is carried */
	bool at_maximum;    /* the maximum is carried: the device may carry more */
	bool below_minimum; /* not even the minimum is carried */
};
void mlr_result(const struct mlr *m, size_t goal, struct mlr_result *ret_result);

#endif
