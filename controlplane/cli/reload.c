/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice reload: the running gateway reads its configuration again.
 */

#include <getopt.h>
#include <stdio.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"

int
cmd_reload(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	json_t *answer;
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'h')
			return command_help("reload");
		else
			return command_usage_error("reload", NULL);
	}
	if (optind != argc)
		return command_usage_error("reload", "%s is too much", argv[optind]);
	answer = ask_gateway("reload", run_dir, "reload");
	if (answer == NULL)
		return COMMAND_FAILED;
	if (json_is_string(json_object_get(answer, "summary")))
		puts(json_string_value(json_object_get(answer, "summary")));
	json_decref(answer);
	return COMMAND_OK;
}
