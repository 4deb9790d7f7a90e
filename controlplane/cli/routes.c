/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice routes: which prefixes we offer to the tailnet and what has become of that, and which of
 * others' we take.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

static const char *
yes_no(const json_t *object, const char *key)
{
	return show_bool(object, key) ? "yes" : "no";
}

// "lan0, af_xdp (copy)", "eth1, kernel", "nothing", "-"
static void
format_way(const json_t *route, char out[static SHOW_LEN])
{
	const char *driver = show_text(route, "driver", "?"), *mode = show_text(route, "mode", "");
	const char *interface = show_text(route, "interface", "several");

	if (json_is_false(json_object_get(route, "reachable")))
		snprintf(out, SHOW_LEN, "nothing");
	else if (!show_bool(route, "reachable"))
		snprintf(out, SHOW_LEN, "-");
	else if (mode[0] != '\0')
		snprintf(out, SHOW_LEN, "%s, %s (%s)", interface, driver, mode);
	else
		snprintf(out, SHOW_LEN, "%s, %s", interface, driver);
}

static void
print_advice(const json_t *route)
{
	const char *other = show_text(route, "primary_elsewhere", "");

	if (!show_bool(route, "advertised"))
		printf("%-24s   approved, but not offered any more\n", "");
	else if (!show_bool(route, "approved") && other[0] != '\0')
		printf("%-24s   %s serves it: it stands by, or waits for approval\n", "", other);
	else if (!show_bool(route, "approved"))
		printf("%-24s   waits for approval: at the server, or by its policy\n", "");
	if (json_is_false(json_object_get(route, "reachable")))
		printf("%-24s   this machine has no route of its own to it: add one, or do not "
		       "offer "
		       "it\n",
			"");
}

static void
print_advertised(const json_t *routes)
{
	const json_t *route;
	char way[SHOW_LEN];
	size_t i;

	printf("%-24s %-9s %-8s %s\n", "ADVERTISED", "APPROVED", "PRIMARY", "REACHED BY");
	json_array_foreach(routes, i, route)
	{
		format_way(route, way);
		printf("%-24s %-9s %-8s %s\n", show_text(route, "prefix", "?"),
			yes_no(route, "approved"), yes_no(route, "primary"), way);
		print_advice(route);
	}
	if (json_array_size(routes) == 0)
		printf("(none)\n");
}

static void
print_accepted(const json_t *routes)
{
	const json_t *route;
	size_t i;

	printf("\n%-24s %-5s %-20s %s\n", "OTHERS'", "USED", "FROM", "WHY NOT");
	json_array_foreach(routes, i, route) printf("%-24s %-5s %-20s %s\n",
		show_text(route, "prefix", "?"), yes_no(route, "used"),
		show_text(route, "from", "?"), show_text(route, "note", ""));
	if (json_array_size(routes) == 0)
		printf("(none)\n");
}

static void
print(json_t *answer, bool as_json)
{
	json_t *tailnet = json_object_get(answer, "tailnet");
	json_t *o;

	if (!as_json) {
		show_clean(answer);
		print_advertised(json_object_get(tailnet, "routes"));
		print_accepted(json_object_get(tailnet, "accepted_routes"));
		return;
	}
	o = json_pack("{s:O, s:O}", "routes", json_object_get(tailnet, "routes"), "accepted_routes",
		json_object_get(tailnet, "accepted_routes"));
	show_json(o);
	json_decref(o);
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, const char **run_dir, bool *json)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", optional_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int code;

	while ((code = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (code == 'r')
			*run_dir = optarg;
		else if (code == 'h')
			return command_help("routes");
		else if (code != 'j')
			return command_usage_error("routes", NULL);
		else if (!flag_bool("routes", "json", optarg, json))
			return COMMAND_USAGE;
	}
	if (optind != argc)
		return command_usage_error("routes", "%s is too much", argv[optind]);
	return -1;
}

int
cmd_routes(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool json = false;
	json_t *answer;
	int status = parse(argc, argv, &run_dir, &json);

	if (status >= 0)
		return status;
	answer = ask_tailnet("routes", run_dir, false);
	if (answer == NULL)
		return COMMAND_FAILED;
	print(answer, json);
	json_decref(answer);
	return COMMAND_OK;
}
