/* SPDX-License-Identifier: BSD-3-Clause
 *
 *     sluice-bench handshakes      many peers at once, and how long an answer takes
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/handshake/shake.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypto/aead.h"

static const char usage[] =
	"usage: sluice-bench handshakes --gateway ADDR:PORT --public-key KEY --keys FILE "
	"[OPTIONS]\n"
	"       sluice-bench handshakes --generate N\n"
	"One handshake for each key with any WireGuard, all from one socket; how many per second,\n"
	"and how long the answer takes.\n"
	"  --gateway ADDR:PORT   whom to shake hands with\n"
	"  --public-key KEY      its key\n"
	"  --keys FILE           a private key at the beginning of each line, at most 65,536\n"
	"  --rate N              initiations per second (default 1000); 0: as fast as answers "
	"come\n"
	"  --seconds S           at most (default 60)\n"
	"  --tries N             for each peer, a second apart (default 5)\n"
	"  --generate N          print N lines \"private-key public-key\", and do nothing else\n"
	"Exit status 0: all handshakes were made; 1: some were not.\n";

static struct options {
	struct bench_run_options run;
	struct shake_options shake;
	const char *gateway_text;
	unsigned generate;
	bool has_key;
} options = { .shake = { .rate = 1000, .seconds = 60, .tries = 5 } };

// --- keys --------------------------------------------------------------------------------------

static int
generate(unsigned n)
{
	char private_text[KEY_TEXT_LEN], public_text[KEY_TEXT_LEN];
	struct public_key public;
	struct secret_key key;

	for (unsigned i = 0; i < n; i++) {
		key_generate(&key);
		key_public(&public, &key);
		secret_key_format(&key, private_text);
		public_key_format(&public, public_text);
		printf("%s %s\n", private_text, public_text);
	}
	secret_wipe(&key, sizeof(key));
	secret_wipe(private_text, sizeof(private_text));
	return BENCH_OK;
}

// --- options -----------------------------------------------------------------------------------

enum option_code {
	GATEWAY = 1,
	PUBLIC_KEY,
	KEYS,
	RATE,
	SECONDS,
	TRIES,
	GENERATE,
	HELP,
};

static int
wrong(const char *option, const char *text, const char *wanted)
{
	fprintf(stderr, "sluice-bench handshakes: %s %s: wants %s\n", option, text, wanted);
	return BENCH_USAGE;
}

static int
not_an_option(const char *word)
{
	fprintf(stderr, "sluice-bench handshakes: %s: is no option\n", word);
	return BENCH_USAGE;
}

static int
parse_number(const char *option, unsigned long least, unsigned long most, unsigned *ret)
{
	char *end, wanted[64];
	unsigned long n = strtoul(optarg, &end, 10);

	if (*optarg >= '0' && *optarg <= '9' && *end == '\0' && n >= least && n <= most) {
		*ret = (unsigned)n;
		return BENCH_OK;
	}
	snprintf(wanted, sizeof(wanted), "a number, %lu to %lu", least, most);
	return wrong(option, optarg, wanted);
}

static int
take_option(int c)
{
	switch (c) {
	case GATEWAY:
		options.gateway_text = optarg;
		return endpoint_parse(optarg, &options.shake.gateway) == 0
		               ? BENCH_OK
		               : wrong("--gateway", optarg, "ADDRESS:PORT or [ADDRESS]:PORT");
	case PUBLIC_KEY:
		options.has_key = public_key_parse(optarg, &options.shake.gateway_key) == 0;
		return options.has_key ? BENCH_OK
		                       : wrong("--public-key", optarg, "a key in base64");
	case KEYS:
		options.shake.keys = optarg;
		return BENCH_OK;
	case RATE:
		return parse_number("--rate", 0, 1000000, &options.shake.rate);
	case SECONDS:
		return parse_number("--seconds", 1, 3600, &options.shake.seconds);
	case TRIES:
		return parse_number("--tries", 1, 100, &options.shake.tries);
	default:
		return parse_number("--generate", 1, 1000000, &options.generate);
	}
}

static int
check_options(int argc, char **argv)
{
	if (optind != argc)
		return not_an_option(argv[optind]);
	if (options.generate > 0 ||
		(options.gateway_text != NULL && options.has_key && options.shake.keys != NULL))
		return BENCH_OK;
	fputs("sluice-bench handshakes: wants --gateway, --public-key and --keys, or --generate\n",
		stderr);
	return BENCH_USAGE;
}

// BENCH_OK, or what to end with; *ret_done: --help was asked for.
static int
parse_options(int argc, char **argv, bool *ret_done)
{
	static const struct option longs[] = {
		{ "gateway", required_argument, NULL, GATEWAY },
		{ "public-key", required_argument, NULL, PUBLIC_KEY },
		{ "keys", required_argument, NULL, KEYS },
		{ "rate", required_argument, NULL, RATE },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "tries", required_argument, NULL, TRIES },
		{ "generate", required_argument, NULL, GENERATE },
		{ "help", no_argument, NULL, HELP },
		BENCH_RUN_LONG_OPTIONS,
		{},
	};
	int c, status = BENCH_OK;

	while (status == BENCH_OK && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == HELP) {
			printf("%s%s", usage, bench_run_help);
			*ret_done = true;
			return BENCH_OK;
		}
		if (c == '?')
			return BENCH_USAGE; // getopt has said it
		if (!bench_run_option(&options.run, c, optarg))
			status = take_option(c);
	}
	return status == BENCH_OK ? check_options(argc, argv) : status;
}

// --- results -----------------------------------------------------------------------------------

static json_t *
axes(void)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "gateway", options.gateway_text, "keys",
		options.shake.keys, "rate", (json_int_t)options.shake.rate, "seconds",
		(json_int_t)options.shake.seconds, "tries", (json_int_t)options.shake.tries);
}

static json_t *
result_json(struct shake_result *r)
{
	json_t *latency = bench_spread(&r->latency_ms);

	json_object_set_new(latency, "p99", json_real(samples_quantile(&r->latency_ms, 0.99)));
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:o, s:I, s:I, s:I}", "peers",
		(json_int_t)r->peers, "done", (json_int_t)r->done, "failed", (json_int_t)r->failed,
		"seconds", r->seconds, "per_second", r->seconds > 0 ? r->done / r->seconds : 0.0,
		"latency_ms", latency, "initiations", (json_int_t)r->initiations, "cookies",
		(json_int_t)r->cookies, "strange", (json_int_t)r->strange);
}

static double
number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static void
print_result(const json_t *result)
{
	const json_t *latency = json_object_get(result, "latency_ms");

	printf("%g peers: %g handshakes, %g failed, in %.2f s: %.0f/s\n"
	       "response after %.2f ms (median), %.2f ms (99 %%); %g initiations, %g cookies, %g "
	       "strange messages\n",
		number(result, "peers"), number(result, "done"), number(result, "failed"),
		number(result, "seconds"), number(result, "per_second"), number(latency, "median"),
		number(latency, "p99"), number(result, "initiations"), number(result, "cookies"),
		number(result, "strange"));
}

// --- the run -----------------------------------------------------------------------------------

static int
shake_and_record(struct bench_run *run, const char *key)
{
	static struct shake_result result; // large
	int err = shake_all(&options.shake, run, &result);

	if (err < 0)
		return err;
	if (!bench_run_is_stopped(run))
		return bench_run_record(run, key, axes(), result_json(&result));
	// Half of it is no trial, but somebody may want to know.
	bench_error(NULL, NULL, "handshakes: %u of %u had been made after %.2f s", result.done,
		result.peers, result.seconds);
	return 0;
}

static bool
some_failed(const json_t *trials)
{
	const json_t *trial = json_array_get(trials, 0);

	return trial != NULL && number(json_object_get(trial, "result"), "failed") > 0;
}

static int
measure(int argc, char **argv)
{
	struct bench_run *run = bench_run_begin(
		&options.run, "T3", "handshakes", argc, argv, 1, options.shake.seconds);
	char key[512];
	bool has_failed;
	int err = 0, status;

	if (run == NULL)
		return BENCH_FAILED;
	snprintf(key, sizeof(key), "%s/%s/%u/%u/%u", options.gateway_text, options.shake.keys,
		options.shake.rate, options.shake.seconds, options.shake.tries);
	if (bench_run_wants(run, key))
		err = shake_and_record(run, key);
	has_failed = err < 0 || some_failed(bench_run_trials(run));
	if (!options.run.json && json_array_size(bench_run_trials(run)) > 0)
		print_result(json_object_get(json_array_get(bench_run_trials(run), 0), "result"));
	status = bench_run_end(run);
	return status == BENCH_OK && has_failed ? BENCH_FAILED : status;
}

static int
run_handshakes(int argc, char **argv)
{
	bool is_done = false;
	int err, status = parse_options(argc, argv, &is_done);

	if (status != BENCH_OK || is_done)
		return status;
	if (options.generate > 0)
		return generate(options.generate);
	err = aead_init(NULL);
	if (err < 0) {
		bench_error(err_str(err), "Is SLUICE_AEAD set?", "the cipher");
		return BENCH_FAILED;
	}
	return measure(argc, argv);
}

const struct bench_command handshakes_command = {
	.name = "handshakes",
	.tier = "T3",
	.summary = "many peers' handshakes with any WireGuard: per second, and how fast",
	.run = run_handshakes,
};
