/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice debug: the map, the relays and the paths as the gateway knows them.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

static void
print_derp_nodes(const json_t *nodes)
{
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node) printf("      %-16s %s port %lld, STUN %lld%s  %s %s\n",
		show_text(node, "name", "?"), show_text(node, "host_name", "?"),
		(long long)show_number(node, "derp_port"),
		(long long)show_number(node, "stun_port"),
		show_bool(node, "stun_only") ? " only" : "", show_text(node, "ipv4", "-"),
		show_text(node, "ipv6", "-"));
}

static void
print_derp(const json_t *answer)
{
	char latency[SHOW_LEN], rx[SHOW_LEN], tx[SHOW_LEN];
	const json_t *region;
	size_t i;

	json_array_foreach(json_object_get(answer, "regions"), i, region)
	{
		const char *state = show_text(region, "state", "");
		bool is_home = show_number(region, "id") == show_number(answer, "home_region");

		printf("%-5lld %-8s %s%s\n", (long long)show_number(region, "id"),
			show_text(region, "code", "?"), show_text(region, "name", "?"),
			is_home ? "  (home)" : "");
		if (state[0] != '\0')
			printf("      %s %s, latency %s, received %s, sent %s, dropped %lld "
			       "packets\n",
				state, show_text(region, "node", ""),
				show_latency(
					json_object_get(region, "latency_ms"), "unknown", latency),
				show_bytes(show_number(region, "rx_bytes"), rx),
				show_bytes(show_number(region, "tx_bytes"), tx),
				(long long)show_number(region, "tx_dropped"));
		print_derp_nodes(json_object_get(region, "nodes"));
	}
	if (json_array_size(json_object_get(answer, "regions")) == 0)
		puts("no relays are known");
}

static void
print_candidates(const json_t *candidates)
{
	char latency[SHOW_LEN], ping[SHOW_LEN], pong[SHOW_LEN];
	const json_t *candidate;
	size_t i;

	json_array_foreach(candidates, i, candidate)
	{
		printf("      %-44s %s, last asked %s, answered %s  (",
			show_text(candidate, "endpoint", "?"),
			show_latency(
				json_object_get(candidate, "latency_ms"), "no answer", latency),
			show_latency(json_object_get(candidate, "ping_age_ms"), "never", ping),
			show_latency(json_object_get(candidate, "pong_age_ms"), "never", pong));
		show_list(json_object_get(candidate, "sources"), ", ");
		printf(")\n");
	}
}

static void
print_paths(const json_t *answer)
{
	char latency[SHOW_LEN], trusted[SHOW_LEN];
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(answer, "peers"), i, peer)
	{
		printf("%-24s direct %s, %s, trusted for %s; relay %s region %lld, home %lld\n",
			show_text(peer, "name", "?"), show_text(peer, "direct", "none"),
			show_latency(
				json_object_get(peer, "latency_ms"), "latency unknown", latency),
			show_latency(json_object_get(peer, "trusted_ms"), "no time", trusted),
			show_bool(peer, "relay") ? "in use," : "not in use,",
			(long long)show_number(peer, "region"),
			(long long)show_number(peer, "home_region"));
		print_candidates(json_object_get(peer, "candidates"));
	}
	if (json_array_size(json_object_get(answer, "peers")) == 0)
		puts("no peers are known");
}

// The map is JSON in any case: it is as large as the tailnet, and its form may change.
static void
print_map(const json_t *answer)
{
	json_dumpf(json_object_get(answer, "map"), stdout, JSON_INDENT(2));
	putchar('\n');
}

static const struct {
	const char *name;
	void (*print)(const json_t *answer);
	bool clean; // as text
} subjects[] = {
	{ "map", print_map, false },
	{ "derp", print_derp, true },
	{ "paths", print_paths, true },
};

#define N_SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static int
show(size_t subject, const char *run_dir, bool json)
{
	json_t *answer = ask_gateway("debug", run_dir, subjects[subject].name);

	if (answer == NULL)
		return COMMAND_FAILED;
	if (subjects[subject].clean && !json)
		show_clean(answer);
	if (json && subjects[subject].clean)
		show_json(answer);
	else
		subjects[subject].print(answer);
	json_decref(answer);
	return COMMAND_OK;
}

int
cmd_debug(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", optional_argument, NULL, 'j' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool json = false;
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'h')
			return command_help("debug");
		else if (option != 'j')
			return command_usage_error("debug", NULL);
		else if (!flag_bool("debug", "json", optarg, &json))
			return COMMAND_USAGE;
	}
	if (argc - optind != 1)
		return command_usage_error("debug", "it takes one of map, derp, paths");
	for (size_t i = 0; i < N_SUBJECTS; i++)
		if (strcmp(subjects[i].name, argv[optind]) == 0)
			return show(i, run_dir, json);
	return command_usage_error(
		"debug", "there is no %s; it takes one of map, derp, paths", argv[optind]);
}
