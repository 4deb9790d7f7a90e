/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-bench: the commands that measure.  One row per command.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/run.h"
#include "bench/script.h"
#include "config/nearest.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"

static int
run_compare(int argc, char **argv)
{
	return script_run("compare/compare.py", argc, argv);
}

static int
run_report(int argc, char **argv)
{
	return script_run("report/report.py", argc, argv);
}

static int
run_size(int argc, char **argv)
{
	return script_run("size/size.py", argc, argv);
}

static int
run_tailnet(int argc, char **argv)
{
	return script_run("tailnet/member.py", argc, argv);
}

static const struct bench_command compare_command = {
	.name = "compare",
	.tier = "T3",
	.summary = "Sluice and others in one topology, in turns: ratios with their spread",
	.run = run_compare,
};
static const struct bench_command report_command = {
	.name = "report",
	.tier = "",
	.summary = "trials to tables and plots; or against a baseline",
	.run = run_report,
};
static const struct bench_command size_command = {
	.name = "size",
	.tier = "",
	.summary = "memory per peer, start, reload and rest of a whole gateway",
	.run = run_size,
};

static const struct bench_command tailnet_command = {
	.name = "tailnet",
	.tier = "",
	.summary = "joining a tailnet beside a stock node; time and memory of large maps",
	.run = run_tailnet,
};

static const struct bench_command *const commands[] = {
	&crypto_command,
	&timing_command,
	&path_command,
	&generate_command,
	&sink_command,
	&search_command,
	&compare_command,
	&handshakes_command,
	&size_command,
	&tailnet_command,
	&report_command,
	&machine_command,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct bench_command *
find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void
print_overview(FILE *out)
{
	fputs("usage: sluice-bench COMMAND [OPTIONS]\n"
	      "\n"
	      "Measures Sluice, and any other WireGuard.  `sluice-bench COMMAND --help` has the "
	      "options.\n"
	      "\n",
		out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-11s %-6s %s\n", commands[i]->name, commands[i]->tier,
			commands[i]->summary);
	fputs("\n"
	      "Tiers, from the smallest piece to the whole:\n"
	      "  T0  the cipher alone: cycles per packet\n"
	      "  T1  the path of a packet on one core, without any device: cycles per packet, "
	      "never throughput\n"
	      "  T2  data plane and generator in one memory, on two cores: packets per second\n"
	      "  T3  whole gateways over sockets: packets per second, CPU time per packet\n"
	      "\n"
	      "Figures are shown with their spread, and kept (--out FILE) with machine, build "
	      "and command.\n"
	      "Exit status: 0 good, 1 failed, 2 wrong usage, 130 interrupted (--resume goes "
	      "on)\n",
		out);
}

static int
unknown_command(const char *name)
{
	struct nearest best = NEAREST_NONE;

	for (size_t i = 0; i < N_COMMANDS; i++)
		nearest_consider(&best, name, commands[i]->name);
	if (best.name != NULL)
		fprintf(stderr, "sluice-bench: there is no command %s; did you mean %s?\n", name,
			best.name);
	else
		fprintf(stderr,
			"sluice-bench: there is no command %s; `sluice-bench --help` lists them\n",
			name);
	return BENCH_USAGE;
}

// Good only if all of it arrived: a full disk must not pass for success.
static int
flush_stdout(int status)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || status != BENCH_OK)
		return status;
	bench_error("it could not be written", "Make room, or choose another place.", "the output");
	return BENCH_FAILED;
}

static int
run_command(int argc, char **argv)
{
	const struct bench_command *c = find_command(argv[0]);
	int err, status;

	if (c == NULL)
		return unknown_command(argv[0]);
	err = crypto_init();
	if (err < 0) {
		bench_error(err_str(err), "Install libsodium again.", "the cryptographic library");
		return BENCH_FAILED;
	}
	status = c->run(argc, argv);
	if (status == BENCH_USAGE)
		fprintf(stderr, "  `sluice-bench %s --help` has its options.\n", c->name);
	return status;
}

// `help COMMAND` is `COMMAND --help`.
static int
help(int argc, char **argv)
{
	static char option[] = "--help";
	char *words[] = { argc > 1 ? argv[1] : NULL, option, NULL };

	if (argc > 1)
		return run_command(2, words);
	print_overview(stdout);
	return BENCH_OK;
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_overview(stderr);
		return BENCH_USAGE;
	}
	argc--;
	argv++;
	if (strcmp(argv[0], "--version") == 0) {
		puts("sluice-bench " SLUICE_VERSION);
		return flush_stdout(BENCH_OK);
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
		strcmp(argv[0], "help") == 0)
		return flush_stdout(help(argc, argv));
	return flush_stdout(run_command(argc, argv));
}
