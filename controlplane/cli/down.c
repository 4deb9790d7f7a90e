/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice down and logout: leave the tailnet, for now or for good.  Where everything was killed,
 * `down` takes back what a gateway has left on the host.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/show.h"
#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/kernel/undo.h"
#include "lib/base/err.h"

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, const char **run_dir)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 's' }, // as `sluice run` has it
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'r')
			*run_dir = optarg;
		else if (option == 's')
			continue;
		else if (option == 'h')
			return command_help(argv[0]);
		else
			return command_usage_error(argv[0], NULL);
	}
	if (optind != argc)
		return command_usage_error(argv[0], "%s is too much", argv[optind]);
	return -1;
}

static int
say(const char *command, const char *run_dir)
{
	json_t *answer = ask_gateway(command, run_dir, command);

	if (answer == NULL)
		return COMMAND_FAILED;
	ask_print_warnings(command, answer);
	json_decref(answer);
	return COMMAND_OK;
}

// `sluice run` holds this lock for as long as it lives.  The descriptor, or -1: one lives, or none
// ever did.
static int
lock_run_dir(const char *run_dir)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/run.lock", run_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
answers(const char *run_dir)
{
	json_t *answer = NULL;
	int err = ask_quietly(run_dir, json_pack("{s:s, s:b}", "cmd", "status", "peers", 0),
		ASK_TIMEOUT_S, &answer);

	json_decref(answer);
	return err != -ENOENT && err != -ECONNREFUSED;
}

static int
undo(const char *journal)
{
	struct notes notes = {};
	int err = journal_undo(journal, &notes);

	for (size_t i = 0; i < notes.n; i++)
		fprintf(stderr, "sluice down: %s\n", notes.text[i]);
	notes_clear(&notes);
	if (err == 0)
		fprintf(stderr, "Sluice was not running; what it had left on this host is "
				"undone.\n");
	else
		fprintf(stderr,
			"sluice down: what Sluice has left on this host could not be undone: %s; "
			"see %s, and run this again as root\n",
			err_str(err), journal);
	return err == 0 ? COMMAND_OK : COMMAND_FAILED;
}

// Nobody runs, and a journal says that somebody did.  -1: that is not so.
static int
undo_what_is_left(const char *run_dir)
{
	char journal[512];
	int exit_status = -1, lock;

	snprintf(journal, sizeof(journal), "%s/" JOURNAL_FILE_NAME, run_dir);
	if (access(journal, F_OK) < 0 || answers(run_dir))
		return -1;
	lock = lock_run_dir(run_dir);
	if (lock < 0)
		return -1;
	exit_status = undo(journal);
	close(lock);
	return exit_status;
}

int
cmd_down(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	json_t *status;
	bool stopped;
	int exit_status = parse(argc, argv, &run_dir);

	if (exit_status >= 0)
		return exit_status;
	exit_status = undo_what_is_left(run_dir);
	if (exit_status >= 0)
		return exit_status;
	status = ask_tailnet("down", run_dir, false);
	if (status == NULL)
		return COMMAND_FAILED;
	stopped =
		strcmp(show_text(json_object_get(status, "tailnet"), "state", ""), "Stopped") == 0;
	json_decref(status);
	if (stopped) {
		fprintf(stderr, "Sluice was already stopped.\n");
		return COMMAND_OK;
	}
	return say("down", run_dir);
}

int
cmd_logout(int argc, char **argv)
{
	const char *run_dir = COMMAND_DEFAULT_RUN_DIR;
	int exit_status = parse(argc, argv, &run_dir);

	return exit_status >= 0 ? exit_status : say("logout", run_dir);
}
