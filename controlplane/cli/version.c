/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice version: of this program, and of the gateway that runs.
 */

#include <getopt.h>
#include <stdio.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"
#include "lib/tailnet/capver.h"

static void
print_version(const json_t *daemon, bool json)
{
	json_t *answer;

	if (!json && daemon == NULL) {
		puts(SLUICE_VERSION);
		return;
	}
	if (!json) {
		printf("Client: %s\nDaemon: %s\n", SLUICE_VERSION,
			show_text(daemon, "version", "?"));
		return;
	}
	answer = json_pack("{s:s, s:i}", "version", SLUICE_VERSION, "cap", TAILNET_CAPVER);
	if (daemon != NULL)
		json_object_set(answer, "daemon", json_object_get(daemon, "version"));
	show_json(answer);
	json_decref(answer);
}

int
cmd_version(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "daemon", optional_argument, NULL, 'd' },
		{ "json", optional_argument, NULL, 'j' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool with_daemon = false, json = false;
	json_t *answer = NULL;
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'h')
			return command_help("version");
		else if (option != 'd' && option != 'j')
			return command_usage_error("version", NULL);
		else if (!flag_bool("version", option == 'd' ? "daemon" : "json", optarg,
				 option == 'd' ? &with_daemon : &json))
			return COMMAND_USAGE;
	}
	if (optind != argc)
		return command_usage_error("version", "%s is too much", argv[optind]);
	if (with_daemon) {
		answer = ask_gateway("version", run_dir, "version");
		if (answer == NULL)
			return COMMAND_FAILED;
	}
	print_version(answer, json);
	json_decref(answer);
	return COMMAND_OK;
}
