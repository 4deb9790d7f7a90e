/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice whois: the machine and the user behind an address of the tailnet.
 */

#include <getopt.h>
#include <stdio.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

static void
print_capabilities(const json_t *capabilities)
{
	const char *name;
	const json_t *values;

	if (json_object_size(capabilities) == 0)
		return;
	printf("Capabilities:\n");
	json_object_foreach((json_t *)capabilities, name, values)
	{
		printf("  - %s", name);
		if (json_array_size(values) > 0) {
			printf(": ");
			json_dumpf(values, stdout, JSON_COMPACT);
		}
		putchar('\n');
	}
}

static void
print_whois(const json_t *answer)
{
	const json_t *node = json_object_get(answer, "node"),
		     *user = json_object_get(answer, "user");

	printf("Machine:\n");
	printf("  Name:          %s\n", show_text(node, "name", "?"));
	printf("  ID:            %s\n", show_text(node, "stable_id", "?"));
	printf("  Addresses:     [");
	show_list(json_object_get(node, "addresses"), " ");
	printf("]\n");
	if (json_array_size(json_object_get(node, "tags")) > 0) {
		printf("  Tags:          ");
		show_list(json_object_get(node, "tags"), ", ");
		putchar('\n');
	} else if (json_is_object(user)) {
		printf("User:\n");
		printf("  Name:          %s\n", show_text(user, "login_name", "?"));
		printf("  ID:            %lld\n", (long long)show_number(user, "id"));
	}
	print_capabilities(json_object_get(answer, "capabilities"));
}

int
cmd_whois(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", optional_argument, NULL, 'j' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool json = false;
	json_t *answer;
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'h')
			return command_help("whois");
		else if (option != 'j')
			return command_usage_error("whois", NULL);
		else if (!flag_bool("whois", "json", optarg, &json))
			return COMMAND_USAGE;
	}
	if (argc - optind != 1)
		return command_usage_error("whois", "it takes one address, address:port or name");
	answer = ask("whois", run_dir,
		json_pack("{s:s, s:s}", "cmd", "whois", "target", argv[optind]), ASK_TIMEOUT_S);
	if (answer == NULL)
		return COMMAND_FAILED;
	if (json) {
		show_json(answer);
	} else {
		show_clean(answer);
		print_whois(answer);
	}
	json_decref(answer);
	return COMMAND_OK;
}
