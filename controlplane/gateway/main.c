/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice-controlplane: everything of a gateway that is not done per packet.  Start-up is a list,
 * read from top to bottom; the end is its reverse.
 */

#define LOG_TAG "main"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/gateway.h"
#include "controlplane/gateway/coord.h"
#include "controlplane/gateway/mailbox.h"
#include "controlplane/gateway/sandbox.h"
#include "controlplane/gateway/wire/wire.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/key.h"

#define DEFAULT_CONFIG    "/etc/sluice/sluice.yaml"
#define DEFAULT_RUN_DIR   "/run/sluice"
#define DEFAULT_STATE_DIR "/var/lib/sluice"

static const char usage[] =
	"usage: sluice-controlplane [--config FILE] [--run-dir DIR] [--state-dir DIR]\n"
	"       sluice-controlplane --check | --version | --help\n"
	"\n"
	"The control process of a Sluice gateway: handshakes, addresses, routes, the local API.\n"
	"Usually started by `sluice run`.\n"
	"\n"
	"  --config FILE    configuration (" DEFAULT_CONFIG ")\n"
	"  --run-dir DIR    sockets and the journal (" DEFAULT_RUN_DIR ")\n"
	"  --state-dir DIR  what must outlive a reboot (" DEFAULT_STATE_DIR ")\n"
	"  --check          check the configuration and exit\n"
	"  --version        print the version and exit\n"
	"  --help           print this and exit\n"
	"\n"
	"SIGHUP reads the configuration again.  SIGTERM ends it; packets go on, and what was "
	"changed on\nthe host stays: `sluice run` undoes it when the gateway ends.\n"
	"SLUICE_LOG=err|warning|notice|info|debug chooses how much is logged.\n";

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "state-dir", required_argument, NULL, 's' },
	{ "check", no_argument, NULL, 'C' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{},
};

// -1: go on; else the exit status.
static int
read_arguments(int argc, char **argv, struct coord_options *options, bool *check)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "c:r:s:h", long_options, NULL)) != -1) {
		switch (letter) {
		case 'c':
			options->config_path = optarg;
			break;
		case 'r':
			options->run_dir = optarg;
			break;
		case 's':
			options->state_dir = optarg;
			break;
		case 'C':
			*check = true;
			break;
		case 'V':
			puts("sluice-controlplane " SLUICE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "sluice-controlplane: %s: there are no arguments besides options\n",
		argv[optind]);
	return 2;
}

static int
load_config(const char *path, struct config_gateway **ret_config)
{
	char *text = NULL;
	int err = config_load(path, ret_config, &text);

	if (text != NULL)
		fprintf(stderr, "%s%s", text,
			text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "" : "\n");
	else if (err < 0)
		fprintf(stderr, "%s: cannot be read: %s\n", path, err_str(err));
	free(text);
	return err;
}

static int
make_folder(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	log_err("%s cannot be made: %s; make it, or give another with an option", path,
		err_str(-errno));
	return -errno;
}

static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(
		SIG_BLOCK, &set, NULL); // threads inherit it; coord reads them from a descriptor
}

static int
drop_privileges(void)
{
	int err = sandbox_drop_privileges();

	if (err < 0)
		log_err("privileges cannot be given up: %s", err_str(err));
	return err;
}

static int
filter_calls(void)
{
	int err = sandbox_filter_calls();

	if (err < 0)
		log_err("the system call filter cannot be set: %s", err_str(err));
	return err;
}

// Both threads run until a signal; the wire thread has ended when coord_run() returns.
static int
run_threads(struct coord *coord, struct wire *wire)
{
	pthread_t thread;
	int err = resolve_create(coord->inbox, &coord->resolve);

	if (err == 0)
		err = -pthread_create(&thread, NULL, wire_run, wire);
	if (err < 0) {
		log_err("a thread cannot be started: %s", err_str(err));
		return err;
	}
	(void)pthread_setname_np(thread, "wire");
	coord_run(coord);
	pthread_join(thread, NULL);
	return 0;
}

static int
run(const struct coord_options *options, struct config_gateway *config)
{
	struct mailbox to_wire, to_coord;
	struct wire *wire = NULL;
	struct coord coord;
	int err;

	if (mailbox_init(&to_wire) < 0 || mailbox_init(&to_coord) < 0) {
		log_err("no descriptors are left");
		config_free(config);
		return -EMFILE;
	}
	err = drop_privileges();
	if (err == 0)
		err = coord_init(&coord, options, config, &to_wire, &to_coord);
	if (err < 0) {
		config_free(config);
		goto fini_boxes;
	}
	err = wire_create(options->run_dir, &to_wire, &to_coord, &wire);
	if (err < 0) {
		log_err("the data plane's socket cannot be used in %s: %s", options->run_dir,
			err_str(err));
		goto fini_coord;
	}
	err = filter_calls();
	if (err == 0) {
		log_notice("started version=%s config=%s", SLUICE_VERSION, options->config_path);
		err = run_threads(&coord, wire);
	}
	wire_destroy(wire);
fini_coord:
	coord_fini(&coord);
fini_boxes:
	mailbox_fini(&to_wire);
	mailbox_fini(&to_coord);
	return err;
}

int
main(int argc, char **argv)
{
	struct coord_options options = { .config_path = DEFAULT_CONFIG,
		.run_dir = DEFAULT_RUN_DIR,
		.state_dir = DEFAULT_STATE_DIR };
	struct config_gateway *config = NULL;
	bool check = false;
	int status = read_arguments(argc, argv, &options, &check);

	if (status >= 0)
		return status;
	log_init("sluice-controlplane", LOG_LEVEL_NOTICE);
	block_signals();
	umask(0077);
	if (crypto_init() < 0) {
		log_err("the crypto library is broken");
		return 1;
	}
	if (load_config(options.config_path, &config) < 0)
		return 1;
	if (check) {
		config_free(config);
		return 0;
	}
	if (make_folder(options.run_dir, 0755) < 0 || make_folder(options.state_dir, 0700) < 0) {
		config_free(config);
		return 1;
	}
	return run(&options, config) < 0 ? 1 : 0;
}
