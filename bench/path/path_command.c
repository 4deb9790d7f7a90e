/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-bench path: T1.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/run.h"
#include "bench/path/gate.h"
#include "bench/path/measure.h"
#include "bench/path/plan.h"
#include "bench/path/rules.h"
#include "bench/path/table.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

static const char help[] =
	"Usage: sluice-bench path [--growth | --full | --gate FILE] [OPTION]...\n"
	"\n"
	"Core cycles per packet of Sluice's production stages, in one thread, in memory, without "
	"a\n"
	"network card: what each step costs and what the cipher costs.  No packet leaves the "
	"program,\n"
	"so the figures are never throughput.\n"
	"\n"
	"A gateway stands between two synthetic cards.  A card has rings of 32-byte (receive) and\n"
	"16-byte (send) descriptors; its driver posts frames of the pool, reads descriptors, "
	"parses\n"
	"Ethernet, IPv4 and UDP, writes outer headers and descriptors, and takes sent frames "
	"back.\n"
	"Peers seal each message with their own keys; what comes out is counted, and of every "
	"16th\n"
	"volley opened by its receivers.  A lost packet ends the run with an error.\n"
	"\n"
	"Sets of rows (default: both ways at 64 bytes with 1 to 100,000 peers, and a few more; a "
	"minute)\n"
	"  --growth              what more peers cost: 1, 1,000, 10,000, 100,000; uniform and "
	"Zipf\n"
	"  --full                every axis (an hour)\n"
	"Axes; lists are separated by commas, and all combinations are run\n"
	"  --direction LIST      inbound, outbound, both, peer_to_peer\n"
	"  --bytes LIST          inner packets: 64, 1420, ..., imix, tcp\n"
	"  --peers LIST          1 to 131072\n"
	"  --active LIST         percent of the peers that have traffic (100)\n"
	"  --popularity LIST     uniform, zipf (s = 1)\n"
	"  --prefixes LIST       of each peer, 1 to 1000 (1); traffic is spread over them\n"
	"  --burst LIST          packets that a worker takes at once, 1 to 64 (64)\n"
	"  --rekey RATE          new sessions per second while packets flow, old ones still in "
	"use\n"
	"  --in-flight N         packets of a volley (256)\n"
	"  --lan-hosts N         machines behind the gateway that peers talk to (256)\n"
	"  --working-set BYTES   frames in turn: a ring so long that they are that much (K, M, G)\n"
	"  --lines WHERE         what a card writes is then left (where stores put it), in l3, or "
	"in\n"
	"                        memory (left)\n"
	"  --filter N            a tailnet's packet filter of N rules, 1 to 10000 (none)\n"
	"  --nat N               LAN behind a link port, with source NAT and N flows, up to "
	"1000000\n"
	"  --shared              locked instructions, as with several workers\n"
	"  --small-pages         no huge pages for sessions (to see what they are worth)\n"
	"  --no-flow-cache       every packet takes the long way (the same)\n"
	"  --aead NAME           force a cipher back end\n"
	"  --ms N                of measuring, per row (1500)\n"
	"Gate\n"
	"  --gate FILE           compare with a baseline, relative to a calibration loop in the "
	"same\n"
	"                        run; exit status 1 if the path has become slower beyond the "
	"bound\n"
	"  --gate-write FILE     write such a baseline\n"
	"Output\n";

struct options {
	struct bench_run_options run;
	struct plan_axes axes;
	const char *aead;
	const char *gate, *gate_write;
};

static int
usage_error(const char *why, const char *what, const char *value)
{
	bench_error(why, "sluice-bench path --help explains it", "--%s %s", what, value);
	return BENCH_USAGE;
}

// --- options -----------------------------------------------------------------------------------

static bool
parse_number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

	if (end == text || *text == '-' || (shift > 0 ? end[1] : *end) != '\0' || n > most >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}

static bool
number_option(const char *text, uint32_t most, uint32_t *ret)
{
	uint64_t n;

	if (!parse_number(text, most, &n) || n == 0)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static int
name_index(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

// One value of a list.  NULL, or why it is wrong.
static const char *
axis_value(int option, struct plan *plan, char *text, uint32_t *ret)
{
	const char *why = "it is not one of the values that --help lists";
	int index = -1;

	switch (option) {
	case 'd':
		index = name_index(measure_direction_names, MEASURE_DIRECTIONS, text);
		break;
	case 'z':
		index = name_index(popularity_names, 2, text);
		break;
	case 'b':
		index = plan_size(plan, text, &why);
		break;
	default:
		return number_option(text, option == 'a' ? 100 : 1u << 20, ret)
		               ? NULL
		               : "a number is wanted";
	}
	if (index < 0)
		return why;
	*ret = (uint32_t)index;
	return NULL;
}

static const char *
axis_option(int option, struct plan *plan, const char *text, uint32_t *list, uint32_t *ret_n)
{
	char *copy = strdup(text), *rest = copy, *item;
	const char *why = NULL;

	*ret_n = 0;
	while (copy != NULL && why == NULL && (item = strsep(&rest, ",")) != NULL) {
		if (*ret_n == PLAN_MAX_VALUES)
			why = "the list is too long";
		else
			why = axis_value(option, plan, item, &list[(*ret_n)++]);
	}
	free(copy);
	return why;
}

static const struct option longs[] = {
	{ "growth", no_argument, NULL, 'G' },
	{ "full", no_argument, NULL, 'F' },
	{ "gate", required_argument, NULL, 'g' },
	{ "gate-write", required_argument, NULL, 'W' },
	{ "direction", required_argument, NULL, 'd' },
	{ "bytes", required_argument, NULL, 'b' },
	{ "peers", required_argument, NULL, 'p' },
	{ "active", required_argument, NULL, 'a' },
	{ "popularity", required_argument, NULL, 'z' },
	{ "prefixes", required_argument, NULL, 'x' },
	{ "burst", required_argument, NULL, 'u' },
	{ "rekey", required_argument, NULL, 'r' },
	{ "in-flight", required_argument, NULL, 'f' },
	{ "lan-hosts", required_argument, NULL, 'l' },
	{ "working-set", required_argument, NULL, 'w' },
	{ "lines", required_argument, NULL, 'L' },
	{ "filter", required_argument, NULL, 'R' },
	{ "nat", required_argument, NULL, 'N' },
	{ "shared", no_argument, NULL, 's' },
	{ "small-pages", no_argument, NULL, 'S' },
	{ "no-flow-cache", no_argument, NULL, 'C' },
	{ "aead", required_argument, NULL, 'A' },
	{ "ms", required_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },
	BENCH_RUN_LONG_OPTIONS,
	{},
};

// NULL, or why the value is wrong.
static const char *
take_option(struct options *o, struct plan *plan, int c, const char *value)
{
	static const char *const lines[] = { "left", "l3", "memory" };
	struct plan_axes *a = &o->axes;
	const char *number = "a number above 0 is wanted";
	int index;

	switch (c) {
	case 'G':
		a->set = PLAN_GROWTH;
		return NULL;
	case 'F':
		a->set = PLAN_FULL;
		return NULL;
	case 'g':
		o->gate = value;
		return NULL;
	case 'W':
		o->gate_write = value;
		return NULL;
	case 'd':
		return axis_option(c, plan, value, a->directions, &a->n_directions);
	case 'b':
		return axis_option(c, plan, value, a->sizes, &a->n_sizes);
	case 'p':
		return axis_option(c, plan, value, a->peers, &a->n_peers);
	case 'a':
		return axis_option(c, plan, value, a->active_percent, &a->n_active);
	case 'z':
		return axis_option(c, plan, value, a->popularities, &a->n_popularities);
	case 'x':
		return axis_option(c, plan, value, a->prefixes, &a->n_prefixes);
	case 'u':
		return axis_option(c, plan, value, a->bursts, &a->n_bursts);
	case 'r':
		return number_option(value, 1000000, &a->rekeys_per_s) ? NULL : number;
	case 'f':
		return number_option(value, NIC_RING_MAX / 2, &a->in_flight) ? NULL : number;
	case 'l':
		return number_option(value, 65536, &a->lan_hosts) ? NULL : number;
	case 'm':
		return number_option(value, 600000, &a->ms) ? NULL : number;
	case 'w':
		return parse_number(value, UINT64_C(1) << 34, &a->working_set) ? NULL : number;
	case 'L':
		index = name_index(lines, 3, value);
		a->lines = index >= 0 ? (enum nic_lines)index : NIC_LINES_LEFT;
		return index >= 0 ? NULL : "it is left, l3 or memory";
	case 'R':
		return number_option(value, RULES_MAX, &a->n_rules) ? NULL : number;
	case 'N':
		return number_option(value, 1000000, &a->n_flows) ? NULL : number;
	case 's':
		a->is_shared = true;
		return NULL;
	case 'S':
		a->small_pages = true;
		return NULL;
	case 'C':
		a->no_flow_cache = true;
		return NULL;
	case 'A':
		o->aead = value;
		return NULL;
	default:
		return "there is no such option";
	}
}

// BENCH_OK to go on; -1: help was asked for; else the exit status.
static int
parse_options(struct options *o, struct plan *plan, int argc, char **argv)
{
	int c, at = 0;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, &at)) >= 0) {
		const char *why;

		if (c == 'h')
			return -1;
		if (c == '?')
			return BENCH_USAGE;
		if (bench_run_option(&o->run, c, optarg))
			continue;
		why = take_option(o, plan, c, optarg);
		if (why != NULL)
			return usage_error(why, longs[at].name, optarg != NULL ? optarg : "");
	}
	if (optind < argc) {
		bench_error("there are no arguments but options",
			"sluice-bench path --help lists them", "%s", argv[optind]);
		return BENCH_USAGE;
	}
	return BENCH_OK;
}

// --- running -----------------------------------------------------------------------------------

static int
start_aead(const char *name)
{
	int err;

	if (name != NULL)
		setenv("SLUICE_AEAD", name, 1);
	err = aead_init(NULL);
	if (err < 0)
		bench_error(err_str(err),
			"--aead wants one of those that sluice-bench crypto lists", "cipher%s%s",
			name != NULL ? " " : "", name != NULL ? name : "");
	return err;
}

static bool
is_stopped(void *context)
{
	return bench_run_is_stopped(context);
}

static int
run_rows(struct bench_run *run, const struct plan *plan, struct measure_result *result)
{
	struct bench_clock clock = *bench_run_clock(run);

	for (uint32_t i = 0; i < plan->n_rows; i++) {
		const struct measure_row *row = &plan->rows[i];
		char key[PLAN_KEY_LEN], text[128];
		int err;

		plan_key(row, key, sizeof(key));
		plan_text(row, text, sizeof(text));
		if (!bench_run_wants(run, key))
			continue;
		bench_run_progress(run, text, NULL);
		err = measure_run(row, &clock, is_stopped, run, result);
		if (err == 0 && bench_run_is_stopped(run))
			break; // half a row is none
		if (err == 0)
			err = bench_run_record(run, key, measure_axes(row),
				measure_json(result, row->direction, row->world.n_flows > 0));
		if (err < 0)
			return err;
	}
	return 0;
}

static int
run_plan(const struct options *o, const struct plan *plan, int argc, char **argv)
{
	struct measure_result *result = malloc(sizeof(*result));
	struct bench_run *run;
	int err = -1, status;

	if (result == NULL)
		return BENCH_FAILED;
	run = bench_run_begin(
		&o->run, "T1", "path", argc, argv, plan->n_rows, plan->rows[0].seconds + 0.2);
	if (run == NULL) {
		free(result);
		return BENCH_FAILED;
	}
	err = run_rows(run, plan, result);
	if (!o->run.json) {
		table_print(bench_run_trials(run));
		if (o->axes.set == PLAN_GROWTH)
			table_print_growth(bench_run_trials(run));
	}
	status = bench_run_end(run);
	free(result);
	return err < 0 ? BENCH_FAILED : status;
}

static int
run_command(int argc, char **argv)
{
	static struct plan plan; // large
	struct options o = {};
	const char *why;
	int status = parse_options(&o, &plan, argc, argv);

	if (status < 0) {
		fputs(help, stdout);
		fputs(bench_run_help, stdout);
		return BENCH_OK;
	}
	if (status != BENCH_OK)
		return status;
	if (!plan_make(&plan, &o.axes, &why)) {
		bench_error(why, "sluice-bench path --help lists what is possible", "these axes");
		return BENCH_USAGE;
	}
	if (start_aead(o.aead) < 0)
		return BENCH_FAILED;
	if (o.gate != NULL || o.gate_write != NULL)
		return gate_run(o.gate != NULL ? o.gate : o.gate_write, o.gate == NULL);
	return run_plan(&o, &plan, argc, argv);
}

const struct bench_command path_command = {
	.name = "path",
	.tier = "T1",
	.summary = "core cycles per packet of the production stages, in memory",
	.run = run_command,
};
