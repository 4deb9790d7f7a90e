/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice netcheck: what the network around this gateway allows.
 *
 * Source: the words of `tailscale netcheck` (cmd/tailscale/cli/netcheck.go).
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

static void
print_family(const json_t *netcheck, const char *label, const char *flag, const char *global)
{
	const char *endpoint = show_text(netcheck, global, "");

	if (endpoint[0] != '\0')
		printf("\t* %s: yes, %s\n", label, endpoint);
	else if (show_bool(netcheck, flag))
		printf("\t* %s: yes\n", label);
	else
		printf("\t* %s: (no addr found)\n", label);
}

static int
by_latency(const void *a, const void *b)
{
	const json_t *x = json_object_get(*(json_t *const *)a, "latency_ms");
	const json_t *y = json_object_get(*(json_t *const *)b, "latency_ms");

	if (json_is_number(x) != json_is_number(y))
		return json_is_number(x) ? -1 : 1;
	return json_number_value(x) < json_number_value(y)   ? -1
	       : json_number_value(x) > json_number_value(y) ? 1
	                                                     : 0;
}

static void
print_region(const json_t *region)
{
	char latency[SHOW_LEN];

	printf("\t\t- %3s: %-7s (%s)\n", show_text(region, "code", "?"),
		show_latency(json_object_get(region, "latency_ms"), "", latency),
		show_text(region, "name", "?"));
}

static void
print_regions(const json_t *regions)
{
	size_t n = json_array_size(regions);
	const json_t **sorted = calloc(n + 1, sizeof(json_t *));

	if (sorted == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(regions, i);
	qsort(sorted, n, sizeof(sorted[0]), by_latency);
	printf("\t* DERP latency:\n");
	for (size_t i = 0; i < n; i++)
		print_region(sorted[i]);
	free(sorted);
}

static const char *
name_of_region(const json_t *netcheck)
{
	json_int_t wanted = show_number(netcheck, "preferred_region");
	const json_t *region;
	size_t i;

	json_array_foreach(json_object_get(netcheck, "regions"), i,
		region) if (wanted != 0 && show_number(region, "id") ==
						   wanted) return show_text(region, "name", "?");
	return "unknown (no response to latency probes)";
}

static void
print_report(const json_t *netcheck)
{
	const json_t *varies = json_object_get(netcheck, "mapping_varies");
	const char *mapped = show_text(netcheck, "mapped", "");

	printf("\nReport:\n");
	printf("\t* UDP: %s\n", show_bool(netcheck, "udp") ? "true" : "false");
	print_family(netcheck, "IPv4", "ipv4", "global_v4");
	print_family(netcheck, "IPv6", "ipv6", "global_v6");
	printf("\t* MappingVariesByDestIP: %s\n", json_is_null(varies) || varies == NULL ? ""
						  : json_is_true(varies)                 ? "true"
											 : "false");
	printf("\t* PortMapping: ");
	show_list(json_object_get(netcheck, "port_mapping"), ", ");
	printf("%s%s\n", mapped[0] != '\0' ? " as " : "", mapped);
	printf("\t* Nearest DERP: %s\n", name_of_region(netcheck));
	if (json_array_size(json_object_get(netcheck, "regions")) > 0)
		print_regions(json_object_get(netcheck, "regions"));
}

int
cmd_netcheck(int argc, char **argv)
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
			return command_help("netcheck");
		else if (option != 'j')
			return command_usage_error("netcheck", NULL);
		else if (!flag_bool("netcheck", "json", optarg, &json))
			return COMMAND_USAGE;
	}
	if (optind != argc)
		return command_usage_error("netcheck", "%s is too much", argv[optind]);
	answer = ask_gateway("netcheck", run_dir, "netcheck");
	if (answer == NULL)
		return COMMAND_FAILED;
	if (json) {
		json_dumpf(json_object_get(answer, "netcheck"), stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		show_clean(answer);
		print_report(json_object_get(answer, "netcheck"));
	}
	json_decref(answer);
	return COMMAND_OK;
}
