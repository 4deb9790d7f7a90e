/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice: the command line.  One row per command.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/gateway.h"
#include "config/nearest.h"
#include "config/print.h"
#include "controlplane/cli/command.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *help;
	const char *details; // lines for `sluice help NAME`, or NULL
} commands[] = {
	{
		"run",
		cmd_run,
		"[--config FILE] [--run-dir DIR] [--state-dir DIR]",
		"run a gateway in the foreground",
		"  --config FILE    what the gateway is to do, see `sluice help config`\n"
		"                   (default " CONFIG_DEFAULT_PATH "; without that file,\n"
		"                   a member of a tailnet that waits for `sluice up`)\n"
		"  --run-dir DIR    sockets, locks and the journal (default /run/sluice)\n"
		"  --state-dir DIR  what outlives a reboot (default /var/lib/sluice)\n"
		"SIGTERM and SIGINT end it and undo every change to the host; SIGHUP reads the\n"
		"configuration again.\n",
	},
	{
		"status",
		cmd_status,
		"[--dataplane] [--json]",
		"show peers, ports, workers and drops of a running gateway",
		"  --dataplane  more of the data plane, its processes and cipher, but no peers\n"
		"  --json       everything, for programs\n",
	},
	{
		"reload",
		cmd_reload,
		"",
		"let a running gateway read its configuration again",
		"Only what differs is changed; peers that stay keep their sessions.  A file with "
		"an\n"
		"error changes nothing, and the error is shown.\n",
	},
	{
		"check",
		cmd_check,
		"[--print] FILE",
		"say what is wrong with a configuration file",
		"  --print   write the configuration in its canonical form, with all defaults\n",
	},
	{
		"import",
		cmd_import,
		"[--key-dir DIR] [--force] FILE",
		"make a configuration of a WireGuard file (wg, wg-quick)",
		"  --key-dir DIR   folder for the keys, made if needed (default /etc/sluice/keys)\n"
		"  --force         replace key files that are there already\n"
		"The configuration is written to stdout, what has no counterpart is named on "
		"stderr.\n",
	},
	{
		"genkey",
		cmd_genkey,
		"",
		"make a private key",
		"Write it into a file that only its owner can read: (umask 077; sluice genkey > "
		"FILE)\n",
	},
	{
		"pubkey",
		cmd_pubkey,
		"",
		"make the public key of a private key on stdin",
		NULL,
	},
	{
		"genpsk",
		cmd_genpsk,
		"",
		"make a preshared key",
		"Write it into a file that only its owner can read: (umask 077; sluice genpsk > "
		"FILE)\n",
	},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void
print_usage_line(FILE *out, const struct command *c)
{
	fprintf(out, "usage: sluice %s%s%s\n", c->name, c->arguments[0] != '\0' ? " " : "",
		c->arguments);
}

int
command_usage_error(const char *name, const char *format, ...)
{
	va_list args;

	if (format != NULL) {
		fprintf(stderr, "sluice %s: ", name);
		va_start(args, format);
		vfprintf(stderr, format, args);
		va_end(args);
		fputc('\n', stderr);
	}
	print_usage_line(stderr, find_command(name));
	return COMMAND_USAGE;
}

// 0 only if all of it arrived: a full disk must not pass for success.
static int
flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return COMMAND_OK;
	fputs("sluice: the output could not be written; make room, or choose another place\n",
		stderr);
	return COMMAND_FAILED;
}

int
command_help(const char *name)
{
	const struct command *c = find_command(name);

	print_usage_line(stdout, c);
	printf("%s\n", c->help);
	if (c->details != NULL)
		fputs(c->details, stdout);
	return flush_stdout();
}

static void
print_overview(FILE *out)
{
	fputs("usage: sluice COMMAND [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("  help     explain a command, or all options of the file: help COMMAND, help "
	      "config\n",
		out);
	fputs("\nOptions of every command: --run-dir DIR (default " COMMAND_DEFAULT_RUN_DIR
	      "), --help\n"
	      "Exit status: 0 good, 1 failed, 2 wrong usage\n",
		out);
}

static int
unknown_command(const char *name)
{
	struct nearest best = NEAREST_NONE;

	for (size_t i = 0; i < N_COMMANDS; i++)
		nearest_consider(&best, name, commands[i].name);
	if (best.name != NULL)
		fprintf(stderr, "sluice: there is no command %s; did you mean %s?\n", name,
			best.name);
	else
		fprintf(stderr, "sluice: there is no command %s; `sluice help` lists them\n", name);
	return COMMAND_USAGE;
}

static int
help(int argc, char **argv)
{
	if (argc > 2) {
		fputs("sluice help: one name at a time; try `sluice help config`\n", stderr);
		return COMMAND_USAGE;
	}
	if (argc < 2) {
		print_overview(stdout);
		return flush_stdout();
	}
	if (strcmp(argv[1], "config") == 0)
		return config_print_options(stdout) == 0 ? COMMAND_OK : COMMAND_FAILED;
	if (find_command(argv[1]) == NULL)
		return unknown_command(argv[1]);
	return command_help(argv[1]);
}

static int
run_command(int argc, char **argv)
{
	const struct command *c = find_command(argv[0]);
	int err, status;

	if (c == NULL)
		return unknown_command(argv[0]);
	err = crypto_init();
	if (err < 0) {
		fprintf(stderr,
			"sluice: the cryptographic library is broken (%s); install it again\n",
			err_str(err));
		return COMMAND_FAILED;
	}
	status = c->run(argc, argv);
	return status == COMMAND_OK ? flush_stdout() : status;
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_overview(stderr);
		return COMMAND_USAGE;
	}
	argc--;
	argv++;
	if (strcmp(argv[0], "--version") == 0) {
		puts("sluice " SLUICE_VERSION);
		return flush_stdout();
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
		strcmp(argv[0], "help") == 0)
		return help(argc, argv);
	return run_command(argc, argv);
}
