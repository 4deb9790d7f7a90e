/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice set: change single settings of a member of a tailnet; all others stay.
 */

#include <getopt.h>
#include <stdio.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/preference.h"
#include "controlplane/cli/show.h"

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, const char **run_dir, json_t *prefs)
{
	static const struct option longs[] = {
		PREFERENCE_OPTIONS,
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int code;

	while ((code = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (code == 'r')
			*run_dir = optarg;
		else if (code == 'h')
			return command_help("set");
		else if (!preference_is(code))
			return command_usage_error("set", NULL);
		else if (!preference_take("set", code, optarg, prefs))
			return COMMAND_USAGE;
	}
	if (optind != argc)
		return command_usage_error("set", "%s is too much", argv[optind]);
	if (json_object_size(prefs) == 0)
		return command_usage_error("set", "there is nothing to set");
	return -1;
}

static int
set(const char *run_dir, json_t *prefs)
{
	json_t *answer = ask("set", run_dir, json_pack("{s:s, s:O}", "cmd", "set", "prefs", prefs),
		ASK_TIMEOUT_S);

	if (answer == NULL)
		return COMMAND_FAILED;
	ask_print_warnings("set", answer);
	json_decref(answer);
	return COMMAND_OK;
}

int
cmd_set(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	json_t *prefs = json_object();
	int status = parse(argc, argv, &run_dir, prefs);

	if (status < 0)
		status = set(run_dir, prefs);
	json_decref(prefs);
	return status;
}
