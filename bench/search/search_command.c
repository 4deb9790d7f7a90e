/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-bench search: what a device carries, by trials at loads that the search chooses.
 *
 * Each trial is a record of its own, with a key from its step, its load and its number there; so a
 * search that was interrupted goes on with --resume: the search chooses the same loads again, and
 * finds their results in the file.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/number.h"
#include "bench/harness/run.h"
#include "bench/search/search.h"
#include "bench/trial/device_simulated.h"
#include "bench/tunnel/device_choice.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

enum search_option {
	OPTION_MIN = 1,
	OPTION_MAX,
	OPTION_SECONDS,
	OPTION_SUM,
	OPTION_WIDTH,
	OPTION_PDR,
	OPTION_MRR,
	OPTION_QUICK,
	OPTION_NO_OVERLOAD,
	OPTION_NO_LATENCY,
	OPTION_LABEL,
	OPTION_SIMULATE,
	OPTION_HELP,
};

struct search_command {
	struct search_probe probe; /* first: it is how the search calls back */
	struct bench_run_options run_options;
	struct end_options ends;
	struct load_options load;
	struct search_config config;
	const char *label;
	double mrr_trials, simulate_pps;
	struct trial_request request;
	struct device_watch watch;
	struct device *device;
	struct bench_run *run;
	char key[512];  /* of the search */
	char what[320]; /* the trial, for progress */
};

static const char usage[] =
	"usage: sluice-bench search [--in-memory | ENDS] [OPTIONS]\n"
	"\n"
	"Finds what a device between our two ends carries: NDR (no loss) and PDR (little loss) by "
	"the\n"
	"rules of MLRsearch (RFC 9971), what comes out when everything is offered (MRR), what is "
	"left of\n"
	"the NDR at 1.5, 3 and 10 times of it, and latency at 10, 50 and 90 % of it.\n"
	"\n"
	"The search\n"
	"  --min PPS, --max PPS   between these loads; 1000, and what the generator can do\n"
	"  --seconds S            of a trial, 1 unless given\n"
	"  --sum S                of trials at a load that decide about it for sure, 21 unless "
	"given\n"
	"  --width SHARE          how near the bounds shall be, 0.005 unless given\n"
	"  --pdr SHARE            the loss that PDR allows, 0.005 unless given\n"
	"  --mrr N                trials at the generator's fastest, 10 unless given\n"
	"  --quick                --sum 3 --width 0.02 --mrr 3: minutes instead of a quarter of an "
	"hour\n"
	"  --no-overload, --no-latency   leave that out\n"
	"  --label TEXT           what the device is, for the record\n"
	"  --simulate PPS         a made-up device that carries so much: to see how the search "
	"works\n";

static const struct option long_options[] = {
	{ "min", required_argument, NULL, OPTION_MIN },
	{ "max", required_argument, NULL, OPTION_MAX },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "sum", required_argument, NULL, OPTION_SUM },
	{ "width", required_argument, NULL, OPTION_WIDTH },
	{ "pdr", required_argument, NULL, OPTION_PDR },
	{ "mrr", required_argument, NULL, OPTION_MRR },
	{ "quick", no_argument, NULL, OPTION_QUICK },
	{ "no-overload", no_argument, NULL, OPTION_NO_OVERLOAD },
	{ "no-latency", no_argument, NULL, OPTION_NO_LATENCY },
	{ "label", required_argument, NULL, OPTION_LABEL },
	{ "simulate", required_argument, NULL, OPTION_SIMULATE },
	{ "help", no_argument, NULL, OPTION_HELP },
	DEVICE_LONG_OPTIONS,
	BENCH_RUN_LONG_OPTIONS,
	{},
};

// --- options -------------------------------------------------------------------------------------

static int
set_number(struct search_command *c, int option)
{
	struct search_config *s = &c->config;

	switch (option) {
	case OPTION_MIN:
		return number_option("min", optarg, 1, 1e9, &s->min_pps);
	case OPTION_MAX:
		return number_option("max", optarg, 2, 1e9, &s->max_pps);
	case OPTION_SECONDS:
		return number_option("seconds", optarg, 0.05, 3600, &s->trial_s);
	case OPTION_SUM:
		return number_option("sum", optarg, 0.05, 36000, &s->duration_sum_s);
	case OPTION_WIDTH:
		return number_option("width", optarg, 0.0001, 0.5, &s->width);
	case OPTION_PDR:
		return number_option("pdr", optarg, 0, 0.5, &s->pdr_loss_ratio);
	case OPTION_SIMULATE:
		return number_option("simulate", optarg, 1, 1e9, &c->simulate_pps);
	default:
		return number_option("mrr", optarg, 1, SEARCH_MRR_MAX, &c->mrr_trials);
	}
}

static int
set_switch(struct search_command *c, int option)
{
	struct search_config *s = &c->config;

	switch (option) {
	case OPTION_QUICK:
		s->duration_sum_s = 3;
		s->width = 0.02;
		c->mrr_trials = 3;
		return 0;
	case OPTION_NO_OVERLOAD:
		s->with_overload = false;
		return 0;
	case OPTION_NO_LATENCY:
		s->with_latency = false;
		return 0;
	case OPTION_LABEL:
		c->label = optarg;
		return 0;
	default:
		return set_number(c, option);
	}
}

// 0: go on; else the program ends with it, BENCH_OK after --help as -1.
static int
read_option(struct search_command *c, int option)
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
	of_device = device_option(&c->load, &c->ends, option, optarg);
	if (of_device != 0)
		return of_device < 0 ? BENCH_USAGE : 0;
	if (bench_run_option(&c->run_options, option, optarg))
		return 0;
	return set_switch(c, option) < 0 ? BENCH_USAGE : 0;
}

static int
set_request(struct search_command *c)
{
	if (c->config.max_pps > 0 && c->config.max_pps < 2 * c->config.min_pps) {
		bench_error("there is hardly anything between them",
			"let --max be twice --min at least", "--min %.0f --max %.0f",
			c->config.min_pps, c->config.max_pps);
		return BENCH_USAGE;
	}
	c->config.mrr_trials = (unsigned)c->mrr_trials;
	return device_request(&c->load, &c->ends, &c->request);
}

static int
read_options(struct search_command *c, int argc, char **argv)
{
	int o, status = BENCH_OK;

	c->config = (struct search_config){
		.min_pps = 1000,
		.trial_s = 1,
		.duration_sum_s = 21,
		.width = 0.005,
		.pdr_loss_ratio = 0.005,
		.with_overload = true,
		.with_latency = true,
	};
	c->mrr_trials = 10;
	load_options_init(&c->load);
	optind = 1;
	while (status == BENCH_OK && (o = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		status = read_option(c, o);
	if (status == BENCH_OK && optind < argc) {
		bench_error("there is nothing to do with it", "`--help` shows the options", "%s",
			argv[optind]);
		return BENCH_USAGE;
	}
	if (status == BENCH_OK)
		status = end_options_read(&c->ends);
	return status == BENCH_OK ? set_request(c) : status;
}

// --- one trial -----------------------------------------------------------------------------------

// What was recorded under this key, by this run or the one that it resumes; NULL: nothing.
static const json_t *
find_recorded(const struct search_command *c, const char *key)
{
	const json_t *trials = bench_run_trials(c->run), *trial;
	size_t i;

	json_array_foreach(trials, i, trial)
	{
		const char *its = json_string_value(json_object_get(trial, "key"));

		if (its != NULL && strcmp(its, key) == 0)
			return json_object_get(trial, "result");
	}
	return NULL;
}

static double
number_at(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

// The search sees a trial only through its record, so that a resumed one is no different.
static void
from_record(const json_t *result, struct search_trial *t)
{
	const json_t *sum = json_object_get(result, "sum");
	double lost = number_at(sum, "lost") - number_at(result, "socket_dropped");
	double sent = number_at(sum, "sent");

	*t = (struct search_trial){
		.offered_pps = number_at(result, "offered_pps"),
		.delivered_pps = number_at(result, "delivered_pps"),
		.seconds = number_at(result, "seconds"),
		.loss_ratio = sent > 0 ? fmax(lost, 0) / sent : 1,
		.is_limited = json_is_true(json_object_get(result, "generator_limited")),
		.duplicated = (uint64_t)number_at(sum, "duplicated"),
		.reordered = (uint64_t)number_at(sum, "reordered"),
		.corrupted = (uint64_t)number_at(sum, "corrupted"),
		.latency = json_incref(json_object_get(result, "latency")),
	};
}

static json_t *
axes_of(const struct search_command *c, const struct trial_request *request, const char *step)
{
	json_t *axes = trial_axes(c->device, request);

	json_object_set_new(axes, "peers", json_integer(c->ends.config.tunnel.n_peers));
	if (c->label != NULL)
		json_object_set_new(axes, "label", json_string(c->label));
	json_object_set_new(axes, "step", json_string(step));
	return axes;
}

static int
run_trial(struct search_probe *probe,
	const char *step,
	double rate,
	double seconds,
	unsigned nth,
	struct search_trial *ret)
{
	struct search_command *c = (struct search_command *)probe;
	struct trial_request request = c->request;
	struct trial_result result;
	const json_t *recorded;
	char key[640];

	if (bench_run_is_stopped(c->run))
		return BENCH_INTERRUPTED;
	snprintf(key, sizeof(key), "%s/%s/%.17g/%g s/%u", c->key, step, rate, seconds, nth);
	if (bench_run_wants(c->run, key)) {
		request.rate_pps = rate;
		request.seconds = seconds;
		if (rate > 0)
			snprintf(c->what, sizeof(c->what), "%s at %.4g Mpps", step, rate / 1e6);
		else
			snprintf(c->what, sizeof(c->what), "%s", step);
		bench_run_progress(c->run, c->what, NULL);
		if (c->device->run(c->device, &request, &result) < 0)
			return BENCH_FAILED;
		if (bench_run_is_stopped(c->run)) // cut short: it says nothing
			return BENCH_INTERRUPTED;
		if (bench_run_record(c->run, key, axes_of(c, &request, step),
			    device_trial_json(c->device, &result)) < 0)
			return BENCH_FAILED;
	}
	recorded = find_recorded(c, key);
	if (recorded == NULL)
		return bench_run_is_stopped(c->run) ? BENCH_INTERRUPTED : BENCH_FAILED;
	from_record(recorded, ret);
	return 0;
}

// --- the command ---------------------------------------------------------------------------------

static bool
is_stopped(void *context)
{
	struct search_command *c = context;

	return bench_run_is_stopped(c->run);
}

static void
show_progress(void *context, const struct device_socket_progress *now)
{
	struct search_command *c = context;

	bench_run_progress(c->run, c->what, now->phase);
}

static struct device *
make_device(struct search_command *c)
{
	const struct device_simulated_config simulated = {
		.seed = 1, .capacity_pps = c->simulate_pps, .buffer_packets = 512, .noise = 0.02
	};
	struct device *d;

	c->watch = (struct device_watch){ is_stopped, show_progress, c };
	if (c->simulate_pps == 0)
		return device_choose(&c->load, &c->ends, &c->watch);
	return device_simulated_create(&simulated, &d) == 0 ? d : NULL;
}

// What was found until now is printed and, when the search is complete, kept.
static int
search(struct search_command *c)
{
	struct search_result r;
	int status = search_run(&c->config, &c->probe, &r);
	json_t *axes;

	if (!c->run_options.json && r.n_trials > 0) {
		printf("%s%s%s %s, %s, %u flows%s\n", c->label != NULL ? c->label : "",
			c->label != NULL ? ": " : "", c->device->name, c->load.direction,
			c->load.sizes.text, c->request.n_flows,
			status == 0 ? "" : " (not finished)");
		search_print(&c->config, &r, c->load.sizes.mean);
	}
	if (status == 0 && bench_run_wants(c->run, c->key)) {
		axes = axes_of(c, &c->request, "result");
		status = bench_run_record(c->run, c->key, axes, search_json(&c->config, &r)) < 0
		                 ? BENCH_FAILED
		                 : 0;
	}
	search_result_fini(&r);
	return status;
}

// Everything that a result depends on, but the machine and the build.
static void
set_key(struct search_command *c)
{
	snprintf(c->key, sizeof(c->key), "%s%s%s/%s/%s/%u flows/%u peers%s/sum %g/width %g/pdr %g",
		c->label != NULL ? c->label : "", c->label != NULL ? "/" : "", c->device->name,
		c->load.direction, c->load.sizes.text, c->request.n_flows,
		c->ends.config.tunnel.n_peers, c->request.encrypt_ahead ? "/ahead" : "",
		c->config.duration_sum_s, c->config.width, c->config.pdr_loss_ratio);
}

static int
run_all(struct search_command *c, int argc, char **argv)
{
	bool is_t3 = !c->load.is_in_memory && c->simulate_pps == 0;
	int status, ended, err = aead_init(NULL);

	if (err < 0) {
		bench_error(err_str(err), "SLUICE_AEAD may name a cipher that does not work here",
			"no cipher");
		return BENCH_FAILED;
	}
	c->run = bench_run_begin(&c->run_options, is_t3 ? "T3" : "T2", "search", argc, argv, 0,
		c->config.trial_s + c->load.drain_s);
	if (c->run == NULL)
		return BENCH_FAILED;
	c->device = make_device(c);
	if (c->device == NULL) {
		bench_run_end(c->run);
		return BENCH_FAILED;
	}
	set_key(c);
	c->probe.trial = run_trial;
	status = search(c);
	c->device->destroy(c->device);
	ended = bench_run_end(c->run);
	return status != 0 && ended == BENCH_OK ? status : ended;
}

static int
run_search(int argc, char **argv)
{
	struct search_command *c = calloc(1, sizeof(*c));
	int status;

	if (c == NULL)
		return BENCH_FAILED;
	status = read_options(c, argc, argv);
	if (status == BENCH_OK)
		status = run_all(c, argc, argv);
	end_options_fini(&c->ends);
	free(c);
	return status == -1 ? BENCH_OK : status;
}

const struct bench_command search_command = {
	.name = "search",
	.tier = "T2 T3",
	.summary = "what a device carries: NDR, PDR, MRR, overload, latency",
	.run = run_search,
};
