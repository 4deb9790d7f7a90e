/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice status: what the running gateway does, as text for people or JSON for programs.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"

#define TEXT_LEN 64

static json_int_t
number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *
text(const json_t *object, const char *key, const char *missing)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL && value[0] != '\0' ? value : missing;
}

// 1234567 -> "1.2 MiB"
static const char *
bytes(json_int_t n, char out[static TEXT_LEN])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)n;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out, TEXT_LEN, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return out;
}

// null -> `missing`; 75 -> "1m15s"
static const char *
age(const json_t *value, const char *missing, char out[static TEXT_LEN])
{
	json_int_t s;

	if (!json_is_number(value))
		return missing;
	s = (json_int_t)json_number_value(value);
	if (s < 60)
		snprintf(out, TEXT_LEN, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(out, TEXT_LEN, "%lldm%02llds", (long long)s / 60, (long long)s % 60);
	else
		snprintf(
			out, TEXT_LEN, "%lldh%02lldm", (long long)s / 3600, (long long)s / 60 % 60);
	return out;
}

static void
print_head(const json_t *status)
{
	const json_t *interface = json_object_get(status, "interface");
	const json_t *forwarding = json_object_get(status, "forwarding");
	const json_t *note;
	char up[TEXT_LEN];
	size_t i;

	printf("sluice %s, up %s\n", text(status, "version", "?"),
		age(json_object_get(status, "uptime_s"), "?", up));
	printf("  interface   %s, MTU %lld, UDP port %lld\n", text(interface, "name", "?"),
		(long long)number(interface, "mtu"), (long long)number(status, "listen_port"));
	printf("  public key  %s\n", text(status, "public_key", "?"));
	printf("  forwarding  IPv4 %s, IPv6 %s\n", text(forwarding, "ipv4", "?"),
		text(forwarding, "ipv6", "?"));
	printf("  cipher      %s\n", text(status, "aead_backend", "?"));
	json_array_foreach(json_object_get(status, "notes"), i, note)
		printf("  note        %s\n", json_string_value(note));
}

static void
print_peers(const json_t *peers)
{
	char handshake[TEXT_LEN], session[TEXT_LEN], rx[TEXT_LEN], tx[TEXT_LEN];
	const json_t *peer;
	size_t i;

	printf("\nPEER             ENDPOINT                  HANDSHAKE  SESSION    RECEIVED    "
	       "SENT\n");
	json_array_foreach(peers, i, peer) printf("%-16s %-25s %-10s %-10s %-11s %s\n",
		text(peer, "name", "?"), text(peer, "endpoint", "-"),
		age(json_object_get(peer, "last_handshake_age_s"), "never", handshake),
		age(json_object_get(peer, "session_age_s"), "none", session),
		bytes(number(peer, "rx_bytes"), rx), bytes(number(peer, "tx_bytes"), tx));
	if (json_array_size(peers) == 0)
		printf("(none)\n");
}

static void
print_ports(const json_t *ports)
{
	const json_t *port;
	size_t i;

	printf("\nPORT             DRIVER    RECEIVED      SENT          DROPPED  NOTE\n");
	json_array_foreach(ports, i, port) printf("%-16s %-9s %-13lld %-13lld %-8lld %s\n",
		text(port, "name", "?"), text(port, "driver", "?"),
		(long long)number(port, "rx_packets"), (long long)number(port, "tx_packets"),
		(long long)(number(port, "rx_dropped") + number(port, "tx_dropped")),
		text(port, "note", ""));
}

static void
print_workers(const json_t *workers)
{
	const json_t *worker, *core;
	char where[TEXT_LEN];
	size_t i;

	printf("\nWORKER           CORE      PACKETS       CYCLES/PACKET IDLE\n");
	json_array_foreach(workers, i, worker)
	{
		core = json_object_get(worker, "core");
		if (json_is_integer(core))
			snprintf(where, sizeof(where), "%lld", (long long)json_integer_value(core));
		else
			snprintf(where, sizeof(where), "any");
		printf("%-16zu %-9s %-13lld %-13.0f %.1f %%\n", i, where,
			(long long)number(worker, "packets"),
			json_number_value(json_object_get(worker, "cycles_per_packet")),
			100 * json_number_value(json_object_get(worker, "idle_share")));
	}
}

static void
print_drops(const json_t *drops)
{
	const char *reason;
	const json_t *count;
	bool any = false;

	printf("\nDROPPED          PACKETS\n");
	json_object_foreach((json_t *)drops, reason, count) if (json_integer_value(count) > 0)
	{
		printf("%-16s %lld\n", reason, (long long)json_integer_value(count));
		any = true;
	}
	if (!any)
		printf("(none)\n");
}

static void
print_text(const json_t *status)
{
	print_head(status);
	print_peers(json_object_get(status, "peers"));
	print_ports(json_object_get(status, "ports"));
	print_workers(json_object_get(status, "workers"));
	print_drops(json_object_get(status, "drops"));
}

int
cmd_status(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool json = false;
	json_t *answer;
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'j')
			json = true;
		else if (option == 'h')
			return command_help("status");
		else
			return command_usage_error("status", NULL);
	}
	if (optind != argc)
		return command_usage_error("status", "%s is too much", argv[optind]);
	answer = ask_gateway("status", run_dir, "status");
	if (answer == NULL)
		return COMMAND_FAILED;
	if (json) {
		json_object_del(answer, "ok");
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_text(answer);
	}
	json_decref(answer);
	return COMMAND_OK;
}
