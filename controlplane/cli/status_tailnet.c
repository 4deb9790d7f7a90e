/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A tailnet's members as lines, in upstream's words: scripts read them.
 *
 * Source: the output of `tailscale status` (cmd/tailscale/cli/status.go).
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controlplane/cli/show.h"
#include "controlplane/cli/status.h"

static const char *
first_address(const json_t *node)
{
	const char *address =
		json_string_value(json_array_get(json_object_get(node, "addresses"), 0));

	return address != NULL ? address : "";
}

// The name without the tailnet's domain; a machine that has none has its own in quotes.
static void
print_name(const json_t *node)
{
	const char *name = show_text(node, "name", "");
	char text[80];

	if (name[0] != '\0')
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(name, "."), name);
	else
		snprintf(text, sizeof(text), "(\"%s\")", show_text(node, "host_name", "?"));
	printf("%-20s ", text);
}

static void
print_owner(const json_t *node)
{
	char text[80];

	if (json_array_size(json_object_get(node, "tags")) > 0)
		snprintf(text, sizeof(text), "tagged-devices");
	else
		snprintf(text, sizeof(text), "%s", show_text(node, "user", "-"));
	printf("%-14s ", text);
}

// ", last seen 2h ago" of an RFC 3339 text; nothing without one.
static void
print_last_seen(const json_t *peer)
{
	const char *text = show_text(peer, "last_seen", "");
	struct tm tm = {};
	time_t then, ago;

	if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return;
	then = timegm(&tm);
	ago = time(NULL) - then;
	if (then <= 0 || ago < 0)
		return;
	if (ago < 60)
		printf(", last seen %llds ago", (long long)ago);
	else if (ago < 3600)
		printf(", last seen %lldm ago", (long long)ago / 60);
	else if (ago < 24 * 3600)
		printf(", last seen %lldh ago", (long long)ago / 3600);
	else
		printf(", last seen %lldd ago", (long long)ago / (24 * 3600));
}

static bool
is_offline(const json_t *peer)
{
	return json_is_false(json_object_get(peer, "online"));
}

// "active; direct 10.0.0.2:41641", "active; relay "fra"", ...
static void
print_active(const json_t *peer)
{
	const json_t *path = json_object_get(peer, "path");
	const char *kind = show_text(path, "kind", "none");
	const char *region = show_text(path, "region_code", "");

	printf("active; ");
	if (strcmp(kind, "direct") == 0)
		printf("direct %s", show_text(path, "endpoint", "?"));
	else if (strcmp(kind, "both") == 0)
		printf("relay \"%s\", trying %s", region, show_text(path, "endpoint", "?"));
	else if (strcmp(kind, "relay") == 0)
		printf("relay \"%s\"", region);
	else
		printf("no path yet");
	if (is_offline(peer))
		printf("; offline");
}

static void
print_state(const json_t *peer)
{
	json_int_t tx = show_number(peer, "tx_bytes"), rx = show_number(peer, "rx_bytes");
	const char *note = show_text(peer, "note", "");
	bool offline = is_offline(peer), any_traffic = tx != 0 || rx != 0;

	if (show_bool(peer, "active"))
		print_active(peer);
	else if (any_traffic)
		printf("idle");
	else if (!offline)
		printf("-");
	if (offline && !show_bool(peer, "active")) {
		printf(any_traffic ? "; offline" : "offline");
		print_last_seen(peer);
	}
	if (show_bool(peer, "expired"))
		printf("; key expired");
	else if (note[0] != '\0')
		printf("; no peer of ours: %s", note);
	if (any_traffic)
		printf(", tx %lld rx %lld", (long long)tx, (long long)rx);
}

static void
print_node(const json_t *node, bool is_self)
{
	printf("%-15s ", first_address(node));
	print_name(node);
	print_owner(node);
	printf("%-7s ", show_text(node, "os", is_self ? "linux" : "-"));
	if (is_self)
		printf("-");
	else
		print_state(node);
	putchar('\n');
}

void
status_print_members(const json_t *tailnet, const struct status_tailnet_options *options)
{
	const json_t *self = json_object_get(tailnet, "self"), *peer;
	size_t i;

	if (options->header)
		printf("%-15s %-20s %-14s %-7s %s\n", "IP", "Hostname", "User", "OS", "Status");
	if (options->self && json_is_object(self))
		print_node(self, true);
	if (!options->peers)
		return;
	json_array_foreach(json_object_get(tailnet, "peers"), i,
		peer) if (!options->active || show_bool(peer, "active")) print_node(peer, false);
}

// "2024-05-01T10:00:00Z": how many days are left, or a large number.
static long
days_left(const char *expiry)
{
	struct tm tm = {};
	time_t then;

	if (strptime(expiry, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return 1000000;
	then = timegm(&tm);
	if (then <= 0) // 0001-01-01 stands for never
		return 1000000;
	return (long)((then - time(NULL)) / (24 * 3600));
}

// A line of the part about health; the first has the heading above it.
__attribute__((format(printf, 2, 3))) static void
print_note(bool *any, const char *format, ...)
{
	va_list args;

	printf("%s#     - ", *any ? "" : "\n# Health check:\n");
	*any = true;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void
print_sentences(bool *any, const json_t *sentences)
{
	const json_t *item;
	size_t i;

	json_array_foreach(sentences, i, item) if (json_is_string(item))
		print_note(any, "%s", json_string_value(item));
}

static void
print_health(const json_t *status, const json_t *tailnet)
{
	const json_t *error = json_object_get(tailnet, "error");
	const json_t *netcheck = json_object_get(tailnet, "netcheck");
	const char *expiry = show_text(json_object_get(tailnet, "self"), "key_expiry", "");
	bool any = false;

	if (json_is_object(error))
		print_note(&any, "%s; %s; %s", show_text(error, "what", "?"),
			show_text(error, "why", "?"), show_text(error, "do", "?"));
	else if (!show_bool(tailnet, "connected"))
		print_note(&any, "not connected to %s: %s",
			show_text(tailnet, "server", "the server"),
			show_text(tailnet, "phase", "waiting"));
	if (show_bool(tailnet, "from_disk"))
		print_note(&any, "the members are those last known, from disk; the server has not "
				 "confirmed them");
	if (json_is_object(netcheck) && !show_bool(netcheck, "udp"))
		print_note(&any,
			"UDP is blocked; no STUN server of a relay answers; everything goes "
			"through relays, more slowly: let UDP out to the Internet");
	if (days_left(expiry) <= 7)
		print_note(&any,
			"the node key expires %s; then this gateway is cut off; log in again "
			"before: sluice up --force-reauth",
			expiry);
	print_sentences(&any, json_object_get(tailnet, "warnings"));
	print_sentences(&any, json_object_get(status, "notes"));
}

// What is to be said when it is not running.  False: there is nothing more to see.
static bool
print_backend_state(const json_t *tailnet)
{
	const char *state = show_text(tailnet, "state", "?");
	const char *url = show_text(tailnet, "auth_url", "");
	const json_t *error = json_object_get(tailnet, "error");
	bool running = strcmp(state, "Running") == 0 || strcmp(state, "Starting") == 0;

	if (running)
		return true;
	if (strcmp(state, "Stopped") == 0)
		printf("Sluice is stopped; `sluice up` connects it.\n");
	else if (strcmp(state, "NeedsLogin") == 0)
		printf("Logged out%s\n", url[0] != '\0' ? "." : "; `sluice up` logs in.");
	else if (strcmp(state, "NeedsMachineAuth") == 0)
		printf("Machine is not yet approved by tailnet admin.\n");
	else
		printf("unexpected state: %s\n", state);
	if (url[0] != '\0')
		printf("Log in at: %s\n", url);
	if (json_is_object(error))
		printf("%s; %s; %s\n", show_text(error, "what", "?"), show_text(error, "why", "?"),
			show_text(error, "do", "?"));
	return false;
}

bool
status_print_tailnet(const json_t *status, const struct status_tailnet_options *options)
{
	const json_t *tailnet = json_object_get(status, "tailnet");

	if (!print_backend_state(tailnet))
		return false;
	status_print_members(tailnet, options);
	print_health(status, tailnet);
	return true;
}
