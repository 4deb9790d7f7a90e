/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network's part of the status: ports in full, next hops, flows.
 */

#include <stdio.h>
#include <string.h>

#include "controlplane/cli/show.h"
#include "controlplane/cli/status.h"

/* --- ports --- */

// "af_xdp (copy)"
static void
format_driver(const json_t *port, char out[static SHOW_LEN])
{
	const char *mode = show_text(port, "mode", "");

	if (mode[0] != '\0')
		snprintf(out, SHOW_LEN, "%s (%s)", show_text(port, "driver", "?"), mode);
	else
		snprintf(out, SHOW_LEN, "%s", show_text(port, "driver", "?"));
}

static void
format_roles(const json_t *port, char out[static SHOW_LEN])
{
	const json_t *role;
	size_t i, len = 0;

	out[0] = '\0';
	json_array_foreach(json_object_get(port, "roles"), i, role)
	{
		int n = snprintf(out + len, SHOW_LEN - len, "%s%s", i > 0 ? "+" : "",
			json_is_string(role) ? json_string_value(role) : "?");

		if (n < 0 || (size_t)n >= SHOW_LEN - len)
			return;
		len += (size_t)n;
	}
	if (len == 0)
		snprintf(out, SHOW_LEN, "-");
}

static void
print_port(const json_t *port)
{
	char driver[SHOW_LEN], roles[SHOW_LEN], queues[SHOW_LEN] = "-";
	json_int_t dropped = show_number(port, "rx_dropped") + show_number(port, "tx_dropped") +
	                     show_number(port, "steered_out");
	const char *why = show_text(port, "why", "");

	if (json_is_integer(json_object_get(port, "queues")))
		snprintf(queues, sizeof(queues), "%lld", (long long)show_number(port, "queues"));
	format_driver(port, driver);
	format_roles(port, roles);
	printf("%-12s %-18s %-8s %6s %14lld %14lld %10lld %11lld\n", show_text(port, "name", "?"),
		driver, roles, queues, (long long)show_number(port, "rx_packets"),
		(long long)show_number(port, "tx_packets"), (long long)dropped,
		(long long)show_number(port, "handed_over"));
	if (json_is_false(json_object_get(port, "up")))
		printf("%-12s   is down\n", "");
	if (why[0] != '\0')
		printf("%-12s   %s\n", "", why);
}

static void
print_next_hops(const json_t *status)
{
	const json_t *hops = json_object_get(status, "next_hops"), *hop;
	json_int_t left_out = show_number(status, "next_hops_left_out");
	size_t i;

	printf("\nNEXT HOP                                 INTERFACE        MAC               "
	       "STATE\n");
	json_array_foreach(hops, i, hop) printf("%-40s %-16s %-17s %s\n",
		show_text(hop, "address", "?"), show_text(hop, "interface", "?"),
		show_text(hop, "mac", "-"), show_text(hop, "state", "?"));
	if (json_array_size(hops) == 0)
		printf("(none)\n");
	if (left_out > 0)
		printf("and %lld more\n", (long long)left_out);
}

void
status_print_network(const json_t *status)
{
	const json_t *port;
	size_t i;

	printf("PORT         DRIVER             ROLE     QUEUES       RECEIVED           SENT    "
	       "DROPPED HANDED OVER\n");
	json_array_foreach(json_object_get(status, "ports"), i, port) print_port(port);
	print_next_hops(status);
	status_print_workers(json_object_get(status, "workers"));
}

/* --- flows --- */

static void
print_flow(const json_t *flow)
{
	char age[SHOW_LEN], idle[SHOW_LEN];

	printf("%-6s %-8s %-44s %-44s %-44s %-8s %s\n", show_text(flow, "protocol", "?"),
		show_text(flow, "state", "?"), show_text(flow, "inside", "?"),
		show_text(flow, "outside", "-"), show_text(flow, "remote", "?"),
		show_age(json_object_get(flow, "age_s"), "-", age),
		show_age(json_object_get(flow, "idle_s"), "-", idle));
}

void
status_print_flows(const json_t *answer)
{
	const json_t *flows = json_object_get(answer, "flows"), *flow;
	json_int_t left_out = show_number(answer, "flows_left_out");
	size_t i;

	printf("%-6s %-8s %-44s %-44s %-44s %-8s %s\n", "PROTO", "STATE", "INSIDE",
		"AS SEEN OUTSIDE", "REMOTE", "AGE", "IDLE");
	json_array_foreach(flows, i, flow) print_flow(flow);
	if (json_array_size(flows) == 0)
		printf("(none)\n");
	if (left_out > 0)
		printf("and %lld more\n", (long long)left_out);
}
