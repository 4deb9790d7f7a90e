/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice ping: whether another member of the tailnet answers, and by which path.
 *
 * Source: the behaviour and words of `tailscale ping` (cmd/tailscale/cli/ping.go).
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/icmp_echo.h"
#include "controlplane/cli/show.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/net/addr.h"

struct ping_options {
	const char *run_dir, *target;
	bool tsmp, icmp, peer_api, until_direct, verbose;
	long count; /* 0: without end */
	long size;
	int64_t timeout_ns;
};

static const char *
type_of(const struct ping_options *o)
{
	return o->tsmp ? "tsmp" : o->icmp ? "icmp" : o->peer_api ? "peerapi" : "disco";
}

// What the type is called in the answer's line.
static const char *
label_of(const struct ping_options *o)
{
	return o->tsmp ? "TSMP" : o->icmp ? "ICMP" : o->peer_api ? "peerapi" : "disco";
}

static void
print_pong(const struct ping_options *o, const json_t *pong)
{
	const char *name = show_text(pong, "name", "?"), *address = show_text(pong, "address", "?");
	const char *endpoint = show_text(pong, "endpoint", "");
	char latency[SHOW_LEN], port[16] = "";
	const char *took = show_latency(json_object_get(pong, "latency_ms"), "?", latency);

	if (o->peer_api) {
		printf("hit peerapi of %s (%s) in %s\n", name, address, took);
		return;
	}
	if (show_number(pong, "peer_api_port") > 0)
		snprintf(port, sizeof(port), ", %lld",
			(long long)show_number(pong, "peer_api_port"));
	printf("pong from %s (%s%s) via ", name, address, port);
	if (endpoint[0] != '\0')
		printf("%s", endpoint);
	else if (show_number(pong, "region") > 0)
		printf("DERP(%s)", show_text(pong, "region_code", "?"));
	else
		printf("%s", label_of(o));
	printf(" in %s\n", took);
}

enum outcome {
	PING_DIRECT,  // or all there is to know
	PING_RELAYED, // an answer, but not by the path that is waited for
	PING_LOST,
	PING_FAILED, // said
};

// The kernel's packets go through the tunnel as anybody's; the daemon says to which address.
static enum outcome
ping_by_icmp(const struct ping_options *o)
{
	json_t *answer = ask("ping", o->run_dir,
		json_pack("{s:s, s:s}", "cmd", "whois", "target", o->target), 10);
	const json_t *node = json_object_get(answer, "node");
	const char *text = json_string_value(json_array_get(json_object_get(node, "addresses"), 0));
	enum outcome outcome = PING_LOST;
	int64_t took_ns;
	struct addr to;
	int err;

	if (answer == NULL)
		return PING_FAILED;
	show_clean(answer);
	if (text == NULL || addr_parse(text, &to) < 0)
		err = -EADDRNOTAVAIL;
	else
		err = icmp_echo(&to, (size_t)o->size, (int)(o->timeout_ns / NS_PER_MS), &took_ns);
	if (err == 0) {
		json_t *pong =
			json_pack("{s:s, s:s, s:f}", "name", show_text(node, "host_name", "?"),
				"address", text, "latency_ms", (double)took_ns / 1e6);

		print_pong(o, pong);
		json_decref(pong);
		outcome = PING_DIRECT;
	} else if (err == -ETIMEDOUT) {
		printf("ping \"%s\" timed out\n", o->target);
	} else {
		fprintf(stderr, "sluice ping: cannot send ICMP to %s; %s; try as root\n",
			text != NULL ? text : o->target, err_str(err));
		outcome = PING_FAILED;
	}
	json_decref(answer);
	return outcome;
}

static enum outcome
ping_once(const struct ping_options *o)
{
	json_int_t timeout_ms = o->timeout_ns / NS_PER_MS;
	json_t *answer = ask("ping", o->run_dir,
		json_pack("{s:s, s:s, s:s, s:I, s:I}", "cmd", "ping", "target", o->target, "type",
			type_of(o), "size", (json_int_t)o->size, "timeout_ms", timeout_ms),
		(int)(timeout_ms / 1000) + 10);
	enum outcome outcome = PING_RELAYED;
	const json_t *pong;

	if (answer == NULL)
		return PING_FAILED;
	show_clean(answer);
	pong = json_object_get(answer, "pong");
	if (!json_is_object(pong)) {
		printf("ping \"%s\" timed out\n", o->target);
		outcome = PING_LOST;
	} else if (show_bool(pong, "is_self")) {
		printf("%s is local Tailscale IP\n", show_text(pong, "address", o->target));
		outcome = PING_DIRECT;
	} else {
		print_pong(o, pong);
		if (o->tsmp || o->icmp || o->peer_api ||
			(o->until_direct && show_text(pong, "endpoint", "")[0] != '\0'))
			outcome = PING_DIRECT;
	}
	fflush(stdout);
	json_decref(answer);
	return outcome;
}

static int
ping(const struct ping_options *o)
{
	bool any = false;

	for (long n = 1; o->count == 0 || n <= o->count; n++) {
		enum outcome outcome = o->icmp ? ping_by_icmp(o) : ping_once(o);

		if (outcome == PING_FAILED)
			return COMMAND_FAILED;
		if (outcome == PING_DIRECT)
			return COMMAND_OK;
		any |= outcome == PING_RELAYED;
		if (outcome == PING_RELAYED && n != o->count)
			nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	}
	if (!any) {
		fprintf(stderr,
			"sluice ping: no reply; %s may be off, or the policy lets nothing through; "
			"see `sluice status`\n",
			o->target);
		return COMMAND_FAILED;
	}
	if (!o->until_direct)
		return COMMAND_OK;
	fprintf(stderr,
		"sluice ping: direct connection not established; packets go through a relay; see "
		"`sluice netcheck` here and there\n");
	return COMMAND_FAILED;
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct ping_options *o)
{
	static const struct option longs[] = {
		{ "c", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 't' },
		{ "until-direct", optional_argument, NULL, 'u' },
		{ "tsmp", optional_argument, NULL, 'T' },
		{ "icmp", optional_argument, NULL, 'I' },
		{ "peerapi", optional_argument, NULL, 'P' },
		{ "size", required_argument, NULL, 's' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	bool good = true;
	int option;

	while ((option = getopt_long_only(argc, argv, "hc:", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			good &= flag_number("ping", "-c", optarg, 0, INT_MAX, &o->count);
			break;
		case 't':
			good &= flag_duration("ping", "timeout", optarg, &o->timeout_ns);
			break;
		case 'u':
			good &= flag_bool("ping", "until-direct", optarg, &o->until_direct);
			break;
		case 'T':
			good &= flag_bool("ping", "tsmp", optarg, &o->tsmp);
			break;
		case 'I':
			good &= flag_bool("ping", "icmp", optarg, &o->icmp);
			break;
		case 'P':
			good &= flag_bool("ping", "peerapi", optarg, &o->peer_api);
			break;
		case 's':
			good &= flag_number("ping", "--size", optarg, 0, 65535, &o->size);
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 'h':
			return command_help("ping");
		default:
			return command_usage_error("ping", NULL);
		}
	}
	if (!good)
		return COMMAND_USAGE;
	if (argc - optind != 1)
		return command_usage_error("ping", "it takes one address or name");
	if (o->tsmp + o->icmp + o->peer_api > 1)
		return command_usage_error(
			"ping", "--tsmp, --icmp and --peerapi exclude each other");
	o->target = argv[optind];
	return -1;
}

int
cmd_ping(int argc, char **argv)
{
	struct ping_options o = {
		.run_dir = COMMAND_DEFAULT_RUN_DIR,
		.until_direct = true,
		.count = 10,
		.timeout_ns = 5 * NS_PER_S,
	};
	int status = parse(argc, argv, &o);

	return status >= 0 ? status : ping(&o);
}
