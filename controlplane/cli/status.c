/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice status: what the running gateway does, as text for people or JSON for programs.
 */

#include "controlplane/cli/status.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

static void
print_head(const json_t *status)
{
	const json_t *interface = json_object_get(status, "interface");
	const json_t *forwarding = json_object_get(status, "forwarding");
	const json_t *note;
	char up[SHOW_LEN];
	size_t i;

	printf("sluice %s, up %s\n", show_text(status, "version", "?"),
		show_age(json_object_get(status, "uptime_s"), "?", up));
	printf("  interface   %s, MTU %lld, UDP port %lld\n", show_text(interface, "name", "?"),
		(long long)show_number(interface, "mtu"),
		(long long)show_number(status, "listen_port"));
	printf("  public key  %s\n", show_text(status, "public_key", "?"));
	printf("  forwarding  IPv4 %s, IPv6 %s\n", show_text(forwarding, "ipv4", "?"),
		show_text(forwarding, "ipv6", "?"));
	printf("  cipher      %s\n", show_text(status, "aead_backend", "?"));
	json_array_foreach(json_object_get(status, "notes"), i, note)
		printf("  note        %s\n", json_string_value(note));
}

static void
print_peers(const json_t *peers)
{
	char handshake[SHOW_LEN], session[SHOW_LEN], rx[SHOW_LEN], tx[SHOW_LEN];
	const json_t *peer;
	size_t i;

	printf("\nPEER             ENDPOINT                  HANDSHAKE  SESSION    RECEIVED    "
	       "SENT\n");
	json_array_foreach(peers, i, peer) printf("%-16s %-25s %-10s %-10s %-11s %s\n",
		show_text(peer, "name", "?"), show_text(peer, "endpoint", "-"),
		show_age(json_object_get(peer, "last_handshake_age_s"), "never", handshake),
		show_age(json_object_get(peer, "session_age_s"), "none", session),
		show_bytes(show_number(peer, "rx_bytes"), rx),
		show_bytes(show_number(peer, "tx_bytes"), tx));
	if (json_array_size(peers) == 0)
		printf("(none)\n");
}

static void
print_wireguard(const json_t *status)
{
	print_head(status);
	print_peers(json_object_get(status, "peers"));
	status_print_ports(json_object_get(status, "ports"));
	status_print_workers(json_object_get(status, "workers"));
	status_print_drops(json_object_get(status, "drops"));
}

/* Parts that are asked for by name; none: the whole. */
struct status_views {
	bool peers, ports, drops, flows;
};

struct status_options {
	const char *run_dir;
	bool json, dataplane;
	struct status_views views;
	struct status_tailnet_options tailnet;
};

static bool
has_views(const struct status_views *v)
{
	return v->peers || v->ports || v->drops || v->flows;
}

/* --- views --- */

static void
copy_key(json_t *to, const json_t *from, const char *key)
{
	json_object_set(to, key, json_object_get(from, key));
}

// What programs get: the keys of the views, as they are in the whole.
static void
print_views_json(const json_t *answer, const json_t *flows, const struct status_views *v)
{
	json_t *o = json_object();
	const json_t *tailnet = json_object_get(answer, "tailnet");

	if (v->peers)
		copy_key(o, json_is_object(tailnet) ? tailnet : answer, "peers");
	if (v->ports) {
		copy_key(o, answer, "ports");
		copy_key(o, answer, "workers");
		copy_key(o, answer, "next_hops");
		copy_key(o, answer, "next_hops_left_out");
	}
	if (v->drops)
		copy_key(o, answer, "drops");
	if (v->flows) {
		copy_key(o, flows, "flows");
		copy_key(o, flows, "flows_left_out");
	}
	show_json(o);
	json_decref(o);
}

static void
print_views(const json_t *answer, const json_t *flows, const struct status_options *o)
{
	const json_t *tailnet = json_object_get(answer, "tailnet");

	if (o->views.peers && json_is_object(tailnet))
		status_print_members(tailnet, &o->tailnet);
	else if (o->views.peers)
		print_peers(json_object_get(answer, "peers"));
	if (o->views.ports)
		status_print_network(answer);
	if (o->views.drops)
		status_print_drops(json_object_get(answer, "drops"));
	if (o->views.flows)
		status_print_flows(flows);
}

// The exit status.
static int
show_views(json_t *answer, const struct status_options *o)
{
	json_t *flows = NULL;

	if (o->views.flows) {
		flows = ask_gateway("status", o->run_dir, "flows");
		if (flows == NULL)
			return COMMAND_FAILED;
	}
	if (o->json) {
		print_views_json(answer, flows, &o->views);
	} else {
		show_clean(answer);
		show_clean(flows);
		print_views(answer, flows, o);
	}
	json_decref(flows);
	return COMMAND_OK;
}

// The exit status.
static int
print(json_t *answer, const struct status_options *o)
{
	const json_t *tailnet = json_object_get(answer, "tailnet");

	if (has_views(&o->views))
		return show_views(answer, o);
	if (o->json) {
		show_json(answer);
		return COMMAND_OK;
	}
	show_clean(answer);
	if (o->dataplane) {
		status_print_dataplane(answer);
		return COMMAND_OK;
	}
	if (json_is_object(tailnet))
		return status_print_tailnet(answer, &o->tailnet) ? COMMAND_OK : COMMAND_FAILED;
	print_wireguard(answer);
	return COMMAND_OK;
}

// "--peers=false" is upstream's: the whole without other members.
static bool
take_peers(const char *command, const char *arg, struct status_options *o)
{
	bool good = flag_bool(command, "peers", arg, &o->tailnet.peers);

	o->views.peers = arg == NULL;
	return good;
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct status_options *o)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", optional_argument, NULL, 'j' },
		{ "dataplane", no_argument, NULL, 'd' },
		{ "active", optional_argument, NULL, 'a' },
		{ "peers", optional_argument, NULL, 'p' },
		{ "ports", no_argument, NULL, 'P' },
		{ "drops", no_argument, NULL, 'D' },
		{ "flows", no_argument, NULL, 'F' },
		{ "self", optional_argument, NULL, 's' },
		{ "header", optional_argument, NULL, 'H' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	bool good = true;
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			o->run_dir = optarg;
		else if (option == 'j')
			good &= flag_bool(argv[0], "json", optarg, &o->json);
		else if (option == 'd')
			o->dataplane = true;
		else if (option == 'a')
			good &= flag_bool(argv[0], "active", optarg, &o->tailnet.active);
		else if (option == 'p')
			good &= take_peers(argv[0], optarg, o);
		else if (option == 'P')
			o->views.ports = true;
		else if (option == 'D')
			o->views.drops = true;
		else if (option == 'F')
			o->views.flows = true;
		else if (option == 's')
			good &= flag_bool(argv[0], "self", optarg, &o->tailnet.self);
		else if (option == 'H')
			good &= flag_bool(argv[0], "header", optarg, &o->tailnet.header);
		else if (option == 'h')
			return command_help("status");
		else
			return command_usage_error("status", NULL);
	}
	if (optind != argc)
		return command_usage_error("status", "%s is too much", argv[optind]);
	return good ? -1 : COMMAND_USAGE;
}

int
cmd_status(int argc, char **argv)
{
	struct status_options o = {
		.run_dir = COMMAND_DEFAULT_RUN_DIR,
		.tailnet = { .peers = true, .self = true },
	};
	json_t *answer;
	int status;

	status = parse(argc, argv, &o);
	if (status >= 0)
		return status;
	answer = ask_gateway("status", o.run_dir, "status");
	if (answer == NULL)
		return COMMAND_FAILED;
	status = print(answer, &o);
	json_decref(answer);
	return status;
}
