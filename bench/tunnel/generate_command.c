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
#include "bench/trial/device_socket.h"
#include "bench/trial/load_options.h"
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
	LOAD_LONG_OPTIONS,
	END_LONG_OPTIONS,
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
	int of_load;

	if (option == OPTION_HELP) {
		printf("%s%s%s%s", usage, load_options_help, end_options_help, bench_run_help);
		return -1;
	}
	if (option == '?')
		return BENCH_USAGE;
	of_load = load_option(&g->load, option, optarg);
	if (of_load != 0)
		return of_load < 0 ? BENCH_USAGE : 0;
	if (end_option(&g->ends, option, optarg) ||
		bench_run_option(&g->run_options, option, optarg))
		return 0;
	return set_number(g, option) < 0 ? BENCH_USAGE : 0;
}

static int
set_request(struct generate *g)
{
	const struct tunnel_config *t = &g->ends.config.tunnel;
	bool is_v6 = t->inner.family == ADDR_V6 || g->ends.config.clear.family == ADDR_V6;
	int status = load_options_read(&g->load, t->mtu, is_v6, t->n_peers, &g->request);

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

static struct device *
make_device(struct generate *g)
{
	struct device_socket_config *c = &g->ends.config;

	c->is_stopped = is_stopped;
	c->progress = show_progress;
	c->context = g;
	return device_socket_create(c);
}

static json_t *
result_json(const struct device *d, const struct trial_result *result, bool is_cut)
{
	json_t *o = trial_json(result);

	if (strcmp(d->name, "socket") == 0)
		json_object_set_new(o, "wire", device_socket_wire(d));
	if (is_cut)
		json_object_set_new(o, "interrupted", json_true());
	return o;
}

static int
one_trial(struct generate *g, struct device *d, unsigned nth)
{
	struct trial_result result;
	char key[512];
	bool is_cut;

	snprintf(key, sizeof(key), "%s/%s/%s/%g/%g/%u flows/%u peers%s/%u", d->name,
		g->load.direction, g->load.sizes.text, g->rate_pps, g->seconds, g->request.n_flows,
		g->ends.config.tunnel.n_peers, g->request.encrypt_ahead ? "/ahead" : "", nth);
	snprintf(g->what, sizeof(g->what), "%s %s", g->load.direction, g->load.sizes.text);
	if (!bench_run_wants(g->run, key))
		return 0;
	if (d->run(d, &g->request, &result) < 0)
		return -1;
	is_cut = bench_run_is_stopped(g->run);
	// A trial that was cut short is kept, but does not pass for the whole one with --resume.
	if (is_cut)
		strncat(key, "/interrupted", sizeof(key) - strlen(key) - 1);
	if (!g->run_options.json)
		print_trial(&g->request, &result);
	return bench_run_record(
		g->run, key, trial_axes(d, &g->request), result_json(d, &result, is_cut));
}

static int
run_trials(struct generate *g, int argc, char **argv)
{
	struct device *d;
	int err = 0, status;

	err = aead_init(NULL);
	if (err < 0) {
		bench_error(err_str(err), "SLUICE_AEAD may name a cipher that does not work here",
			"no cipher");
		return BENCH_FAILED;
	}
	g->run = bench_run_begin(&g->run_options, g->load.is_in_memory ? "T2" : "T3", "generate",
		argc, argv, (size_t)g->n_repeat, g->seconds + 1);
	if (g->run == NULL)
		return BENCH_FAILED;
	d = make_device(g);
	for (unsigned i = 0; d != NULL && err == 0 && i < (unsigned)g->n_repeat; i++) {
		if (bench_run_is_stopped(g->run))
			break;
		err = one_trial(g, d, i);
	}
	if (d != NULL)
		d->destroy(d);
	status = bench_run_end(g->run);
	return d == NULL || err < 0 ? BENCH_FAILED : status;
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
		status = run_trials(g, argc, argv);
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
