/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice down and logout: leave the tailnet, for now or for good.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/show.h"

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, const char **run_dir)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			*run_dir = optarg;
		else if (option == 'h')
			return command_help(argv[0]);
		else
			return command_usage_error(argv[0], NULL);
	}
	if (optind != argc)
		return command_usage_error(argv[0], "%s is too much", argv[optind]);
	return -1;
}

static int
say(const char *command, const char *run_dir)
{
	json_t *answer = ask_gateway(command, run_dir, command);

	if (answer == NULL)
		return COMMAND_FAILED;
	ask_print_warnings(command, answer);
	json_decref(answer);
	return COMMAND_OK;
}

int
cmd_down(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	json_t *status;
	bool stopped;
	int exit_status = parse(argc, argv, &run_dir);

	if (exit_status >= 0)
		return exit_status;
	status = ask_tailnet("down", run_dir, false);
	if (status == NULL)
		return COMMAND_FAILED;
	stopped =
		strcmp(show_text(json_object_get(status, "tailnet"), "state", ""), "Stopped") == 0;
	json_decref(status);
	if (stopped) {
		fprintf(stderr, "Sluice was already stopped.\n");
		return COMMAND_OK;
	}
	return say("down", run_dir);
}

int
cmd_logout(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	int exit_status = parse(argc, argv, &run_dir);

	return exit_status >= 0 ? exit_status : say("logout", run_dir);
}
