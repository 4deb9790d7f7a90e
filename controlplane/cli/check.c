/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice check: read a configuration as the programs would, and say what they would say.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/gateway.h"
#include "config/print.h"
#include "controlplane/cli/command.h"
#include "lib/base/err.h"

static const struct option options[] = {
	{ "print", no_argument, NULL, 'p' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static void
print_summary(const char *path, const struct config_gateway *config)
{
	const struct config_tailnet *tailnet = &config->tailnet;
	size_t n_prefixes = 0;

	if (config->is_tailnet) {
		printf("%s: %s; a member of %s\n", path,
			config->is_embedded ? "no file is there, which is good" : "good",
			tailnet->login_server[0] != '\0' ? tailnet->login_server : "a tailnet");
		return;
	}
	for (size_t i = 0; i < config->n_peers; i++)
		n_prefixes += config->peers[i].n_allowed_ips;
	printf("%s: good; %zu peer%s, %zu prefix%s\n", path, config->n_peers,
		config->n_peers == 1 ? "" : "s", n_prefixes, n_prefixes == 1 ? "" : "es");
}

static int
check(const char *path, bool with_print)
{
	struct config_gateway *config;
	char *errors = NULL;
	int err;

	err = config_load(path, &config, &errors);
	if (errors != NULL)
		fputs(errors, stderr);
	else if (err < 0)
		fprintf(stderr, "%s:1:1: the file cannot be checked; %s; try again\n", path,
			err_str(err));
	free(errors);
	if (err < 0)
		return COMMAND_FAILED;
	if (with_print)
		err = config_print(stdout, config);
	else
		print_summary(path, config);
	config_free(config);
	return err < 0 ? COMMAND_FAILED : COMMAND_OK;
}

int
cmd_check(int argc, char **argv)
{
	bool with_print = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			with_print = true;
			break;
		case 'r':
			break;
		case 'h':
			return command_help(argv[0]);
		default:
			return command_usage_error(argv[0], NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage_error(argv[0], "it takes the name of one file");
	return check(argv[optind], with_print);
}
