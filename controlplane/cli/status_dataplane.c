/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The data plane's part of the status: processes, cipher, ports, workers, drops.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/show.h"
#include "controlplane/cli/status.h"

void
status_print_ports(const json_t *ports)
{
	const json_t *port;
	size_t i;

	printf("\nPORT             DRIVER    RECEIVED      SENT          DROPPED  WHY\n");
	json_array_foreach(ports, i, port) printf("%-16s %-9s %-13lld %-13lld %-8lld %s\n",
		show_text(port, "name", "?"), show_text(port, "driver", "?"),
		(long long)show_number(port, "rx_packets"),
		(long long)show_number(port, "tx_packets"),
		(long long)(show_number(port, "rx_dropped") + show_number(port, "tx_dropped")),
		show_text(port, "why", ""));
}

void
status_print_workers(const json_t *workers)
{
	const json_t *worker, *core;
	char where[SHOW_LEN];
	size_t i;

	printf("\nWORKER           CORE      PACKETS       KNOWN FLOWS   CYCLES/PACKET IDLE\n");
	json_array_foreach(workers, i, worker)
	{
		core = json_object_get(worker, "core");
		if (json_is_integer(core))
			snprintf(where, sizeof(where), "%lld", (long long)json_integer_value(core));
		else
			snprintf(where, sizeof(where), "any");
		printf("%-16zu %-9s %-13lld %-13lld %-13.0f %.1f %%\n", i, where,
			(long long)show_number(worker, "packets"),
			(long long)show_number(worker, "known_flows"),
			json_number_value(json_object_get(worker, "cycles_per_packet")),
			100 * json_number_value(json_object_get(worker, "idle_share")));
	}
}

void
status_print_drops(const json_t *drops)
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
	char up[SHOW_LEN];

	printf("PROCESS          PID       UP        STARTS\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *p = json_object_get(processes, names[i]);
		bool counted = json_object_get(p, "starts") != NULL;

		printf("%-16s %-9lld %-9s", names[i], (long long)show_number(p, "pid"),
			show_age(json_object_get(p, "uptime_s"), "", up));
		if (counted)
			printf(" %lld", (long long)show_number(p, "starts"));
		putchar('\n');
	}
}

// "avx512      29 ns  4.40x ipsec-mb": in use, its time, and how many times as long the next took.
static void
format_class(const json_t *class, char out[static SHOW_LEN])
{
	const json_t *times = json_object_get(class, "ns_per_packet"), *value;
	const char *in_use = show_text(class, "in_use", "?"), *name, *next = NULL;
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
		snprintf(out, SHOW_LEN, "%s", in_use);
	else if (next == NULL)
		snprintf(out, SHOW_LEN, "%-10s %5.0f ns", in_use, own);
	else
		snprintf(out, SHOW_LEN, "%-10s %5.0f ns  %.2fx %s", in_use, own, next_ns / own,
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
		if (strcmp(show_text(class, "direction", ""), direction) == 0 &&
			show_number(class, "burst_min") == show_number(like, "burst_min") &&
			show_number(class, "size_max") == show_number(like, "size_max"))
			return class;
	}
	return NULL;
}

// "1", "2 to 7", "8 and more"
static void
format_burst(const json_t *classes, json_int_t min, char out[static SHOW_LEN])
{
	const json_t *class;
	json_int_t next = 0;
	size_t i;

	json_array_foreach(classes, i, class)
	{
		json_int_t other = show_number(class, "burst_min");

		if (other > min && (next == 0 || other < next))
			next = other;
	}
	if (next == 0)
		snprintf(out, SHOW_LEN, "%lld and more", (long long)min);
	else if (next == min + 1)
		snprintf(out, SHOW_LEN, "%lld", (long long)min);
	else
		snprintf(out, SHOW_LEN, "%lld to %lld", (long long)min, (long long)next - 1);
}

static void
print_aead_classes(const json_t *classes)
{
	char burst[SHOW_LEN], seal[SHOW_LEN], open[SHOW_LEN];
	const json_t *class;
	size_t i;

	printf("BURST            BYTES UP TO    %-38s OPEN\n", "SEAL");
	json_array_foreach(classes, i, class)
	{
		if (strcmp(show_text(class, "direction", ""), "seal") != 0)
			continue;
		format_burst(classes, show_number(class, "burst_min"), burst);
		format_class(class, seal);
		format_class(find_class(classes, "open", class), open);
		printf("%-16s %-14lld %-38s %s\n", burst, (long long)show_number(class, "size_max"),
			seal, open);
	}
}

static void
print_aead(const json_t *aead)
{
	const char *reason = show_text(aead, "reason", "?"), *name;
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

void
status_print_dataplane(const json_t *status)
{
	print_processes(json_object_get(status, "processes"));
	if (json_is_object(json_object_get(status, "aead")))
		print_aead(json_object_get(status, "aead"));
	status_print_ports(json_object_get(status, "ports"));
	status_print_workers(json_object_get(status, "workers"));
	status_print_drops(json_object_get(status, "drops"));
}
