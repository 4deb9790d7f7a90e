/* SPDX-License-Identifier: BSD-3-Clause
 *
 *     sluice-bench crypto      T0: what a packet costs in the cipher alone
 */

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/name_list.h"
#include "bench/harness/run.h"
#include "bench/micro/crypto_measure.h"
#include "bench/micro/crypto_plan.h"
#include "bench/micro/crypto_table.h"
#include "bench/micro/subject.h"
#include "lib/base/err.h"

#define DEFAULT_MIX     "7x64,4x528,1x1408"
#define DEFAULT_SECONDS 30
#define DEFAULT_SET_MIB 8
#define MAX_SIZE        9216
#define MAX_SET_MIB     1024

static const char usage[] =
	"usage: sluice-bench crypto [OPTIONS]\n"
	"T0: core cycles per packet of every cipher that works here, sealing and opening.\n"
	"  --only NAME[,NAME]    these ciphers alone: sluice (what a gateway uses here), a back\n"
	"                        end of it, or openssl\n"
	"  --sizes N[,N]         bytes of plaintext (default 64,128,352,576,1024,1424,4096,9000)\n"
	"  --bursts N[,N]        packets handed over at once (default 1,4,16,32,64)\n"
	"  --mix MIX|none        a mixture of sizes beside them (default " DEFAULT_MIX ",\n"
	"                        in bursts of 32 and 64, or the --bursts above 1)\n"
	"  --working-set MIB     so much of packets in turn beside the warm ones (default 8; of\n"
	"                        64, 352 and 1,424 bytes, or --sizes, in bursts of 32, or\n"
	"                        --bursts); 0: none\n"
	"  --one-key             all packets have the same key; otherwise 64 in turn\n"
	"  --seconds S           of measuring, all in all (default 30)\n"
	"  --rows                a row for each trial, with all figures\n";

static struct options {
	struct bench_run_options run;
	struct crypto_plan_options plan;
	const char *only;
	uint32_t n_keys;
	double seconds;
	bool with_rows;
} options;

// --- options -----------------------------------------------------------------------------------

static int
wrong(const char *option, const char *text, const char *wanted)
{
	fprintf(stderr, "sluice-bench crypto: %s %s: wants %s\n", option, text, wanted);
	return BENCH_USAGE;
}

static int
not_an_option(const char *word)
{
	fprintf(stderr, "sluice-bench crypto: %s: is no option\n", word);
	return BENCH_USAGE;
}

static int
parse_mix(const char *text)
{
	static struct sizes mix;
	const char *why;

	options.plan.mix = NULL;
	if (strcmp(text, "none") == 0)
		return BENCH_OK;
	if (sizes_parse(text, MAX_SIZE, 1, &mix, &why) < 0) {
		fprintf(stderr, "sluice-bench crypto: --mix %s: %s\n", text, why);
		return BENCH_USAGE;
	}
	if (mix.least == mix.most)
		return wrong("--mix", text, "more than one size, as in " DEFAULT_MIX);
	options.plan.mix = &mix;
	return BENCH_OK;
}

static int
parse_working_set(const char *text)
{
	struct crypto_list list;

	if (!crypto_plan_list(text, 0, MAX_SET_MIB, &list) || list.n != 1)
		return wrong("--working-set", text, "MiB, up to 1024, or 0");
	options.plan.working_set_bytes = (size_t)list.value[0] << 20;
	return BENCH_OK;
}

static int
parse_seconds(const char *text)
{
	char *end;

	options.seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(options.seconds > 0) || options.seconds > 86400)
		return wrong("--seconds", text, "a number above 0, up to 86400");
	return BENCH_OK;
}

enum option_code {
	ONLY = 1,
	SIZES,
	BURSTS,
	MIX,
	WORKING_SET,
	ONE_KEY,
	SECONDS,
	ROWS,
	HELP,
};

static int
take_option(int c)
{
	if (c == ONLY)
		options.only = optarg;
	else if (c == SIZES && !crypto_plan_list(optarg, 1, MAX_SIZE, &options.plan.sizes))
		return wrong("--sizes", optarg, "numbers of bytes, 1 to 9216, with commas between");
	else if (c == BURSTS && !crypto_plan_list(optarg, 1, LOAD_MAX_BURST, &options.plan.bursts))
		return wrong(
			"--bursts", optarg, "numbers of packets, 1 to 256, with commas between");
	else if (c == MIX)
		return parse_mix(optarg);
	else if (c == WORKING_SET)
		return parse_working_set(optarg);
	else if (c == ONE_KEY)
		options.n_keys = 1;
	else if (c == SECONDS)
		return parse_seconds(optarg);
	else if (c == ROWS)
		options.with_rows = true;
	return BENCH_OK;
}

// BENCH_OK, or what to end with; *ret_done: --help was asked for.
static int
parse_options(int argc, char **argv, bool *ret_done)
{
	static const struct option longs[] = {
		{ "only", required_argument, NULL, ONLY },
		{ "sizes", required_argument, NULL, SIZES },
		{ "bursts", required_argument, NULL, BURSTS },
		{ "mix", required_argument, NULL, MIX },
		{ "working-set", required_argument, NULL, WORKING_SET },
		{ "one-key", no_argument, NULL, ONE_KEY },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "rows", no_argument, NULL, ROWS },
		{ "help", no_argument, NULL, HELP },
		BENCH_RUN_LONG_OPTIONS,
		{},
	};
	int c, status = parse_mix(DEFAULT_MIX);

	options.n_keys = SUBJECT_KEYS;
	options.seconds = DEFAULT_SECONDS;
	options.plan.working_set_bytes = (size_t)DEFAULT_SET_MIB << 20;
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
	if (status == BENCH_OK && optind != argc)
		status = not_an_option(argv[optind]);
	return status;
}

// --- what is measured --------------------------------------------------------------------------

static size_t
count_words(const char *list)
{
	size_t n = 1;

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static int
choose_subjects(struct subject subjects[static SUBJECTS_MAX], size_t *ret_n)
{
	struct subject all[SUBJECTS_MAX];
	size_t n_all = subjects_find(all), n = 0;

	for (size_t i = 0; i < n_all; i++)
		if (name_is_listed(options.only, all[i].name))
			subjects[n++] = all[i];
	*ret_n = n;
	if (options.only == NULL || n == count_words(options.only))
		return BENCH_OK;
	fprintf(stderr, "sluice-bench crypto: --only %s: there are", options.only);
	for (size_t i = 0; i < n_all; i++)
		fprintf(stderr, "%s %s", i > 0 ? "," : "", all[i].name);
	fputs(" here\n", stderr);
	return BENCH_USAGE;
}

static int
init_cipher(void)
{
	const char *refused = NULL, *forced = getenv("SLUICE_AEAD");
	int err = aead_init(&refused);

	if (refused != NULL)
		bench_error("its answers are wrong here, it is left out",
			"Report this, with the CPU's name.", "%s", refused);
	if (err == -ENOENT)
		bench_error("there is no such back end here", "Unset it.", "SLUICE_AEAD=%s",
			forced != NULL ? forced : "");
	else if (err < 0)
		bench_error(err_str(err), NULL, "the cipher");
	return err;
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
	(void)sched_setaffinity(0, sizeof(set), &set); // else it may move: seen in the spread
}

// --- records -----------------------------------------------------------------------------------

struct crypto {
	struct bench_run *run;
	struct crypto_plan plan;
	struct subject subjects[SUBJECTS_MAX];
	size_t n_subjects;
	struct crypto_measure measure;
};

#define KEY_LEN 384

static void
format_key(const struct crypto *c,
	const struct crypto_cell *cell,
	size_t subject,
	enum direction d,
	char key[static KEY_LEN])
{
	int n = snprintf(key, KEY_LEN, "%s/%s/%s/%u", c->subjects[subject].name, direction_names[d],
		cell->loads[0].text, cell->burst);

	if (options.n_keys == 1)
		n += snprintf(key + n, KEY_LEN - (size_t)n, "/one-key");
	if (cell->working_set_bytes > 0)
		snprintf(key + n, KEY_LEN - (size_t)n, "/%zuMiB", cell->working_set_bytes >> 20);
}

static json_t *
axes_of(const struct crypto *c, const struct crypto_cell *cell, size_t subject, enum direction d)
{
	const struct sizes *sizes = &cell->loads[0];

	return json_pack("{s:s, s:s, s:o, s:f, s:I, s:I, s:I}", "backend",
		c->subjects[subject].name, "direction", direction_names[d], "size",
		cell->is_mix ? json_string(sizes->text) : json_integer(sizes->most), "mean_size",
		sizes->mean, "burst", (json_int_t)cell->burst, "keys", (json_int_t)options.n_keys,
		"working_set_bytes", (json_int_t)cell->working_set_bytes);
}

static struct samples *
samples_of(const struct crypto_cell *cell,
	struct crypto_samples *all,
	size_t subject,
	uint32_t load,
	enum direction d)
{
	return &all[subject * cell->n_loads + load].direction[d];
}

// What the packets of a mix would cost if each size came alone.
static double
sum_of_singles(const struct crypto_cell *cell,
	struct crypto_samples *all,
	size_t subject,
	enum direction d,
	double (*figure)(struct samples *s))
{
	const struct sizes *mix = &cell->loads[0];
	struct load load;
	double sum = 0;

	load_init(&load, mix, cell->burst, options.n_keys, cell->working_set_bytes, NULL);
	for (uint32_t j = 1; j < cell->n_loads; j++) {
		double each = figure(samples_of(cell, all, subject, j, d));
		uint32_t count = 0;

		for (uint32_t i = 0; i < load.n_packets; i++)
			count += sizes_at(mix, i) == cell->loads[j].most;
		sum += each * count;
	}
	return sum / load.n_packets;
}

static void
add_excess(json_t *result,
	const struct crypto_cell *cell,
	struct crypto_samples *all,
	size_t subject,
	enum direction d)
{
	struct samples *mix = samples_of(cell, all, subject, 0, d);
	double singles = sum_of_singles(cell, all, subject, d, samples_best);
	double medians = sum_of_singles(cell, all, subject, d, samples_median);

	json_object_set_new(result, "sum_of_singles", json_real(singles));
	json_object_set_new(result, "excess", json_real(samples_best(mix) / singles - 1));
	json_object_set_new(result, "excess_median", json_real(samples_median(mix) / medians - 1));
}

// The library that does best in this cell; NULL: none is measured.
static const char *
best_library(const struct crypto *c,
	const struct crypto_cell *cell,
	struct crypto_samples *all,
	enum direction d,
	double *ret_best)
{
	const char *name = NULL;

	for (size_t i = 0; i < c->n_subjects; i++) {
		double best;

		if (!c->subjects[i].is_library)
			continue;
		best = samples_best(samples_of(cell, all, i, 0, d));
		if (name == NULL || best < *ret_best) {
			name = c->subjects[i].name;
			*ret_best = best;
		}
	}
	return name;
}

static json_t *
result_of(const struct crypto *c,
	const struct crypto_cell *cell,
	struct crypto_samples *all,
	size_t subject,
	enum direction d)
{
	struct samples *s = samples_of(cell, all, subject, 0, d);
	double best = samples_best(s), ghz = c->measure.core_ghz[subject], library_best = 0;
	double mean = cell->loads[0].mean;
	const char *library = best_library(c, cell, all, d, &library_best);
	json_t *result = json_pack("{s:o, s:f, s:f, s:f, s:f}", "cycles", bench_spread(s),
		"cycles_per_byte", best / mean, "mpps", ghz * 1e3 / best, "gbit_s",
		ghz * 8 * mean / best, "core_ghz", ghz);

	if (library != NULL) {
		json_object_set_new(result, "best_library", json_string(library));
		json_object_set_new(result, "ratio_to_library", json_real(best / library_best));
	}
	if (cell->is_mix)
		add_excess(result, cell, all, subject, d);
	return result;
}

static int
record_cell(struct crypto *c, const struct crypto_cell *cell, struct crypto_samples *all)
{
	char key[KEY_LEN];

	for (int d = 0; d < DIRECTIONS; d++)
		for (size_t i = 0; i < c->n_subjects; i++) {
			int err;

			format_key(c, cell, i, (enum direction)d, key);
			if (!bench_run_wants(c->run, key))
				continue;
			err = bench_run_record(c->run, key, axes_of(c, cell, i, (enum direction)d),
				result_of(c, cell, all, i, (enum direction)d));
			if (err < 0)
				return err;
		}
	return 0;
}

// --- the run -----------------------------------------------------------------------------------

static bool
wants_cell(struct crypto *c, const struct crypto_cell *cell)
{
	bool wants = false;
	char key[KEY_LEN];

	for (int d = 0; d < DIRECTIONS; d++)
		for (size_t i = 0; i < c->n_subjects; i++) {
			format_key(c, cell, i, (enum direction)d, key);
			wants |= bench_run_wants(c->run, key);
		}
	return wants;
}

static int
measure_cell(struct crypto *c, const struct crypto_cell *cell, double seconds)
{
	struct crypto_samples *all = calloc(c->n_subjects * cell->n_loads, sizeof(*all));
	int err;

	if (all == NULL) {
		bench_error(err_str(-ENOMEM), NULL, "samples");
		return -ENOMEM;
	}
	err = crypto_measure_cell(&c->measure, cell, seconds, all);
	if (err == 0)
		err = record_cell(c, cell, all);
	free(all);
	return err;
}

// Time is shared by weight; a cell that a former run has done gives its share to nobody.
static int
measure_all(struct crypto *c)
{
	static struct crypto_cell cell; // large
	double weights = 0;
	int err = 0;

	for (size_t i = 0; i < c->plan.n_cells; i++)
		weights += crypto_plan_weight(&c->plan, i);
	for (size_t i = 0; i < c->plan.n_cells && err == 0; i++) {
		crypto_plan_cell(&c->plan, i, &cell);
		if (wants_cell(c, &cell))
			err = measure_cell(c, &cell,
				options.seconds * crypto_plan_weight(&c->plan, i) / weights);
	}
	return err == -EINTR ? 0 : err;
}

static int
measure_and_print(struct crypto *c, int argc, char **argv)
{
	size_t n_trials = c->plan.n_cells * c->n_subjects * DIRECTIONS;
	int err, status;

	stay_on_this_core();
	c->run = bench_run_begin(&options.run, "T0", "crypto", argc, argv, n_trials,
		options.seconds / (double)n_trials);
	if (c->run == NULL)
		return BENCH_FAILED;
	c->measure = (struct crypto_measure){
		.subjects = c->subjects,
		.n_subjects = c->n_subjects,
		.n_keys = options.n_keys,
		.run = c->run,
	};
	err = measure_all(c);
	if (!options.run.json)
		crypto_table_print(bench_run_trials(c->run), options.with_rows);
	status = bench_run_end(c->run);
	return status == BENCH_OK && err < 0 ? BENCH_FAILED : status;
}

static int
run_crypto(int argc, char **argv)
{
	static struct crypto crypto; // large
	bool is_done = false;
	int status = parse_options(argc, argv, &is_done);

	if (status != BENCH_OK || is_done)
		return status;
	if (init_cipher() < 0)
		return BENCH_FAILED;
	status = choose_subjects(crypto.subjects, &crypto.n_subjects);
	if (status == BENCH_OK) {
		crypto_plan_make(&crypto.plan, &options.plan);
		status = measure_and_print(&crypto, argc, argv);
	}
	subjects_free();
	return status;
}

const struct bench_command crypto_command = {
	.name = "crypto",
	.tier = "T0",
	.summary = "every ChaCha20-Poly1305 that works here, by size and burst",
	.run = run_crypto,
};
