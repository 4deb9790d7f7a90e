/* SPDX-License-Identifier: BSD-3-Clause
 *
 *     sluice-bench machine      what each trial says about machine and build, as one JSON object
 */

#include <getopt.h>
#include <stdio.h>

#include "bench/command.h"
#include "bench/harness/machine.h"

static const char usage[] =
	"usage: sluice-bench machine\n"
	"what every trial says about where it was measured, as one JSON object: machine, build\n"
	"  --help          this\n";

static int
run_machine(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' }, {} };
	struct bench_clock clock;
	json_t *all;

	if (argc > 1) {
		if (getopt_long(argc, argv, "h", longs, NULL) == 'h') {
			fputs(usage, stdout);
			return BENCH_OK;
		}
		fputs(usage, stderr);
		return BENCH_USAGE;
	}
	bench_clock_init(&clock);
	all = json_pack("{s:o, s:o}", "machine", bench_machine(&clock), "build", bench_build());
	if (all == NULL)
		return BENCH_FAILED;
	json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(all);
	return BENCH_OK;
}

const struct bench_command machine_command = {
	.name = "machine",
	.tier = "",
	.summary = "what the figures depend on besides the code, as JSON",
	.run = run_machine,
};
