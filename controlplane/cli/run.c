/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice run: both halves of a gateway in the foreground, for labs and containers.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/gateway.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/supervisor.h"
#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/kernel/undo.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define LOG_TAG "run"

#define DEFAULT_STATE_DIR "/var/lib/sluice"
#define LOCK_FILE_NAME    "run.lock"

struct run_options {
	const char *config;
	const char *run_dir;
	const char *state_dir;
};

static int
parse(int argc, char **argv, struct run_options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			o->config = optarg;
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 's':
			o->state_dir = optarg;
			break;
		case 'h':
			return command_help("run");
		default:
			return command_usage_error("run", NULL);
		}
	}
	if (optind != argc)
		return command_usage_error("run", "%s is too much", argv[optind]);
	return -1;
}

// Say what is wrong with the file before anything is started.  The interface's name is needed.
static int
check_config(const char *path, char interface[static CONFIG_INTERFACE_LEN])
{
	struct config_gateway *config = NULL;
	char *errors = NULL;
	int err = config_load(path, &config, &errors);

	if (errors != NULL)
		fputs(errors, stderr);
	free(errors);
	if (err < 0)
		return err;
	memcpy(interface, config->interface, CONFIG_INTERFACE_LEN);
	config_free(config);
	return 0;
}

static int
make_dir(const char *path, mode_t mode, const char *option)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	fprintf(stderr, "sluice run: %s cannot be made: %s; make its parent, or give another %s\n",
		path, err_str(-errno), option);
	return -errno;
}

// One `sluice run` per run directory.  The descriptor stays open for as long as we live.
static int
lock(const char *run_dir)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE_NAME, run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		fprintf(stderr, "sluice run: %s cannot be opened: %s; check the directory\n", path,
			err_str(-errno));
		return -EIO;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		fprintf(stderr,
			"sluice run: another one runs with run-dir %s; two would share its "
			"sockets; "
			"stop that one, or give another --run-dir\n",
			run_dir);
		close(fd);
		return -EBUSY;
	}
	return fd;
}

static void
say_notes(const struct notes *notes, bool failed)
{
	for (size_t i = 0; i < notes->n; i++)
		log_line(
			failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, LOG_TAG, "%s", notes->text[i]);
}

// Take back what this or an earlier run has changed on the host.
static int
undo(const char *journal)
{
	struct notes notes = {};
	int err;

	err = journal_undo(journal, &notes);
	say_notes(&notes, err < 0);
	if (err < 0)
		log_err("changes to this host could not be undone: %s; see %s, and run again",
			err_str(err), journal);
	notes_clear(&notes);
	return err;
}

// The keeper makes a persistent interface: written down before it exists.
static int
note_interface(const char *path, const char *interface)
{
	struct journal *journal;
	int err = journal_open(path, &journal);

	if (err < 0) {
		log_err("%s cannot be written: %s; remove it if it is damaged", path, err_str(err));
		return err;
	}
	err = journal_append_tun(journal, interface);
	journal_close(journal);
	return err;
}

static int
run_programs(const struct run_options *o)
{
	char *dataplane_argv[] = { "sluice-dataplane", "--config", (char *)o->config, "--run-dir",
		(char *)o->run_dir, "--state-dir", (char *)o->state_dir, NULL };
	char *controlplane_argv[] = { "sluice-controlplane", "--config", (char *)o->config,
		"--run-dir", (char *)o->run_dir, "--state-dir", (char *)o->state_dir, NULL };
	struct program programs[] = {
		{ .name = "sluice-dataplane", .argv = dataplane_argv },
		{ .name = "sluice-controlplane", .argv = controlplane_argv },
	};

	for (unsigned i = 0; i < 2; i++)
		if (program_find(programs[i].name, programs[i].path) < 0) {
			log_err("%s is not beside this program; install Sluice completely",
				programs[i].name);
			return -ENOENT;
		}
	return supervise(programs, 2);
}

int
cmd_run(int argc, char **argv)
{
	struct run_options o = { .config = CONFIG_DEFAULT_PATH,
		.run_dir = COMMAND_DEFAULT_RUN_DIR,
		.state_dir = DEFAULT_STATE_DIR };
	char interface[CONFIG_INTERFACE_LEN];
	char journal[512];
	int status, lock_fd, err;

	status = parse(argc, argv, &o);
	if (status >= 0)
		return status;
	log_init("sluice", LOG_LEVEL_NOTICE);
	if (check_config(o.config, interface) < 0 || make_dir(o.run_dir, 0755, "--run-dir") < 0 ||
		make_dir(o.state_dir, 0700, "--state-dir") < 0)
		return COMMAND_FAILED;
	lock_fd = lock(o.run_dir);
	if (lock_fd < 0)
		return COMMAND_FAILED;

	snprintf(journal, sizeof(journal), "%s/" JOURNAL_FILE_NAME, o.run_dir);
	if (undo(journal) < 0 || note_interface(journal, interface) < 0) {
		close(lock_fd);
		return COMMAND_FAILED;
	}
	err = run_programs(&o);
	if (undo(journal) < 0 && err == 0)
		err = -EIO;
	close(lock_fd);
	return err < 0 ? COMMAND_FAILED : COMMAND_OK;
}
