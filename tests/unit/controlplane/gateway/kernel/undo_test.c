/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A child makes all the changes of a gateway's start and is killed at every step: before and after
 * each write, each wait for the disk, each request to the kernel.  Whatever it had done, undoing
 * the journal gives the host back as it was.
 *
 * write(), fdatasync() and sendto() below stand in for the C library's and count.
 */

#include "controlplane/gateway/kernel/undo.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/host.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/kernel/private_net.h"

#define MARK      0x53c0000
#define MAX_STEPS 400

static int steps_left = -1; // until death; negative: immortal

static void
step(void)
{
	if (steps_left == 0)
		kill(getpid(), SIGKILL);
	if (steps_left > 0)
		steps_left--;
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	ssize_t n;

	step();
	n = syscall(SYS_write, fd, buf, len);
	step();
	return n;
}

int
fdatasync(int fd)
{
	step();
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t
sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	ssize_t n;

	step();
	n = syscall(SYS_sendto, fd, buf, len, flags, to, to_len);
	step();
	return n;
}

static char dir[] = "/tmp/sluice-undo-test-XXXXXX";
static char path[128];

static struct prefix
prefix_of(const char *text)
{
	struct prefix p = {};

	if (prefix_parse(text, &p) < 0)
		abort();
	return p;
}

// As `sluice run`, the keeper and the control plane do it.  0, or 1 if something was refused.
static int
start_gateway(void)
{
	struct prefix addresses[] = { prefix_of("10.99.0.1/24"), prefix_of("fd99::1/64") };
	struct prefix prefixes[] = { prefix_of("0.0.0.0/0"), prefix_of("::/0"),
		prefix_of("10.7.0.0/16") };
	struct host_desired desired = {
		.addresses = addresses,
		.n_addresses = 2,
		.mtu = 1420,
		.prefixes = prefixes,
		.n_prefixes = 3,
		.forward_v4 = true,
		.forward_v6 = true,
	};
	struct host_options options = { .mark = MARK };
	struct host *h;

	if (journal_open(path, &options.journal) < 0 ||
		journal_append_tun(options.journal, HOST_DEFAULT_INTERFACE) < 0)
		return 1;
	step();
	if (make_tun(HOST_DEFAULT_INTERFACE) < 0)
		return 1;
	step();
	if (host_open(&options, &h) < 0 || host_apply(h, &desired) < 0)
		return 1;
	return 0;
}

// ret_died: at this step; else the work was finished before it came.
static bool
start_and_die(int at_step, bool *ret_died)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		steps_left = at_step;
		_exit(start_gateway());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	*ret_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	return *ret_died || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool
undo_here(void)
{
	struct notes notes = {};
	int err = journal_undo(path, &notes);

	for (size_t i = 0; err < 0 && i < notes.n; i++)
		printf("# %s\n", notes.text[i]);
	notes_clear(&notes);
	return err == 0 && access(path, F_OK) < 0;
}

static bool
is_as(const char *before)
{
	char *now = net_snapshot();
	bool same = strcmp(now, before) == 0;

	if (!same)
		printf("# now:\n%s\n# before:\n%s\n", now, before);
	free(now);
	return same;
}

static void
test_death_at_every_step(const char *before)
{
	bool started = true, undone = true, died = true;
	int at_step = 0;

	for (; died && undone && started && at_step < MAX_STEPS; at_step++) {
		started = start_and_die(at_step, &died);
		undone = started && undo_here() && is_as(before);
		if (!undone)
			printf("# at step %d\n", at_step);
	}
	printf("# %d steps\n", at_step - 1);
	tap_ok(started && !died && at_step > 50, "killed at each step, until there is none left");
	tap_ok(undone, "each time the journal gives the host back as it was");
}

// The undoing itself may be killed as well, and begins again.
static void
test_death_while_undoing(const char *before)
{
	bool undone = true, died = true;
	int at_step = 0, status = 0;

	for (; died && undone && at_step < MAX_STEPS; at_step++) {
		pid_t pid;

		if (!start_and_die(-1, &died))
			abort();
		pid = fork();
		if (pid == 0) {
			steps_left = at_step;
			_exit(journal_undo(path, NULL) < 0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			abort();
		died = WIFSIGNALED(status);
		undone = undo_here() && is_as(before);
	}
	printf("# %d steps\n", at_step - 1);
	tap_ok(!died && at_step > 20, "undoing is killed at each step");
	tap_ok(undone, "and done again, with the same outcome");
}

// A control plane that was killed is started again, several times, and each writes into the
// journal.
static void
test_many_lives(const char *before)
{
	bool died, ok = true;

	for (int at_step = 0; at_step < 140; at_step += 7)
		ok = ok && start_and_die(at_step, &died);
	ok = ok && start_and_die(-1, &died);
	tap_ok(ok, "twenty lives, each further than the one before");
	tap_ok(undo_here() && is_as(before), "one undoing is enough");
}

static void
test_others_changes(void)
{
	bool died;

	if (!start_and_die(-1, &died))
		abort();
	sh("echo 0 > /proc/sys/net/ipv6/conf/all/forwarding");
	sh("echo 0 > /proc/sys/net/ipv6/conf/lan0/accept_ra");
	sh("ip route add 10.1.2.0/24 dev lan0 table 52100");
	sh("ip rule add from 10.1.2.3 lookup 52100 pref 5200");
	tap_ok(undo_here(), "undo");
	tap_ok(shows("cat /proc/sys/net/ipv6/conf/lan0/accept_ra", "0"),
		"a sysctl that somebody has set since is his");
	tap_ok(shows("ip route show table 52100", "10.1.2.0/24"), "so is his route in our table");
	tap_ok(shows("ip rule", "from 10.1.2.3 lookup 52100"), "and his rule at our priority");
	sh("ip route del 10.1.2.0/24 table 52100; ip rule del from 10.1.2.3 lookup 52100");
	sh("echo 1 > /proc/sys/net/ipv6/conf/lan0/accept_ra");
}

static void
set_file(const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
	chmod(path, 0600);
}

static void
test_other_journals(const char *before)
{
	struct journal_place here;
	struct notes notes = {};
	char text[512];

	if (journal_place_here(&here) < 0)
		abort();
	set_file("sluice-journal 1 boot of-yesterday netns 1\ntun far0\n"
		 "sysctl net/ipv4/conf/all/forwarding 1 0\n");
	tap_int(journal_undo(path, &notes), 0, "a journal of another boot");
	tap_ok(is_as(before) && access(path, F_OK) < 0 && notes.n == 1,
		"is discarded, with a note");
	notes_clear(&notes);

	snprintf(text, sizeof(text), "sluice-journal 1 boot %s netns %lu\ntun lan0\n", here.boot,
		(unsigned long)here.netns + 1);
	set_file(text);
	tap_int(journal_undo(path, &notes), 0, "a journal of another namespace");
	tap_ok(is_as(before) && access(path, F_OK) < 0 && notes.n == 1,
		"is discarded, with a note");
	notes_clear(&notes);

	snprintf(text, sizeof(text),
		"sluice-journal 1 boot %s netns %lu\ntun lan0\ngarbage here\ntun nobody0\n"
		"address lan0 10.9.9.9/24\naddress nobody0 10.9.9.9/24\ntable 4242\n"
		"rule inet 4242 priority 1 mark 0x1\nrule inet6 4242 priority 1 mark 0x1\n"
		"before net/ipv4/conf/nobody0/forwarding 1\n"
		"sysctl net/ipv6/conf/nobody0/accept_ra 1 2\nsysctl net/ipv4/conf/all/forwarding 5 "
		"5\n"
		"tun sluice",
		here.boot, (unsigned long)here.netns);
	set_file(text);
	tap_int(journal_undo(path, &notes), 0, "a journal of things that never were");
	tap_ok(is_as(before), "changes nothing, not even a lan0 that is no TUN");
	tap_ok(notes.n == 1 && strstr(notes.text[0], "garbage here") != NULL, "garbage is named");
	notes_clear(&notes);

	set_file("no journal\n");
	tap_int(journal_undo(path, &notes), ERR_BAD_FORMAT, "a file that is no journal is refused");
	tap_ok(access(path, F_OK) == 0 && notes.n == 1, "and stays");
	notes_clear(&notes);
	set_file("sluice-journal 99\n");
	tap_int(journal_undo(path, &notes), ERR_VERSION, "so is one of another version");
	notes_clear(&notes);
	set_file("");
	tap_int(journal_undo(path, &notes), 0, "an empty one is nothing");
	tap_ok(access(path, F_OK) < 0, "and goes");
}

static void
make_lan(void)
{
	sh("ip link set lo up");
	sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
	sh("echo 0 > /proc/sys/net/ipv4/conf/all/accept_redirects");
	sh("ip link add lan0 type veth peer name far0 && ip link set far0 up");
	sh("ip addr add 192.0.2.1/24 dev lan0 && ip addr add 2001:db8:1::1/64 dev lan0 nodad");
	sh("ip link set lan0 up");
	sh("ip route add default via 192.0.2.254 && ip -6 route add default via 2001:db8:1::fe "
	   "proto ra");
	sh("echo 1 > /proc/sys/net/ipv4/conf/lan0/forwarding");
}

int
main(void)
{
	const char *missing = private_net_enter();
	char *before;

	if (missing != NULL || mkdtemp(dir) == NULL) {
		tap_skip("undoing in a namespace", missing);
		return tap_done();
	}
	snprintf(path, sizeof(path), "%s/journal", dir);
	make_lan();
	sh("sleep 0.5"); // link-local addresses settle
	before = net_snapshot();
	test_death_at_every_step(before);
	test_death_while_undoing(before);
	test_many_lives(before);
	test_others_changes();
	tap_ok(is_as(before), "back");
	test_other_journals(before);
	free(before);
	unlink(path);
	rmdir(dir);
	return tap_done();
}
