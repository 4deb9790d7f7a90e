/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-bench generate: trials at a given rate.
 *
 * With both ends it measures a device between them; with the sending end alone it sends to a sink
 * elsewhere (sink_command.c) and tells it how much.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/number.h"
#include "bench/harness/run.h"
#include "bench/trial/load_options.h"
#include "bench/tunnel/apart.h"
#include "bench/tunnel/device_choice.h"
#include "bench/tunnel/end_options.h"
#include "bench/tunnel/print_trial.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

#define DEFAULT_SECONDS 5.0

enum generate_option {
	OPTION_RATE = 1,
	OPTION_SECONDS,
	OPTION_REPEAT,
	OPTION_HELP,
};

struct generate {
	struct bench_run_options run_options;
	struct end_options ends;
	struct load_options load;
	double rate_pps, seconds, n_repeat;
	struct trial_request request;
	bool has_direction;   /* it was asked for */
	bool is_sending_only; /* the other end is another program */
	struct bench_run *run;
	char what[320]; /* the trial, for progress */
};

static const char usage[] =
	"usage: sluice-bench generate [--in-memory | ENDS] [OPTIONS]\n"
	"\n"
	"Sends numbered packets through a device and says what became of them: loss, duplicates,\n"
	"reordering (RFC 4737), corruption, latency.  The device is whatever speaks WireGuard; "
	"both\n"
	"ends are ours.  With the sending end only, it sends to `sluice-bench sink` elsewhere.\n"
	"\n"
	"The trial\n"
	"  --rate PPS             packets per second, both ways together: 2000, 50k, 1.5M; or max\n"
	"  --seconds S            of sending, 5 unless given\n"
	"  --repeat N             so many trials\n"
	"  --to ADDR[:PORT]       the sink elsewhere (with the sending end only)\n";

static const struct option long_options[] = {
	{ "rate", required_argument, NULL, OPTION_RATE },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "repeat", required_argument, NULL, OPTION_REPEAT },
	{ "help", no_argument, NULL, OPTION_HELP },
	DEVICE_LONG_OPTIONS,
	BENCH_RUN_LONG_OPTIONS,
	{},
};

/* ---- options ---- */

static int
set_number(struct generate *g, int option)
{
	switch (option) {
	case OPTION_RATE:
		if (strcmp(optarg, "max") == 0) {
			g->rate_pps = 0;
			return 0;
		}
		return number_option("rate", optarg, 0.1, 1e9, &g->rate_pps);
	case OPTION_SECONDS:
		return number_option("seconds", optarg, 0.01, 86400, &g->seconds);
	default:
		return number_option("repeat", optarg, 1, 1e6, &g->n_repeat);
	}
}

// 0: go on; else the program ends with it, BENCH_OK after --help as -1.
static int
read_option(struct generate *g, int option)
{
	int of_device;

	if (option == OPTION_HELP) {
		fputs(usage, stdout);
		device_options_print_help();
		fputs(bench_run_help, stdout);
		return -1;
	}
	if (option == '?')
		return BENCH_USAGE;
	g->has_direction |= option == LOAD_OPTIONS;
	of_device = device_option(&g->load, &g->ends, option, optarg);
	if (of_device != 0)
		return of_device < 0 ? BENCH_USAGE : 0;
	if (bench_run_option(&g->run_options, option, optarg))
		return 0;
	return set_number(g, option) < 0 ? BENCH_USAGE : 0;
}

// Which ends are ours?
static int
check_ends(struct generate *g)
{
	const struct end_options *o = &g->ends;
	const char *way;

	if (g->load.is_in_memory || (o->has_tunnel && o->has_clear))
		return BENCH_OK;
	g->is_sending_only = true;
	if (!o->has_tunnel && !o->has_clear) {
		bench_error("it takes two",
			"give --device and what belongs to it, --clear and its namespace; or "
			"--in-memory",
			"no end is given");
		return BENCH_USAGE;
	}
	if (o->far.addr.family == ADDR_NONE) {
		bench_error("there is nobody to send to",
			"give the other end too, or with --to the address of a `sluice-bench "
			"sink`",
			"only one end is given");
		return BENCH_USAGE;
	}
	way = trial_direction_names[apart_send_direction(o)];
	if (g->has_direction && strcmp(g->load.direction, way) != 0) {
		bench_error("this end alone sends the other way", "give the other end too",
			"--direction %s", g->load.direction);
		return BENCH_USAGE;
	}
	g->load.direction = way;
	return BENCH_OK;
}

static int
set_request(struct generate *g)
{
	int status = device_request(&g->load, &g->ends, &g->request);

	g->request.rate_pps = g->rate_pps;
	g->request.seconds = g->seconds;
	return status;
}

static int
read_options(struct generate *g, int argc, char **argv)
{
	int c, status = BENCH_OK;

	*g = (struct generate){ .seconds = DEFAULT_SECONDS, .n_repeat = 1, .rate_pps = 1000 };
	load_options_init(&g->load);
	optind = 1;
	while (status == BENCH_OK && (c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		status = read_option(g, c);
	if (status != BENCH_OK)
		return status;
	if (optind < argc) {
		bench_error("there is nothing to do with it", "`--help` shows the options", "%s",
			argv[optind]);
		return BENCH_USAGE;
	}
	status = end_options_read(&g->ends);
	if (status == BENCH_OK && !g->ends.print_peers)
		status = check_ends(g);
	return status == BENCH_OK && !g->ends.print_peers ? set_request(g) : status;
}

/* ---- trials ---- */

static bool
is_stopped(void *context)
{
	struct generate *g = context;

	return bench_run_is_stopped(g->run);
}

static void
show_progress(void *context, const struct device_socket_progress *now)
{
	struct generate *g = context;
	char detail[160];

	if (now->sent == 0) {
		bench_run_progress(g->run, g->what, now->phase);
		return;
	}
	snprintf(detail, sizeof(detail), "%s: %llu sent, %lld not back yet, %.0f s left",
		now->phase, (unsigned long long)now->sent,
		(long long)now->sent - (long long)now->received, now->seconds_left);
	bench_run_progress(g->run, g->what, detail);
}

static void
name_trial(struct generate *g, const char *device, unsigned nth, char *key, size_t size)
{
	snprintf(key, size, "%s/%s/%s/%g/%g/%u flows/%u peers%s/%u", device, g->load.direction,
		g->load.sizes.text, g->rate_pps, g->seconds, g->request.n_flows,
		g->ends.config.tunnel.n_peers, g->request.encrypt_ahead ? "/ahead" : "", nth);
	snprintf(g->what, sizeof(g->what), "%s %s", g->load.direction, g->load.sizes.text);
}

// A trial that was cut short is kept, but does not pass for the whole one with --resume.
static int
record(struct generate *g, const struct device *d, char *key, size_t size, json_t *result)
{
	json_t *axes = trial_axes(d, &g->request);

	json_object_set_new(axes, "peers", json_integer(g->ends.config.tunnel.n_peers));
	if (bench_run_is_stopped(g->run)) {
		strncat(key, "/interrupted", size - strlen(key) - 1);
		json_object_set_new(result, "interrupted", json_true());
	}
	return bench_run_record(g->run, key, axes, result);
}

static int
one_trial(struct generate *g, struct device *d, unsigned nth)
{
	struct trial_result result;
	char key[512];

	name_trial(g, d->name, nth, key, sizeof(key));
	if (!bench_run_wants(g->run, key))
		return 0;
	if (d->run(d, &g->request, &result) < 0)
		return -1;
	if (!g->run_options.json)
		print_trial(&g->request, &result);
	return record(g, d, key, sizeof(key), device_trial_json(d, &result));
}

// The sending end alone.
static int
one_sending(struct generate *g, unsigned nth)
{
	const struct device elsewhere = { .name = "elsewhere", .tier = "T3" };
	struct trial_result result;
	json_t *wire, *o;
	char key[512];

	name_trial(g, elsewhere.name, nth, key, sizeof(key));
	if (!bench_run_wants(g->run, key))
		return 0;
	if (apart_send(&g->ends, &g->request, &result, &wire) < 0)
		return -1;
	if (!g->run_options.json)
		print_sending(&g->request, &result);
	o = json_pack("{s:I, s:f, s:f, s:I, s:f, s:b}", "sent", (json_int_t)result.sum.sent,
		"seconds", result.seconds, "offered_pps", result.offered_pps, "generator_late",
		(json_int_t)result.generator_late, "generator_cpu_s", result.generator_cpu_s,
		"generator_limited", (int)result.generator_limited);
	if (wire != NULL)
		json_object_set_new(o, "wire", wire);
	return record(g, &elsewhere, key, sizeof(key), o);
}

static int
run_trials(struct generate *g, struct device *d)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < (unsigned)g->n_repeat; i++) {
		if (bench_run_is_stopped(g->run))
			break;
		err = d != NULL ? one_trial(g, d, i) : one_sending(g, i);
	}
	return err;
}

static int
measure(struct generate *g, int argc, char **argv)
{
	const struct device_watch watch = {
		.is_stopped = is_stopped, .progress = show_progress, .context = g
	};
	struct device *d = NULL;
	int status, err = aead_init(NULL);

	if (err < 0) {
		bench_error(err_str(err), "SLUICE_AEAD may name a cipher that does not work here",
			"no cipher");
		return BENCH_FAILED;
	}
	g->run = bench_run_begin(&g->run_options, g->load.is_in_memory ? "T2" : "T3", "generate",
		argc, argv, (size_t)g->n_repeat, g->seconds + 1);
	if (g->run == NULL)
		return BENCH_FAILED;
	g->ends.config.is_stopped = is_stopped;
	g->ends.config.progress = show_progress;
	g->ends.config.context = g;
	if (!g->is_sending_only)
		d = device_choose(&g->load, &g->ends, &watch);
	if (d != NULL || g->is_sending_only)
		err = run_trials(g, d);
	else
		err = -1;
	if (d != NULL)
		d->destroy(d);
	status = bench_run_end(g->run);
	return err < 0 ? BENCH_FAILED : status;
}

static int
run_generate(int argc, char **argv)
{
	struct generate *g = calloc(1, sizeof(*g));
	int status;

	if (g == NULL)
		return BENCH_FAILED;
	status = read_options(g, argc, argv);
	if (status == BENCH_OK && g->ends.print_peers)
		status = end_options_print_peers(&g->ends);
	else if (status == BENCH_OK)
		status = measure(g, argc, argv);
	end_options_fini(&g->ends);
	free(g);
	return status == -1 ? BENCH_OK : status;
}

const struct bench_command generate_command = {
	.name = "generate",
	.tier = "T2 T3",
	.summary = "send numbered packets through a device: loss, order, latency",
	.run = run_generate,
};
