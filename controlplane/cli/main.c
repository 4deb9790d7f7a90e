/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice: the command line.  The commands are rows of commands.c.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"
#include "config/print.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/commands.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"

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
	print_usage_line(stderr, commands_find(name));
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
	const struct command *c = commands_find(name);

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
	for (size_t i = 0; commands_at(i) != NULL; i++)
		fprintf(out, "  %-8s %s\n", commands_at(i)->name, commands_at(i)->help);
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

	for (size_t i = 0; commands_at(i) != NULL; i++)
		nearest_consider(&best, name, commands_at(i)->name);
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
	if (commands_find(argv[1]) == NULL)
		return unknown_command(argv[1]);
	return command_help(argv[1]);
}

static int
run_command(int argc, char **argv)
{
	const struct command *c = commands_find(argv[0]);
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
