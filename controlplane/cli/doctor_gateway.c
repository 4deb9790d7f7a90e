/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the running gateway knows about itself and its tailnet.
 */

#include <stdio.h>
#include <string.h>

#include "controlplane/cli/doctor_checks.h"
#include "controlplane/cli/show.h"

#define FIX_LEN 256

static void
check_udp(struct doctor *d, const json_t *tailnet)
{
	const json_t *netcheck = json_object_get(tailnet, "netcheck");

	d->n_checks++;
	if (json_is_object(netcheck) && !show_bool(netcheck, "udp"))
		doctor_find(d, "udp", true, "sluice netcheck",
			"no answer came over UDP, so everything goes by relays; let this host send "
			"UDP to the internet, and answers come back");
}

static void
check_route(struct doctor *d, const json_t *tailnet, const json_t *route)
{
	const char *prefix = show_text(route, "prefix", "");
	char fix[FIX_LEN];

	if (show_bool(route, "advertised") && !show_bool(route, "approved")) {
		snprintf(fix, sizeof(fix),
			"headscale nodes approve-routes --identifier ID --routes %.64s", prefix);
		doctor_find(d, "route", true, fix,
			"%s is advertised, but %s has not approved it: members do not use it",
			prefix, show_text(tailnet, "server", "the server"));
	}
	if (show_bool(route, "advertised") && json_is_false(json_object_get(route, "reachable"))) {
		snprintf(fix, sizeof(fix), "ip route add %.64s via ROUTER", prefix);
		doctor_find(d, "route", true, fix,
			"%s is advertised, but no interface holds it and no route leads there",
			prefix);
	}
}

static void
check_routes(struct doctor *d, const json_t *tailnet)
{
	const json_t *route;
	size_t i;

	d->n_checks++;
	json_array_foreach(json_object_get(tailnet, "routes"), i, route)
	{
		check_route(d, tailnet, route);
	}
}

// Where AF_XDP was wanted and is not.
static void
check_ports(struct doctor *d)
{
	const json_t *port;
	size_t i;

	d->n_checks++;
	json_array_foreach(json_object_get(d->status, "ports"), i, port)
	{
		if (strcmp(show_text(port, "mode", ""), "generic") == 0)
			doctor_find(d, "port", false, "ethtool -i INTERFACE",
				"%s has AF_XDP in generic mode only, which is slow: %s",
				show_text(port, "name", ""), show_text(port, "why", "its driver"));
	}
}

static void
check_state(struct doctor *d, const json_t *tailnet)
{
	const char *state = show_text(tailnet, "state", "Running");

	d->n_checks++;
	if (!show_bool(d->status, "attached"))
		doctor_find(d, "gateway", true, "journalctl -u sluice",
			"no data plane is attached to the control plane");
	if (strcmp(state, "NeedsLogin") == 0)
		doctor_find(d, "gateway", true, "sluice up", "the gateway is in no tailnet yet");
	if (strcmp(state, "NeedsMachineAuth") == 0)
		doctor_find(d, "gateway", true, "",
			"the server waits for an administrator to let "
			"this machine in");
}

// What the gateway has noticed by itself says what to do, too; what is a check above comes once.
static void
take_notes(struct doctor *d)
{
	const json_t *note;
	size_t i;

	d->n_checks++;
	json_array_foreach(json_object_get(d->status, "notes"), i, note)
	{
		const char *text = json_string_value(note);

		if (text != NULL && strstr(text, "is not reached") == NULL &&
			strstr(text, "swapped out") == NULL)
			doctor_find(d, "note", false, "", "%s", text);
	}
}

void
doctor_check_gateway(struct doctor *d)
{
	const json_t *tailnet = json_object_get(d->status, "tailnet");

	if (d->status == NULL)
		return;
	check_state(d, tailnet);
	check_udp(d, tailnet);
	check_routes(d, tailnet);
	check_ports(d);
	take_notes(d);
}
