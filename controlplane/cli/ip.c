/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice ip: addresses in the tailnet, our own or a peer's, one a line.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/show.h"

struct ip_options {
	const char *run_dir;
	bool only_one, only_v4, only_v6;
};

static bool
has_address(const json_t *node, const char *address)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(node, "addresses"), i,
		item) if (json_is_string(item) &&
			  strcmp(json_string_value(item), address) == 0) return true;
	return false;
}

// By its whole name, the first part of it, its host's name, or an address.
static bool
is_called(const json_t *node, const char *wanted)
{
	const char *name = show_text(node, "name", "");
	size_t len = strlen(wanted);

	if (len > 0 && wanted[len - 1] == '.')
		len--;
	if (len > 0 && strncasecmp(name, wanted, len) == 0 &&
		(name[len] == '\0' || name[len] == '.'))
		return true;
	return strcasecmp(show_text(node, "host_name", ""), wanted) == 0 ||
	       has_address(node, wanted);
}

static const json_t *
find_node(const json_t *tailnet, const char *wanted)
{
	const json_t *self = json_object_get(tailnet, "self"), *peer;
	size_t i;

	if (wanted == NULL || is_called(self, wanted))
		return self;
	json_array_foreach(json_object_get(tailnet, "peers"), i,
		peer) if (is_called(peer, wanted)) return peer;
	return NULL;
}

static int
print_addresses(const struct ip_options *o, const json_t *node)
{
	const json_t *item;
	bool any = false;
	size_t i;

	json_array_foreach(json_object_get(node, "addresses"), i, item)
	{
		const char *text = json_string_value(item);
		bool is_v6 = text != NULL && strchr(text, ':') != NULL;

		if (text == NULL || (o->only_v4 && is_v6) || (o->only_v6 && !is_v6))
			continue;
		puts(text);
		any = true;
		if (o->only_one)
			break;
	}
	if (any)
		return COMMAND_OK;
	fprintf(stderr, "sluice ip: there is no such address; %s; see `sluice status`\n",
		o->only_v4 || o->only_v6 ? "the node has none of this family"
					 : "the gateway has not joined the tailnet yet");
	return COMMAND_FAILED;
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct ip_options *o)
{
	static const struct option longs[] = {
		{ "1", optional_argument, NULL, '1' },
		{ "4", optional_argument, NULL, '4' },
		{ "6", optional_argument, NULL, '6' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long_only(argc, argv, "h146", longs, NULL)) != -1) {
		bool *flag = option == '1'   ? &o->only_one
		             : option == '4' ? &o->only_v4
		                             : &o->only_v6;
		char name[] = { (char)option, '\0' };

		if (option == 'r')
			o->run_dir = optarg;
		else if (option == 'h')
			return command_help("ip");
		else if (strchr("146", option) == NULL)
			return command_usage_error("ip", NULL);
		else if (!flag_bool("ip", name, optarg, flag))
			return COMMAND_USAGE;
	}
	if (argc - optind > 1)
		return command_usage_error("ip", "%s is too much", argv[optind + 1]);
	if (o->only_one + o->only_v4 + o->only_v6 > 1)
		return command_usage_error("ip", "-1, -4 and -6 exclude each other");
	return -1;
}

int
cmd_ip(int argc, char **argv)
{
	struct ip_options o = { .run_dir = COMMAND_DEFAULT_RUN_DIR };
	const json_t *node;
	json_t *status;
	int exit_status = parse(argc, argv, &o);

	if (exit_status >= 0)
		return exit_status;
	status = ask_tailnet("ip", o.run_dir, optind < argc);
	if (status == NULL)
		return COMMAND_FAILED;
	show_clean(status);
	node = find_node(json_object_get(status, "tailnet"), argv[optind]);
	if (node != NULL) {
		exit_status = print_addresses(&o, node);
	} else {
		fprintf(stderr,
			"sluice ip: %s is not known; no member of this tailnet has that name or "
			"address; see `sluice status`\n",
			argv[optind]);
		exit_status = COMMAND_FAILED;
	}
	json_decref(status);
	return exit_status;
}
