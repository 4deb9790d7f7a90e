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
print_processes(const json_t *processes)
{
	static const char *const names[] = { "keeper", "forwarder", "controlplane" };
	char up[TEXT_LEN];

	printf("PROCESS          PID       UP        STARTS\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *p = json_object_get(processes, names[i]);
		bool counted = json_object_get(p, "starts") != NULL;

		printf("%-16s %-9lld %-9s", names[i], (long long)number(p, "pid"),
			age(json_object_get(p, "uptime_s"), "", up));
		if (counted)
			printf(" %lld", (long long)number(p, "starts"));
		putchar('\n');
	}
}

// "avx512      29 ns  4.40x ipsec-mb": in use, its time, and how many times as long the next took.
static void
format_class(const json_t *class, char out[static TEXT_LEN])
{
	const json_t *times = json_object_get(class, "ns_per_packet"), *value;
	const char *in_use = text(class, "in_use", "?"), *name, *next = NULL;
	double own = json_number_value(json_object_get(times, in_use)), next_ns = 0;

	json_object_foreach((json_t *)times, name, value)
	{
		if (strcmp(name, in_use) == 0)
			continue;
		if (next == NULL || json_number_value(value) < next_ns) {
			next = name;
			next_ns = json_number_value(value);
		}
	}
	if (own <= 0)
		snprintf(out, TEXT_LEN, "%s", in_use);
	else if (next == NULL)
		snprintf(out, TEXT_LEN, "%-10s %5.0f ns", in_use, own);
	else
		snprintf(out, TEXT_LEN, "%-10s %5.0f ns  %.2fx %s", in_use, own, next_ns / own,
			next);
}

// The same class of the other direction; NULL if there is none.
static const json_t *
find_class(const json_t *classes, const char *direction, const json_t *like)
{
	const json_t *class;
	size_t i;

	json_array_foreach(classes, i, class)
	{
		if (strcmp(text(class, "direction", ""), direction) == 0 &&
			number(class, "burst_min") == number(like, "burst_min") &&
			number(class, "size_max") == number(like, "size_max"))
			return class;
	}
	return NULL;
}

// "1", "2 to 7", "8 and more"
static void
format_burst(const json_t *classes, json_int_t min, char out[static TEXT_LEN])
{
	const json_t *class;
	json_int_t next = 0;
	size_t i;

	json_array_foreach(classes, i, class)
	{
		json_int_t other = number(class, "burst_min");

		if (other > min && (next == 0 || other < next))
			next = other;
	}
	if (next == 0)
		snprintf(out, TEXT_LEN, "%lld and more", (long long)min);
	else if (next == min + 1)
		snprintf(out, TEXT_LEN, "%lld", (long long)min);
	else
		snprintf(out, TEXT_LEN, "%lld to %lld", (long long)min, (long long)next - 1);
}

static void
print_aead_classes(const json_t *classes)
{
	char burst[TEXT_LEN], seal[TEXT_LEN], open[TEXT_LEN];
	const json_t *class;
	size_t i;

	printf("BURST            BYTES UP TO    %-38s OPEN\n", "SEAL");
	json_array_foreach(classes, i, class)
	{
		if (strcmp(text(class, "direction", ""), "seal") != 0)
			continue;
		format_burst(classes, number(class, "burst_min"), burst);
		format_class(class, seal);
		format_class(find_class(classes, "open", class), open);
		printf("%-16s %-14lld %-38s %s\n", burst, (long long)number(class, "size_max"),
			seal, open);
	}
}

static void
print_aead(const json_t *aead)
{
	const char *reason = text(aead, "reason", "?"), *name;
	const json_t *state;

	printf("\nCIPHER           %s\n",
		strcmp(reason, "fastest") == 0  ? "the fastest for each size of burst, by timing"
		: strcmp(reason, "forced") == 0 ? "forced by SLUICE_AEAD"
						: "the only one that works here");
	print_aead_classes(json_object_get(aead, "classes"));
	json_object_foreach((json_t *)json_object_get(aead, "backends"), name, state)
	{
		const char *said = json_string_value(state);

		if (said != NULL && strcmp(said, "missing") == 0)
			printf("%-16s not used: this CPU or this build lacks it\n", name);
		else if (said != NULL && strcmp(said, "wrong") == 0)
			printf("%-16s not used: it gave wrong answers on this machine\n", name);
	}
}

static void
print_dataplane(const json_t *status)
{
	print_processes(json_object_get(status, "processes"));
	if (json_is_object(json_object_get(status, "aead")))
		print_aead(json_object_get(status, "aead"));
	print_ports(json_object_get(status, "ports"));
	print_workers(json_object_get(status, "workers"));
	print_drops(json_object_get(status, "drops"));
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
		{ "dataplane", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	bool json = false, dataplane = false;
	json_t *answer;
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			run_dir = optarg;
		else if (option == 'j')
			json = true;
		else if (option == 'd')
			dataplane = true;
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
	} else if (dataplane) {
		print_dataplane(answer);
	} else {
		print_text(answer);
	}
	json_decref(answer);
	return COMMAND_OK;
}
