/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/keeper/link.h"
#include "dataplane/keeper/ports.h"
#include "dataplane/keeper/regions.h"
#include "dataplane/sandbox.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/shm/channel.h"

#define LOG_TAG "keeper"

#define LOCK_NAME      "dataplane.lock"
#define CALM_NS        (NS_PER_S / 4) /* a forwarder that lived this long counts as a fresh start */
#define MAX_PAUSE_MS   2000
#define HELLO_LIMIT_NS (5 * NS_PER_S) /* whoever connects says hello within */

struct keeper {
	struct holdings holdings;
	struct ports ports;
	int lock_fd;
	int listen_fd;
	int signal_fd;
	uint64_t boot_ns;
	uint32_t epoch;

	pid_t forwarder;
	int link;   /* our end */
	bool ready; /* the forwarder said so */
	struct mono started;
	unsigned quick_deaths;
	struct mono restart_at; /* while no forwarder runs */

	int client; /* the control plane, or somebody who has not said hello; -1 */
	bool granted;
	struct mono client_since;
	struct ring_fds rings; /* of the client that was granted */
};

// --- forwarder ----------------------------------------------------------------------------------

static void
run_forwarder(struct keeper *k, int link)
{
	struct forwarder_setup setup = k->holdings.setup;

	// With the keeper goes the forwarder: two of them would own one port.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	close(k->link);
	close(k->listen_fd);
	close(k->signal_fd);
	close(k->lock_fd);
	// What the control plane may do and the forwarder may not stays behind.
	close(k->holdings.notes_fd);
	close(k->holdings.state_ro_fd);
	close(k->holdings.flows_ro_fd);
	close(k->holdings.capture_ro_fd);
	close(setup.wire.control_v4);
	if (setup.wire.control_v6 >= 0)
		close(setup.wire.control_v6);
	setup.wire.control_v4 = setup.wire.control_v6 = -1;
	if (k->client >= 0)
		close(k->client);
	if (k->granted) {
		close(k->rings.to_dp);
		close(k->rings.to_cp_ro);
	}
	ports_leave(&k->ports, &setup);
	setup.link = link;
	setup.epoch = k->epoch;
	setup.to_dp_fd = k->granted ? k->rings.to_dp_ro : -1;
	setup.to_cp_fd = k->granted ? k->rings.to_cp : -1;
	_exit(forwarder_main(&setup));
}

static int
start_forwarder(struct keeper *k)
{
	int pair[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	k->link = pair[0];
	k->started = mono_now();
	k->ready = false;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(pair[0]);
		close(pair[1]);
		k->link = -1;
		return err;
	}
	if (pid == 0)
		run_forwarder(k, pair[1]);
	close(pair[1]);
	k->forwarder = pid;
	return 0;
}

static void
schedule_restart(struct keeper *k)
{
	struct mono now = mono_now();
	int64_t pause_ms;

	if (mono_diff_ns(now, k->started) > CALM_NS)
		k->quick_deaths = 0;
	// At once the first times, then with growing pauses.
	pause_ms = k->quick_deaths < 3 ? 0 : INT64_C(5) << (k->quick_deaths - 3);
	if (pause_ms > MAX_PAUSE_MS)
		pause_ms = MAX_PAUSE_MS;
	if (k->quick_deaths < 16)
		k->quick_deaths++;
	k->restart_at = mono_add_ns(now, pause_ms * NS_PER_MS);
	log_warning("forwarder ended, starting another one pid=%d pause_ms=%lld", (int)k->forwarder,
		(long long)pause_ms);
}

static void
answer_about_port(void *context, const struct shm_attach *answer)
{
	const struct keeper *k = context;

	// One that does not read its answers asks again.
	if (k->granted && shm_channel_send(k->client, answer, NULL, 0) < 0)
		log_debug("the control plane does not hear about a port");
}

static void
forwarder_ended(struct keeper *k, int status)
{
	if (WIFSIGNALED(status))
		log_warning("forwarder killed by signal %d pid=%d", WTERMSIG(status),
			(int)k->forwarder);
	else
		log_warning("forwarder ended with status %d pid=%d", WEXITSTATUS(status),
			(int)k->forwarder);
	close(k->link);
	k->link = -1;
	schedule_restart(k);
	k->forwarder = -1;
	ports_forwarder_gone(&k->ports, &k->holdings.setup, answer_about_port, k);
}

static void
restart_if_due(struct keeper *k)
{
	int err;

	if (k->forwarder > 0 || mono_diff_ns(mono_now(), k->restart_at) < 0)
		return;
	err = start_forwarder(k);
	if (err < 0) {
		log_err("forwarder cannot be started: %s; trying again", err_str(err));
		k->restart_at = mono_add_ns(mono_now(), NS_PER_S);
	}
}

// --- control plane ------------------------------------------------------------------------------

static void
close_client(struct keeper *k)
{
	if (k->client < 0)
		return;
	close(k->client);
	k->client = -1;
	if (!k->granted)
		return;
	k->granted = false;
	ports_forget_asked(&k->ports);
	ring_fds_close(&k->rings);
	if (k->link >= 0 && link_send(k->link, LINK_LEAVE, k->epoch, NULL, 0) < 0)
		log_debug("forwarder does not hear that the control plane went");
	log_notice("control plane disconnected, packets go on with what was applied");
}

static void
refuse(int sock, const char *text)
{
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_REFUSE);

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	log_warning("control plane refused: %s", text);
	if (shm_channel_send(sock, &msg, NULL, 0) < 0)
		log_debug("the refused one is gone already");
}

static void
accept_client(struct keeper *k)
{
	struct ucred cred = {};
	socklen_t len = sizeof(cred);
	int sock = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock < 0)
		return;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
		(cred.uid != 0 && cred.uid != geteuid())) {
		refuse(sock, "another user may not attach; run the control plane as the same user");
		close(sock);
		return;
	}
	if (k->client >= 0) {
		refuse(sock, "another control plane is connected; stop it, or wait for its end");
		close(sock);
		return;
	}
	k->client = sock;
	k->granted = false;
	k->client_since = mono_now();
}

static int
grant(struct keeper *k)
{
	const struct forwarder_setup *s = &k->holdings.setup;
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_GRANT);
	int fds[SHM_N_FDS] = { [SHM_FD_TO_DP] = k->rings.to_dp,
		[SHM_FD_TO_CP] = k->rings.to_cp_ro,
		[SHM_FD_STATE] = k->holdings.state_ro_fd,
		[SHM_FD_NOTES] = k->holdings.notes_fd,
		[SHM_FD_BELL_DP] = s->bell_dp,
		[SHM_FD_BELL_CP] = s->bell_cp,
		[SHM_FD_FLOWS] = k->holdings.flows_ro_fd,
		[SHM_FD_CAPTURE] = k->holdings.capture_ro_fd,
		[SHM_FD_WIRE4] = s->wire.control_v4,
		[SHM_FD_WIRE6] = s->wire.control_v6 };
	size_t n = s->wire.control_v6 >= 0 ? SHM_N_FDS : SHM_N_FDS - 1;

	msg.boot_of_keeper_ns = k->boot_ns;
	msg.epoch = k->epoch;
	msg.listen_port = s->wire.port;
	msg.has_wire6 = s->wire.control_v6 >= 0;
	return shm_channel_send(k->client, &msg, fds, n);
}

// HELLO was right: fresh rings, and the forwarder joins them before the control plane hears.
static void
begin_attach(struct keeper *k)
{
	int fds[2], err = ring_fds_open(&k->rings);

	if (err < 0) {
		refuse(k->client, "rings cannot be made: out of memory or descriptors; free some");
		close_client(k);
		return;
	}
	k->epoch++;
	k->granted = true;
	fds[0] = k->rings.to_dp_ro;
	fds[1] = k->rings.to_cp;
	// No forwarder at this moment: the next one inherits the rings and says READY.
	if (k->link >= 0 && link_send(k->link, LINK_JOIN, k->epoch, fds, 2) < 0)
		log_debug("forwarder is ending, the next one joins");
}

// It was told so, too.
static bool
has_grant(const struct keeper *k)
{
	return k->granted && k->client_since.ns == 0;
}

static void
serve_request(struct keeper *k, const struct shm_attach *msg)
{
	struct shm_attach answer;

	if (ports_asked(&k->ports, &k->holdings.setup, msg, k->link, &answer))
		answer_about_port(k, &answer);
}

static void
serve_client(struct keeper *k)
{
	struct shm_attach msg;
	int fds[SHM_N_FDS];
	size_t n;
	int err = shm_channel_receive(k->client, &msg, fds, &n);

	if (err == -EAGAIN)
		return;
	while (err == 0 && n > 0)
		close(fds[--n]);
	if (err == 0 && has_grant(k) &&
		(msg.kind == SHM_ATTACH_OPEN_PORT || msg.kind == SHM_ATTACH_CLOSE_PORT)) {
		serve_request(k, &msg);
		return;
	}
	if (err < 0 || k->granted || msg.kind != SHM_ATTACH_HELLO) {
		close_client(k);
		return;
	}
	if (msg.abi_version != SHM_ABI_VERSION ||
		msg.layout_hash != shm_attach_message(SHM_ATTACH_HELLO).layout_hash) {
		refuse(k->client,
			msg.abi_version < SHM_ABI_VERSION
				? "the control plane is older than the data plane; restart it from "
				  "the installed version"
				: "the data plane is older or built otherwise; restart "
				  "sluice-dataplane "
				  "from the installed version");
		close_client(k);
		return;
	}
	begin_attach(k);
}

static void
serve_link(struct keeper *k)
{
	struct link_message msg;
	int fds[LINK_MAX_FDS];
	size_t n;

	while (k->link >= 0 && link_receive(k->link, &msg, fds, &n) == 0) {
		while (n > 0)
			close(fds[--n]);
		if (msg.kind == LINK_READY) {
			k->ready = true;
			log_notice("forwarder runs pid=%d", (int)k->forwarder);
		}
		ports_heard(&k->ports, &k->holdings.setup, &msg, k->link, answer_about_port, k);
		// The grant waits for the forwarder that has joined this epoch's rings.
		if (k->granted && msg.epoch == k->epoch && k->client_since.ns != 0 &&
			(msg.kind == LINK_JOINED || msg.kind == LINK_READY)) {
			k->client_since.ns = 0;
			if (grant(k) < 0)
				close_client(k);
			else
				log_notice("control plane connected epoch=%u", k->epoch);
		}
	}
}

static void
drop_silent_client(struct keeper *k)
{
	if (k->client >= 0 && !k->granted &&
		mono_diff_ns(mono_now(), k->client_since) > HELLO_LIMIT_NS)
		close_client(k);
}

// --- start and loop -----------------------------------------------------------------------------

static int
lock_run_dir(struct keeper *k, const char *run_dir)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" LOCK_NAME, run_dir);
	k->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (k->lock_fd < 0) {
		log_err("%s cannot be opened: %s; create the directory, or give another --run-dir",
			path, err_str(-errno));
		return -EIO;
	}
	if (flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		log_err("another sluice-dataplane runs with run-dir %s; stop it, or give another "
			"--run-dir",
			run_dir);
		return -EBUSY;
	}
	return 0;
}

static int
listen_for_control(struct keeper *k, const char *run_dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/" SHM_SOCKET_NAME, run_dir);

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path)) {
		log_err("run-dir %s is too long for a socket; give one of less than 80 characters",
			run_dir);
		return -ENAMETOOLONG;
	}
	unlink(sun.sun_path); // the lock is ours: whoever made it is gone
	k->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->listen_fd < 0 ||
		bind(k->listen_fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ||
		listen(k->listen_fd, 4) < 0) {
		log_err("%s cannot listen: %s; check the directory", sun.sun_path, err_str(-errno));
		return -errno;
	}
	return 0;
}

static int
catch_signals(struct keeper *k)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signal_fd < 0 ? -errno : 0;
}

// True: it is time to end.
static bool
serve_signals(struct keeper *k)
{
	struct signalfd_siginfo info;
	bool stop = false;
	int status;
	pid_t pid;

	while (read(k->signal_fd, &info, sizeof(info)) == sizeof(info))
		stop |= info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->forwarder)
			forwarder_ended(k, status);
	return stop;
}

static int
next_timeout_ms(const struct keeper *k)
{
	int64_t left_ns;

	if (k->forwarder > 0)
		return k->client >= 0 && !k->granted ? 1000 : -1;
	left_ns = mono_diff_ns(k->restart_at, mono_now());
	return left_ns <= 0 ? 0 : (int)(left_ns / NS_PER_MS) + 1;
}

static void
serve(struct keeper *k)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = k->signal_fd, .events = POLLIN },
			{ .fd = k->link, .events = POLLIN },
			{ .fd = k->client, .events = POLLIN },
			{ .fd = k->listen_fd, .events = POLLIN },
		};

		poll(fds, 4, next_timeout_ms(k));
		if (fds[0].revents != 0 && serve_signals(k))
			return;
		if (fds[1].revents != 0)
			serve_link(k);
		if (fds[2].revents != 0)
			serve_client(k);
		if (fds[3].revents != 0)
			accept_client(k); // last: an end of the old connection was seen before
		drop_silent_client(k);
		restart_if_due(k);
	}
}

/*
 * What is kept: locking memory, because a forwarder that is started later locks the keys again (and
 * then drops that too), and opening ports, if any can be.
 */
static int
give_up_rights(const struct keeper *k)
{
	int err = sandbox_drop_capabilities(
		UINT64_C(1) << CAP_IPC_LOCK | ports_capabilities(&k->ports));

	if (err == 0)
		err = sandbox_common();
	if (err == 0)
		err = sandbox_keeper(ports_capabilities(&k->ports) != 0);
	if (err < 0)
		log_err("cannot give up privileges: %s; not started", err_str(err));
	return err;
}

static void
end(struct keeper *k)
{
	int status;

	if (k->forwarder > 0) {
		kill(k->forwarder, SIGTERM);
		while (waitpid(k->forwarder, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	close_client(k);
	ports_end(&k->ports, &k->holdings.setup);
	holdings_close(&k->holdings);
	log_notice("stopped");
}

int
keeper_main(const struct config_gateway *config, const char *run_dir)
{
	struct keeper k = {
		.listen_fd = -1,
		.signal_fd = -1,
		.link = -1,
		.client = -1,
		.forwarder = -1,
		.rings = { -1, -1, -1, -1 },
		.boot_ns = mono_now().ns,
	};

	if (lock_run_dir(&k, run_dir) < 0 || holdings_open(config, &k.holdings) < 0 ||
		forwarder_prepare(&k.holdings.setup) < 0)
		return 1;
	ports_begin(&k.ports, config, &k.holdings.setup);
	if (catch_signals(&k) < 0 || listen_for_control(&k, run_dir) < 0 || give_up_rights(&k) < 0)
		return 1;
	if (start_forwarder(&k) < 0) {
		log_err("forwarder cannot be started: %s; free memory or processes",
			err_str(-errno));
		return 1;
	}
	serve(&k);
	end(&k);
	return 0;
}
