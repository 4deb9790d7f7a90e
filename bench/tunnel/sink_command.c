/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-bench sink: the receiving end of trials whose generator is another program.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/command.h"
#include "bench/harness/number.h"
#include "bench/harness/run.h"
#include "bench/tunnel/apart.h"
#include "bench/tunnel/end_options.h"
#include "bench/tunnel/print_trial.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

enum sink_option {
	OPTION_IDLE = 1,
	OPTION_REPEAT,
	OPTION_HELP,
};

struct sink {
	struct bench_run_options run_options;
	struct end_options ends;
	struct bench_run *run;
	double idle_s, n_repeat;
};

static const char usage[] =
	"usage: sluice-bench sink END [OPTIONS]\n"
	"\n"
	"Receives what `sluice-bench generate` with a sending end alone sends through a device, "
	"and\n"
	"says what became of it.  Start it before the generator; it ends with the generator's "
	"goodbye.\n"
	"  --idle S               end after so many seconds of silence\n"
	"  --repeat N             receive N trials\n";

static const struct option long_options[] = {
	{ "idle", required_argument, NULL, OPTION_IDLE },
	{ "repeat", required_argument, NULL, OPTION_REPEAT },
	{ "help", no_argument, NULL, OPTION_HELP },
	END_LONG_OPTIONS,
	BENCH_RUN_LONG_OPTIONS,
	{},
};

static int
read_option(struct sink *s, int option)
{
	int err = 0;

	switch (option) {
	case OPTION_IDLE:
		err = number_option("idle", optarg, 0, 1e6, &s->idle_s);
		break;
	case OPTION_REPEAT:
		err = number_option("repeat", optarg, 1, 1e6, &s->n_repeat);
		break;
	case OPTION_HELP:
		printf("%s%s%s", usage, end_options_help, bench_run_help);
		return -1;
	case '?':
		return BENCH_USAGE;
	default:
		(void)(end_option(&s->ends, option, optarg) ||
			bench_run_option(&s->run_options, option, optarg));
	}
	return err < 0 ? BENCH_USAGE : BENCH_OK;
}

static int
read_options(struct sink *s, int argc, char **argv)
{
	int c, status = BENCH_OK;

	*s = (struct sink){ .n_repeat = 1 };
	optind = 1;
	while (status == BENCH_OK && (c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		status = read_option(s, c);
	if (status != BENCH_OK)
		return status;
	status = optind == argc ? end_options_read(&s->ends) : BENCH_USAGE;
	if (optind < argc)
		bench_error("there is nothing to do with it", "`--help` shows the options", "%s",
			argv[optind]);
	if (status != BENCH_OK || s->ends.print_peers)
		return status;
	if (s->ends.has_tunnel == s->ends.has_clear) {
		bench_error("a sink is one end",
			"give --clear for what the device decrypts, or --device and what belongs "
			"to "
			"it for what it encrypts; both at once: sluice-bench generate",
			"%s", s->ends.has_clear ? "both ends are given" : "no end is given");
		return BENCH_USAGE;
	}
	return BENCH_OK;
}

static bool
is_stopped(void *context)
{
	return bench_run_is_stopped(((struct sink *)context)->run);
}

static void
show_progress(void *context, const struct device_socket_progress *now)
{
	struct sink *s = context;
	char detail[96];

	snprintf(detail, sizeof(detail), "%llu received", (unsigned long long)now->received);
	bench_run_progress(s->run, now->phase, now->received > 0 ? detail : NULL);
}

static void
print_received(const struct apart_received *r)
{
	const char *name = trial_direction_names[r->direction];

	printf("%s, %u flows, %.2f s\n", name, r->n_flows, r->result.seconds);
	print_sum(name, &r->result.sum, r->result.seconds);
	print_latency(&r->result.latency);
	if (!r->has_latency)
		puts("  no latency: the generator has another clock");
	if (!r->was_told)
		puts("  the generator said no goodbye: lost is counted against what it had "
		     "announced");
	if (r->result.socket_dropped > 0)
		printf("  OUR OWN SOCKET DROPPED %llu: not the device's doing\n",
			(unsigned long long)r->result.socket_dropped);
}

static int
record(struct sink *s, unsigned nth, const struct apart_received *r)
{
	const char *name = trial_direction_names[r->direction];
	json_t *axes = json_pack(
		"{s:s, s:s, s:i}", "device", "socket", "direction", name, "flows", (int)r->n_flows);
	json_t *result = trial_json(&r->result);
	char key[64];

	json_object_set_new(result, "wire", r->wire);
	json_object_set_new(result, "was_told", json_boolean(r->was_told));
	if (!r->has_latency)
		json_object_set_new(result, "latency", json_null());
	snprintf(key, sizeof(key), "sink/%s/%u", name, nth);
	return bench_run_record(s->run, key, axes, result);
}

static int
receive_trials(struct sink *s, int argc, char **argv)
{
	int err = aead_init(NULL), status;

	if (err < 0) {
		bench_error(err_str(err), "SLUICE_AEAD may name a cipher that does not work here",
			"no cipher");
		return BENCH_FAILED;
	}
	s->run =
		bench_run_begin(&s->run_options, "T3", "sink", argc, argv, (size_t)s->n_repeat, 10);
	if (s->run == NULL)
		return BENCH_FAILED;
	s->ends.config.is_stopped = is_stopped;
	s->ends.config.progress = show_progress;
	s->ends.config.context = s;
	for (unsigned i = 0; err == 0 && i < (unsigned)s->n_repeat; i++) {
		struct apart_received received;

		err = apart_receive(&s->ends, s->idle_s, &received);
		if (err < 0)
			break;
		if (!s->run_options.json)
			print_received(&received);
		err = record(s, i, &received);
		if (bench_run_is_stopped(s->run))
			break;
	}
	status = bench_run_end(s->run);
	return status == BENCH_OK && err < 0 ? BENCH_FAILED : status;
}

static int
run_sink(int argc, char **argv)
{
	struct sink *s = calloc(1, sizeof(*s));
	int status;

	if (s == NULL)
		return BENCH_FAILED;
	status = read_options(s, argc, argv);
	if (status == BENCH_OK && s->ends.print_peers)
		status = end_options_print_peers(&s->ends);
	else if (status == BENCH_OK)
		status = receive_trials(s, argc, argv);
	end_options_fini(&s->ends);
	free(s);
	return status == -1 ? BENCH_OK : status;
}

const struct bench_command sink_command = {
	.name = "sink",
	.tier = "T3",
	.summary = "receive what generate sends elsewhere",
	.run = run_sink,
};
