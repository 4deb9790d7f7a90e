/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-dataplane: every packet, and nothing else.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/gateway.h"
#include "dataplane/keeper/keeper.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define LOG_TAG "main"

static const char usage[] =
	"Usage: sluice-dataplane [--config FILE] [--run-dir DIR] [--state-dir DIR] [--check]\n"
	"\n"
	"Moves the packets of a Sluice gateway.  Usually started by `sluice run`.\n"
	"\n"
	"  --config FILE    the gateway's configuration (see sluice.yaml(5)) [" CONFIG_DEFAULT_PATH
	"]\n"
	"  --run-dir DIR    sockets and locks [/run/sluice]\n"
	"  --state-dir DIR  accepted for symmetry; the data plane keeps no files\n"
	"  --check          check the configuration and exit\n"
	"  --version        print the version and exit\n"
	"  --help           print this and exit\n";

struct options {
	const char *config;
	const char *run_dir;
	bool check;
};

// The exit status if the program is to end here, else -1.
static int
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			o->config = optarg;
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 's':
			break;
		case 'k':
			o->check = true;
			break;
		case 'v':
			puts("sluice-dataplane " SLUICE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	return -1;
}

// Keys stay where they are: the data plane never sees the gateway's private key.
static struct config_gateway *
load_config(const char *path)
{
	struct config_gateway *config = NULL;
	char *errors = NULL;
	int err = config_load_without_keys(path, &config, &errors);

	if (err < 0)
		fprintf(stderr, "%s",
			errors != NULL ? errors : "configuration cannot be read; check --config\n");
	free(errors);
	if (err < 0)
		return NULL;
	config_free_peers(config); // the control plane says who they are
	return config;
}

int
main(int argc, char **argv)
{
	struct options o = { .config = CONFIG_DEFAULT_PATH, .run_dir = "/run/sluice" };
	struct config_gateway *config;
	int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	log_init("sluice-dataplane", LOG_LEVEL_NOTICE);
	config = load_config(o.config);
	if (config == NULL)
		return 1;
	status = 0;
	if (!o.check) {
		if (mkdir(o.run_dir, 0755) < 0 && errno != EEXIST) {
			log_err("run-dir %s cannot be made: %s; create it, or give another "
				"--run-dir",
				o.run_dir, err_str(-errno));
			status = 1;
		} else {
			status = keeper_main(config, o.run_dir);
		}
	}
	config_free(config);
	return status;
}
