/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/command.h"
#include "bench/harness/error.h"
#include "bench/harness/machine.h"
#include "bench/harness/progress.h"
#include "bench/harness/samples.h"
#include "bench/harness/trial_file.h"
#include "lib/base/err.h"

struct bench_run {
	const struct bench_run_options *options;
	const char *tier, *kind;
	int argc;
	char **argv;
	struct bench_clock clock;
	json_t *machine, *build;
	json_t *trials; // of this run, in order
	json_t *taken;  // their keys, so that none is there twice
	json_t *old;    // of this kind in the file: key -> trial, borrowed from file.old's elements
	struct trial_file file;
	bool has_file;
	bool has_failed; // to write
	struct progress progress;
};

const char bench_run_help[] =
	"  --json                print all trials as one JSON array instead of a table\n"
	"  --out FILE            keep each trial as a line of FILE the moment it is done\n"
	"  --resume              go on with FILE: what it has is not measured again\n"
	"  --quiet               no progress on stderr\n"
	"  --help                this\n";

static volatile sig_atomic_t stop_asked; // set by the handler

bool
bench_run_option(struct bench_run_options *o, int value, const char *argument)
{
	switch (value) {
	case BENCH_RUN_OPTIONS:
		o->json = true;
		return true;
	case BENCH_RUN_OPTIONS + 1:
		o->resume = true;
		return true;
	case BENCH_RUN_OPTIONS + 2:
		o->quiet = true;
		return true;
	case BENCH_RUN_OPTIONS + 3:
		o->out = argument;
		return true;
	default:
		return false;
	}
}

json_t *
bench_spread(struct samples *s)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:I}", "best", samples_best(s), "median",
		samples_median(s), "p10", samples_quantile(s, 0.1), "p90", samples_quantile(s, 0.9),
		"n", (json_int_t)s->n);
}

// --- the beginning -----------------------------------------------------------------------------

static void
ask_to_stop(int)
{
	stop_asked = 1;
}

static void
catch_signals(void)
{
	// Calls that wait are to return; who asks twice does not want to wait for anything.
	struct sigaction action = { .sa_handler = ask_to_stop, .sa_flags = (int)SA_RESETHAND };

	stop_asked = 0;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); // a reader that left is an error of the output, said at the end
}

// Would old and new figures stand beside each other as if they were of one run?
static int
check_origin(const struct bench_run *run, const json_t *trial, size_t number)
{
	const json_t *machine = json_object_get(trial, "machine");
	const json_t *build = json_object_get(trial, "build");
	const char *name;

	if (!bench_machine_is_same(machine, run->machine, &name))
		bench_error("of another machine, or this one changed",
			"Figures of two machines are not mixed: give --out another file.",
			"%s, line %zu: \"%s\" differs", run->file.path, number, name);
	else if (!bench_build_is_same(build, run->build, &name))
		bench_error("of another build of sluice-bench",
			"Figures of two builds are not mixed: give --out another file.",
			"%s, line %zu: \"%s\" differs", run->file.path, number, name);
	else
		return 0;
	return -EINVAL;
}

static int
look_at_old(struct bench_run *run)
{
	json_t *trial;
	size_t i;

	json_array_foreach(run->file.old, i, trial)
	{
		int err = check_origin(run, trial, i + 1);

		if (err < 0)
			return err;
		if (strcmp(json_string_value(json_object_get(trial, "kind")), run->kind) == 0)
			json_object_set(
				run->old, json_string_value(json_object_get(trial, "key")), trial);
	}
	return 0;
}

static int
open_file(struct bench_run *run)
{
	int err;

	if (run->options->out == NULL && run->options->resume) {
		bench_error("what shall it go on with?", "Name the file: --out FILE --resume.",
			"--resume without --out");
		return -EINVAL;
	}
	if (run->options->out == NULL)
		return 0;
	err = trial_file_open(&run->file, run->options->out, run->options->resume);
	if (err < 0)
		return err;
	run->has_file = true;
	return look_at_old(run);
}

static void
destroy(struct bench_run *run)
{
	if (run->has_file)
		trial_file_close(&run->file);
	json_decref(run->machine);
	json_decref(run->build);
	json_decref(run->trials);
	json_decref(run->taken);
	json_decref(run->old);
	free(run);
}

struct bench_run *
bench_run_begin(const struct bench_run_options *options,
	const char *tier,
	const char *kind,
	int argc,
	char **argv,
	size_t n_trials,
	double seconds_each)
{
	struct bench_run *run = calloc(1, sizeof(*run));

	if (run == NULL) {
		bench_error(err_str(-ENOMEM), NULL, "%s", kind);
		return NULL;
	}
	run->options = options;
	run->tier = tier;
	run->kind = kind;
	run->argc = argc;
	run->argv = argv;
	bench_clock_init(&run->clock);
	run->machine = bench_machine(&run->clock);
	run->build = bench_build();
	run->trials = json_array();
	run->taken = json_object();
	run->old = json_object();
	if (run->machine == NULL || run->build == NULL || run->trials == NULL ||
		run->taken == NULL || run->old == NULL)
		bench_error(err_str(-ENOMEM), NULL, "%s", kind);
	else if (open_file(run) == 0) {
		catch_signals();
		progress_init(&run->progress, n_trials, seconds_each, options->quiet);
		return run;
	}
	destroy(run);
	return NULL;
}

// --- trials ------------------------------------------------------------------------------------

static bool
take(struct bench_run *run, const char *key, json_t *trial)
{
	return json_object_set_new(run->taken, key, json_true()) == 0 &&
	       json_array_append(run->trials, trial) == 0;
}

bool
bench_run_wants(struct bench_run *run, const char *key)
{
	json_t *found = json_object_get(run->old, key);

	if (found == NULL)
		return !stop_asked && !run->has_failed;
	if (json_object_get(run->taken, key) == NULL && take(run, key, found))
		run->progress.n_found++;
	return false;
}

void
bench_run_progress(struct bench_run *run, const char *what, const char *detail)
{
	progress_show(&run->progress, what, detail);
}

// With the program's name, as a shell would be told.
static json_t *
command_of(const struct bench_run *run)
{
	json_t *words = json_pack("[s]", "sluice-bench");

	for (int i = 0; i < run->argc; i++)
		json_array_append_new(words, json_string(run->argv[i]));
	return words;
}

static json_t *
now_text(void)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

int
bench_run_record(struct bench_run *run, const char *key, json_t *axes, json_t *result)
{
	json_t *trial = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:O, s:O, s:o, s:o}", "schema",
		TRIAL_SCHEMA, "tier", run->tier, "kind", run->kind, "key", key, "at", now_text(),
		"command", command_of(run), "machine", run->machine, "build", run->build, "axes",
		axes, "result", result);
	int err = trial != NULL && take(run, key, trial) ? 0 : -ENOMEM;

	if (err < 0) // or a number that JSON has not
		bench_error("it could not be put into JSON", NULL, "trial %s", key);
	else if (run->has_file)
		err = trial_file_append(&run->file, trial);
	json_decref(trial);
	run->has_failed |= err < 0;
	progress_done(&run->progress);
	return err;
}

bool
bench_run_is_stopped(const struct bench_run *)
{
	return stop_asked != 0;
}

const json_t *
bench_run_trials(const struct bench_run *run)
{
	return run->trials;
}

const struct bench_clock *
bench_run_clock(const struct bench_run *run)
{
	return &run->clock;
}

// --- the end -----------------------------------------------------------------------------------

// So that it can be pasted into a shell.
static void
print_word(const char *word)
{
	if (word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
						 "XYZ0123456789-_=+:,./@%")] == '\0') {
		fprintf(stderr, " %s", word);
		return;
	}
	fputs(" '", stderr);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			fputs("'\\''", stderr);
		else
			fputc(*word, stderr);
	}
	fputc('\'', stderr);
}

static void
say_how_to_go_on(const struct bench_run *run)
{
	size_t n = json_array_size(run->trials);

	progress_clear();
	if (!run->has_file) {
		fprintf(stderr,
			"sluice-bench: interrupted after %zu trials; with --out FILE a run can be "
			"resumed\n",
			n);
		return;
	}
	fprintf(stderr,
		"sluice-bench: interrupted; %zu trials are kept in %s.  Go on with\n"
		"  sluice-bench",
		n, run->file.path);
	for (int i = 0; i < run->argc; i++)
		print_word(run->argv[i]);
	fputs(run->options->resume ? "\n" : " --resume\n", stderr);
}

int
bench_run_end(struct bench_run *run)
{
	bool is_stopped = stop_asked != 0, has_failed = run->has_failed;

	progress_clear();
	if (run->options->json) {
		json_dumpf(run->trials, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
		putchar('\n');
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		bench_error("it could not be written", "Make room, or choose another place.",
			"the output");
		has_failed = true;
	}
	if (is_stopped)
		say_how_to_go_on(run);
	destroy(run);
	if (is_stopped)
		return BENCH_INTERRUPTED;
	return has_failed ? BENCH_FAILED : BENCH_OK;
}
