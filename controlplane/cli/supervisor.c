/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

#define LOG_TAG "run"

#define MOMENT_NS    (2 * NS_PER_S) /* a program that failed sooner never worked */
#define CALM_NS      (2 * NS_PER_S) /* one that lived this long begins to count anew */
#define MAX_PAUSE_MS 5000
#define END_LIMIT_NS (5 * NS_PER_S) /* from SIGTERM to SIGKILL */

int
program_find(const char *name, char path[static 512])
{
	// Installed beside us; or in a build folder, where each program has its own.
	static const char *const places[] = { "", "../../dataplane/", "../gateway/" };
	char self[256];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (len < 0)
		return -ENOENT;
	self[len] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return -ENOENT;
	slash[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, 512, "%s%s%s", self, places[i], name);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

static void
become(const struct program *p, pid_t parent)
{
	sigset_t none;

	// Whoever is left when we are killed would be a second gateway on the same port.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(p->path, p->argv);
	log_err("%s cannot be run: %s; is it installed completely?", p->path, err_str(-errno));
	_exit(127);
}

static void
start(struct program *p)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become(p, parent);
	p->started = mono_now();
	if (pid < 0) {
		log_err("%s cannot be started: %s; trying again", p->name, err_str(-errno));
		p->start_at = mono_add_ns(p->started, NS_PER_S);
		return;
	}
	p->pid = pid;
}

// After a death: when to start again.  False: it never worked, so it will not now.
static bool
plan_restart(struct program *p, int status)
{
	struct mono now = mono_now();
	int64_t lived_ns = mono_diff_ns(now, p->started);
	int64_t pause_ms;

	p->pid = -1;
	if (lived_ns > MOMENT_NS || WIFSIGNALED(status))
		p->ran = true;
	if (!p->ran)
		return false;
	if (lived_ns > CALM_NS)
		p->quick_deaths = 0;
	pause_ms = p->quick_deaths < 3 ? 0 : INT64_C(50) << (p->quick_deaths - 3);
	if (pause_ms > MAX_PAUSE_MS)
		pause_ms = MAX_PAUSE_MS;
	if (p->quick_deaths < 16)
		p->quick_deaths++;
	p->start_at = mono_add_ns(now, pause_ms * NS_PER_MS);
	return true;
}

// Gather the dead.  False: one of them ends everything.
static bool
gather(struct program *programs, unsigned n)
{
	bool go_on = true;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			struct program *p = &programs[i];

			if (p->pid != pid)
				continue;
			if (!plan_restart(p, status)) {
				log_err("%s failed to start, see above; ending", p->name);
				go_on = false;
			} else if (WIFSIGNALED(status)) {
				log_warning("%s was killed by signal %d, starting it again pid=%d",
					p->name, WTERMSIG(status), (int)pid);
			} else {
				log_warning("%s ended with status %d, starting it again pid=%d",
					p->name, WEXITSTATUS(status), (int)pid);
			}
		}
	}
	return go_on;
}

static void
end_program(struct program *p)
{
	struct mono until = mono_add_ns(mono_now(), END_LIMIT_NS);
	const struct timespec pause = { .tv_nsec = 2 * NS_PER_MS };

	if (p->pid < 0)
		return;
	kill(p->pid, SIGTERM);
	while (waitpid(p->pid, NULL, WNOHANG) == 0) {
		if (mono_diff_ns(mono_now(), until) > 0) {
			log_warning("%s does not end, killing it pid=%d", p->name, (int)p->pid);
			kill(p->pid, SIGKILL);
			waitpid(p->pid, NULL, 0);
			break;
		}
		nanosleep(&pause, NULL);
	}
	p->pid = -1;
}

static int
start_due(struct program *programs, unsigned n)
{
	int64_t next_ms = -1;

	for (unsigned i = 0; i < n; i++) {
		struct program *p = &programs[i];
		int64_t left_ms;

		if (p->pid >= 0)
			continue;
		left_ms = mono_diff_ns(p->start_at, mono_now()) / NS_PER_MS;
		if (left_ms <= 0) {
			start(p);
			left_ms = p->pid < 0 ? 1000 : -1;
		}
		if (left_ms >= 0 && (next_ms < 0 || left_ms < next_ms))
			next_ms = left_ms + 1;
	}
	return (int)next_ms;
}

static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
supervise(struct program *programs, unsigned n)
{
	struct pollfd fd = { .fd = open_signals(), .events = POLLIN };
	struct signalfd_siginfo info;
	bool stop = false, failed = false;

	if (fd.fd < 0)
		return -errno;
	for (unsigned i = 0; i < n; i++)
		programs[i].pid = -1;
	while (!stop && !failed) {
		poll(&fd, 1, start_due(programs, n));
		while (read(fd.fd, &info, sizeof(info)) == sizeof(info)) {
			stop |= info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
			if (info.ssi_signo == SIGHUP && programs[n - 1].pid > 0)
				kill(programs[n - 1].pid, SIGHUP);
		}
		failed = !gather(programs, n);
	}
	for (unsigned i = n; i-- > 0;)
		end_program(&programs[i]);
	close(fd.fd);
	return failed ? -ECHILD : 0;
}
