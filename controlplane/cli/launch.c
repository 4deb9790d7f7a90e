/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config/gateway.h"
#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/conflict.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define PATIENCE_NS (20 * NS_PER_S) // for the first answer
#define TAIL_BYTES  4096            // of a log that says why it failed
#define UNIT        "sluice.service"

static const char *const unit_folders[] = {
	"/etc/systemd/system",
	"/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system",
	"/lib/systemd/system",
};

// Systemd's gateways are in its own network namespace, which need not be ours.
static bool
is_with_systemd(const struct launch_options *o)
{
	char path[PATH_MAX];
	struct stat ours, its;

	if (o->config != NULL || o->state_dir != NULL ||
		strcmp(o->run_dir, COMMAND_DEFAULT_RUN_DIR) != 0)
		return false;
	if (access("/run/systemd/system", F_OK) < 0 || stat("/proc/self/ns/net", &ours) < 0 ||
		stat("/proc/1/ns/net", &its) < 0 || ours.st_ino != its.st_ino)
		return false;
	for (unsigned i = 0; i < sizeof(unit_folders) / sizeof(unit_folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/" UNIT, unit_folders[i]);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static bool
start_unit(const char *command)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("systemctl", "systemctl", "start", UNIT, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fprintf(stderr,
			"sluice %s: the gateway does not start; systemctl start " UNIT
			" failed; see "
			"journalctl -u " UNIT "\n",
			command);
		return false;
	}
	return true;
}

// What stands in the file is known before anything is started.
static bool
check_config(const struct launch_options *o)
{
	const char *path = o->config != NULL ? o->config : CONFIG_DEFAULT_PATH;
	struct config_gateway *config = NULL;
	char *errors = NULL;
	bool good = config_load(path, &config, &errors) == 0;

	if (!good && errors != NULL)
		fputs(errors, stderr);
	free(errors);
	if (!good)
		return false;
	if (!config->is_tailnet) {
		fprintf(stderr,
			"sluice %s: %s is not for a tailnet; it has its peers in a wireguard: "
			"section; start it with `sluice run`, or replace that section by "
			"tailnet:\n",
			o->command, path);
		good = false;
	}
	if (good)
		good = !conflict_about_port(o->command, config->listen_port, "tailnet.port");
	config_free(config);
	return good;
}

static int
open_log(const struct launch_options *o, struct launch *l)
{
	int fd;

	if (mkdir(o->run_dir, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr,
			"sluice %s: %s cannot be made: %s; make its parent, or give another "
			"--run-dir\n",
			o->command, o->run_dir, err_str(-errno));
		return -1;
	}
	snprintf(l->log, sizeof(l->log), "%s/" LAUNCH_LOG, o->run_dir);
	fd = open(l->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0) {
		fprintf(stderr, "sluice %s: %s cannot be opened: %s; check the directory\n",
			o->command, l->log, err_str(-errno));
		return -1;
	}
	l->log_from = lseek(fd, 0, SEEK_END);
	return fd;
}

// In the child: a session of its own, no terminal, nothing open but the log.
static void
become_gateway(const struct launch_options *o, const char *config, int log)
{
	char *argv[] = { "sluice", "run", "--run-dir", (char *)o->run_dir, NULL, NULL, NULL, NULL,
		NULL };
	int n = 4, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char self[PATH_MAX];

	if (config != NULL) {
		argv[n++] = "--config";
		argv[n++] = (char *)config;
	}
	if (o->state_dir != NULL) {
		argv[n++] = "--state-dir";
		argv[n++] = (char *)o->state_dir;
	}
	n = (int)readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0'; // its name is what others know it by
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close_range(3, ~0U, 0);
	execv(self, argv);
	_exit(127);
}

static bool
start_in_background(const struct launch_options *o, struct launch *l)
{
	int log = open_log(o, l);

	if (log < 0)
		return false;
	l->pid = fork();
	if (l->pid == 0)
		become_gateway(o, o->config, log);
	close(log);
	if (l->pid > 0)
		return true;
	l->pid = 0;
	fprintf(stderr, "sluice %s: no process can be made: %s; end others, or try again\n",
		o->command, err_str(-errno));
	return false;
}

static void
print_tail(const struct launch *l)
{
	char text[TAIL_BYTES + 1];
	int fd = open(l->log, O_RDONLY | O_CLOEXEC);
	off_t end, from;
	ssize_t n;

	if (fd < 0)
		return;
	end = lseek(fd, 0, SEEK_END);
	from = end - l->log_from > TAIL_BYTES ? end - TAIL_BYTES : l->log_from;
	n = pread(fd, text, TAIL_BYTES, from);
	close(fd);
	if (n > 0)
		fprintf(stderr, "%.*s", (int)n, text);
}

bool
launch_has_failed(struct launch *l, const char *command)
{
	if (l->pid == 0 || waitpid(l->pid, NULL, WNOHANG) != l->pid)
		return false;
	l->pid = 0;
	print_tail(l);
	fprintf(stderr,
		"sluice %s: the gateway ended again; its last words are above; put right what they "
		"say (all of them are in %s)\n",
		command, l->log);
	return true;
}

// One half may answer while the other is about to fail: both must have found each other.
static bool
is_complete(const char *run_dir)
{
	json_t *answer = NULL;
	bool attached;

	if (ask_quietly(run_dir, json_pack("{s:s, s:b}", "cmd", "status", "peers", 0), 5, &answer) <
		0)
		return false;
	attached = json_is_true(json_object_get(answer, "attached"));
	json_decref(answer);
	return attached;
}

static bool
wait_for_answer(const struct launch_options *o, struct launch *l)
{
	struct mono until = mono_add_ns(mono_now(), PATIENCE_NS);
	const struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };

	for (;;) {
		if (is_complete(o->run_dir))
			return true;
		if (launch_has_failed(l, o->command))
			return false;
		if (mono_diff_ns(mono_now(), until) > 0)
			break;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr,
		"sluice %s: the gateway was started, but does not answer; it may be slow, or fail "
		"again and again; see %s\n",
		o->command, l->log[0] != '\0' ? l->log : "journalctl -u " UNIT);
	return false;
}

bool
launch_gateway(const struct launch_options *options, struct launch *ret_launch)
{
	struct launch_options o = *options;
	struct launch l = {};
	char config[PATH_MAX];
	bool started;

	if (geteuid() != 0) {
		fprintf(stderr,
			"sluice %s: no gateway runs; starting one needs root, for its interface "
			"and "
			"routes; use sudo\n",
			o.command);
		return false;
	}
	// The gateway may look at other places than we do; a name that is not there says so below.
	if (o.config != NULL && realpath(o.config, config) != NULL)
		o.config = config;
	if ((!o.accept_tailscaled && conflict_with_tailscaled(o.command)) || !check_config(&o))
		return false;
	fprintf(stderr, "sluice %s: starting the gateway\n", o.command);
	started = is_with_systemd(&o) ? start_unit(o.command) : start_in_background(&o, &l);
	if (!started || !wait_for_answer(&o, &l))
		return false;
	*ret_launch = l;
	return true;
}
