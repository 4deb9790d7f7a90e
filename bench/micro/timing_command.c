/* SPDX-License-Identifier: BSD-3-Clause
 *
 *     sluice-bench timing      does the cipher's time tell of keys, texts or tags?
 */

#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/name_list.h"
#include "bench/harness/run.h"
#include "bench/micro/timing.h"
#include "lib/base/err.h"

#define DEFAULT_SECONDS 30
#define KEY_LEN         96

static const char usage[] =
	"usage: sluice-bench timing [OPTIONS]\n"
	"Does the time of the cipher depend on what is secret?  Each back end that works here "
	"seals\n"
	"and opens packets of one fixed key and text against those of random ones, and refuses\n"
	"packets whose tag is wrong in its first byte against those where it is the last; in\n"
	"random turns.  Welch's t above 4.5, twice, is worth a look; above 10 is a leak: exit\n"
	"status 1.  What stays below is not proven to be free of leaks.\n"
	"  --only NAME[,NAME]    these back ends alone\n"
	"  --seconds S           of measuring, all in all (default 30)\n"
	"  --self-test           instead: one that leaks must be found\n";

static struct options {
	struct bench_run_options run;
	const char *only;
	double seconds;
	bool self_test;
} options;

static const uint32_t sizes[] = { 64, 352, 1424 };
static const size_t bursts[] = { 1, 32 };
#define N_SIZES  (sizeof(sizes) / sizeof(sizes[0]))
#define N_BURSTS (sizeof(bursts) / sizeof(bursts[0]))

/* ---- options ---- */

static int
parse_options(int argc, char **argv, bool *ret_done)
{
	enum {
		ONLY = 1,
		SECONDS,
		SELF_TEST,
		HELP
	};
	static const struct option longs[] = {
		{ "only", required_argument, NULL, ONLY },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "self-test", no_argument, NULL, SELF_TEST },
		{ "help", no_argument, NULL, HELP },
		BENCH_RUN_LONG_OPTIONS,
		{},
	};
	char *end = NULL;
	int c;

	options.seconds = DEFAULT_SECONDS;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == HELP) {
			printf("%s%s", usage, bench_run_help);
			*ret_done = true;
		} else if (c == ONLY) {
			options.only = optarg;
		} else if (c == SELF_TEST) {
			options.self_test = true;
		} else if (c == SECONDS) {
			options.seconds = strtod(optarg, &end);
			if (end == optarg || *end != '\0' || !(options.seconds > 0) ||
				options.seconds > 86400) {
				fprintf(stderr,
					"sluice-bench timing: --seconds %s: wants a number above "
					"0\n",
					optarg);
				return BENCH_USAGE;
			}
		} else if (c == '?' || !bench_run_option(&options.run, c, optarg)) {
			return BENCH_USAGE; // getopt has said it
		}
	}
	if (optind != argc) {
		fprintf(stderr, "sluice-bench timing: %s: there is nothing to name here\n",
			argv[optind]);
		return BENCH_USAGE;
	}
	return BENCH_OK;
}

// The back ends that are asked for.  Says what is wrong.
static int
choose(const struct aead_backend *backends[static AEAD_MAX_BACKENDS], size_t *ret_n)
{
	const char *const *names;
	size_t n_names, n = 0, wanted = 1;

	if (aead_init(NULL) < 0) {
		bench_error(
			"no back end works here", "Unset SLUICE_AEAD, if it is set.", "the cipher");
		return BENCH_FAILED;
	}
	names = aead_backends(&n_names);
	for (size_t i = 0; i < n_names; i++)
		if (name_is_listed(options.only, names[i]))
			backends[n++] = aead_find(names[i]);
	for (const char *p = options.only; p != NULL && *p != '\0'; p++)
		wanted += *p == ',';
	*ret_n = n;
	if (options.only == NULL || n == wanted)
		return BENCH_OK;
	fprintf(stderr, "sluice-bench timing: --only %s: there are", options.only);
	for (size_t i = 0; i < n_names; i++)
		fprintf(stderr, "%s %s", i > 0 ? "," : "", names[i]);
	fputs(" here\n", stderr);
	return BENCH_USAGE;
}

/* ---- trials ---- */

static const char *
verdict(double t)
{
	return fabs(t) > TIMING_LEAK ? "leak" : fabs(t) > TIMING_LOOK ? "look" : "none";
}

/*
 * Chance alone goes beyond the lower bound now and then, of so many tests: then it is measured
 * again, for twice as long, and that counts.  A leak only becomes clearer.
 */
static int
measure(const struct aead_backend *backend,
	enum timing_test test,
	uint32_t len,
	size_t burst,
	double seconds,
	struct timing_result *r,
	double *ret_first)
{
	int err = timing_measure(backend, test, len, burst, seconds, r);

	*ret_first = r->t;
	if (err == 0 && fabs(r->t) > TIMING_LOOK)
		err = timing_measure(backend, test, len, burst, 2 * seconds, r);
	return err;
}

static int
run_trial(struct bench_run *run,
	const struct aead_backend *backend,
	enum timing_test test,
	uint32_t len,
	size_t burst,
	double seconds)
{
	struct timing_result r = {};
	char key[KEY_LEN];
	double first;
	int err;

	snprintf(key, sizeof(key), "%s/%s/%u/%zu", backend->name, timing_test_names[test], len,
		burst);
	if (!bench_run_wants(run, key))
		return 0;
	bench_run_progress(run, key, NULL);
	err = measure(backend, test, len, burst, seconds, &r, &first);
	if (err < 0) {
		bench_error(err_str(err), NULL, "%s", key);
		return err;
	}
	return bench_run_record(run, key,
		json_pack("{s:s, s:s, s:I, s:I}", "backend", backend->name, "test",
			timing_test_names[test], "size", (json_int_t)len, "burst",
			(json_int_t)burst),
		json_pack("{s:f, s:f, s:f, s:I, s:[f,f], s:s}", "t", r.t, "t_at_first", first,
			"share", r.share, "measurements", (json_int_t)r.n, "tsc_ticks", r.tsc[0],
			r.tsc[1], "leak", verdict(r.t)));
}

static int
run_all(struct bench_run *run, const struct aead_backend *const *backends, size_t n)
{
	double seconds = options.seconds / (double)(n * TIMING_TESTS * N_SIZES * N_BURSTS);

	for (size_t i = 0; i < n; i++)
		for (int test = 0; test < TIMING_TESTS; test++)
			for (size_t s = 0; s < N_SIZES; s++)
				for (size_t b = 0; b < N_BURSTS; b++) {
					int err =
						run_trial(run, backends[i], (enum timing_test)test,
							sizes[s], bursts[b], seconds);

					if (err < 0 || bench_run_is_stopped(run))
						return err;
				}
	return 0;
}

/* ---- what came out ---- */

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void
print_table(const json_t *trials)
{
	const json_t *trial;
	size_t i;

	printf("back end    test    bytes  burst  measurements   ticks A   ticks B     |t|\n");
	json_array_foreach(trials, i, trial)
	{
		const json_t *axes = json_object_get(trial, "axes");
		const json_t *r = json_object_get(trial, "result"),
			     *ticks = json_object_get(r, "tsc_ticks");
		const char *leak = json_string_value(json_object_get(r, "leak"));

		printf("%-11s %-7s %5.0f  %5.0f  %12.0f  %8.1f  %8.1f  %6.2f%s\n",
			json_string_value(json_object_get(axes, "backend")),
			json_string_value(json_object_get(axes, "test")), number(axes, "size"),
			number(axes, "burst"), number(r, "measurements"),
			json_number_value(json_array_get(ticks, 0)),
			json_number_value(json_array_get(ticks, 1)), fabs(number(r, "t")),
			leak == NULL || strcmp(leak, "none") == 0 ? ""
			: strcmp(leak, "look") == 0               ? "  look at this"
								  : "  LEAK");
	}
}

static size_t
count_leaks(const json_t *trials, const char *kind)
{
	const json_t *trial;
	size_t i, n = 0;

	json_array_foreach(trials, i, trial)
	{
		const char *leak = json_string_value(
			json_object_get(json_object_get(trial, "result"), "leak"));

		n += leak != NULL && strcmp(leak, kind) == 0;
	}
	return n;
}

static void
print_sum(const json_t *trials)
{
	size_t leaks = count_leaks(trials, "leak"), looks = count_leaks(trials, "look");

	printf("\nA: fixed key and text, or wrong in the tag's first byte; B: random, or in its "
	       "last.\n"
	       "%zu of %zu tests leak (|t| above %.0f), %zu are to be looked at (above %.1f, "
	       "twice).\n",
		leaks, json_array_size(trials), TIMING_LEAK, looks, TIMING_LOOK);
}

/* ---- self-test ---- */

static bool
finds(const struct aead_backend *backend, enum timing_test test, bool leaks)
{
	struct timing_result r = {};
	bool right;
	double first;

	if (measure(backend, test, 64, 1, options.seconds / 20, &r, &first) < 0)
		return false;
	right = leaks ? fabs(r.t) > TIMING_LEAK : fabs(r.t) <= TIMING_LEAK;
	printf("%-10s %-7s |t| %8.2f of %zu measurements: %s\n", backend->name,
		timing_test_names[test], fabs(r.t), r.n,
		right ? leaks ? "found, as it should be" : "no leak" : "WRONG");
	return right;
}

static int
self_test(void)
{
	bool right = finds(&timing_leaky, TIMING_SEAL, true);

	right = finds(&timing_leaky, TIMING_REFUSE, true) && right;
	right = finds(&aead_sodium, TIMING_SEAL, false) && right;
	right = finds(&aead_sodium, TIMING_REFUSE, false) && right;
	return right ? BENCH_OK : BENCH_FAILED;
}

// A core's caches and clock are its own.
static void
stay_on_this_core(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); // else it may move: noise, not an error
}

static int
run_timing(int argc, char **argv)
{
	const struct aead_backend *backends[AEAD_MAX_BACKENDS];
	bool done = false, leaks;
	struct bench_run *run;
	int status, ended;
	size_t n;

	status = parse_options(argc, argv, &done);
	if (status == BENCH_OK && !done)
		status = choose(backends, &n);
	if (status != BENCH_OK || done)
		return status;
	stay_on_this_core();
	if (options.self_test)
		return self_test();
	run = bench_run_begin(&options.run, "T0", "timing", argc, argv,
		n * TIMING_TESTS * N_SIZES * N_BURSTS,
		options.seconds / (double)(n * TIMING_TESTS * N_SIZES * N_BURSTS));
	if (run == NULL)
		return BENCH_FAILED;
	if (run_all(run, backends, n) < 0)
		status = BENCH_FAILED;
	leaks = count_leaks(bench_run_trials(run), "leak") > 0;
	if (!options.run.json) {
		print_table(bench_run_trials(run));
		print_sum(bench_run_trials(run));
	}
	ended = bench_run_end(run);
	if (ended != BENCH_OK)
		return ended;
	return leaks ? BENCH_FAILED : status;
}

const struct bench_command timing_command = {
	.name = "timing",
	.tier = "T0",
	.summary = "does the cipher's time tell of keys, texts or tags?",
	.run = run_timing,
};
