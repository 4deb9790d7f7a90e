/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "attach"

#include "controlplane/gateway/publish/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/shm/channel.h"
#include "lib/shm/region.h"

int
attach_init(struct attach *a, const char *run_dir)
{
	int n;

	*a = (struct attach){ .sock = -1,
		.pause_ns = ATTACH_MIN_PAUSE_NS,
		.wire = { -1, -1 },
		.flows = -1,
		.capture = -1 };
	n = snprintf(a->path, sizeof(a->path), "%s/%s", run_dir, SHM_SOCKET_NAME);
	return n > 0 && (size_t)n < sizeof(a->path) ? 0 : -ENAMETOOLONG;
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
close_all(struct attach *a)
{
	close_one(&a->wire[0]);
	close_one(&a->wire[1]);
	close_one(&a->flows);
	close_one(&a->capture);
	close_one(&a->sock);
}

void
attach_end(struct attach *a, struct dataplane *dp, struct mono now)
{
	close_all(a); // the UDP sockets too: a new keeper's share the port with them
	dataplane_leave(dp);
	a->retry_at = mono_add_ns(now, a->pause_ns);
	a->pause_ns = 2 * a->pause_ns < ATTACH_MAX_PAUSE_NS ? 2 * a->pause_ns : ATTACH_MAX_PAUSE_NS;
}

void
attach_fini(struct attach *a, struct dataplane *dp)
{
	close_all(a);
	dataplane_leave(dp);
}

// Say it once, not every half second.
static void
refused(struct attach *a, const char *text)
{
	if (strncmp(a->refusal, text, sizeof(a->refusal) - 1) == 0)
		return;
	snprintf(a->refusal, sizeof(a->refusal), "%s", text);
	log_warning("no data plane yet, trying again: %s", text);
}

static int
try_connect(struct attach *a)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct shm_attach hello = shm_attach_message(SHM_ATTACH_HELLO);

	memcpy(address.sun_path, a->path, sizeof(address.sun_path));
	a->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->sock < 0)
		return -errno;
	if (connect(a->sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return shm_channel_send(a->sock, &hello, NULL, 0);
}

void
attach_connect(struct attach *a, struct mono now)
{
	struct dataplane none;
	char text[256];
	int err = try_connect(a);

	if (err == 0)
		return;
	if (err != -ENOENT && err != -ECONNREFUSED && err != -EAGAIN) {
		snprintf(text, sizeof(text), "%s: %s", a->path, err_str(err));
		refused(a, text);
	}
	dataplane_init(&none);
	attach_end(a, &none, now);
}

// Who sits at the other end, from the kernel: 0 if it does not say.
static uint32_t
pid_of_keeper(int sock)
{
	struct ucred cred = {};
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid < 0)
		return 0;
	return (uint32_t)cred.pid;
}

static int
map_regions(const int fds[SHM_N_FDS], struct dataplane_grant *g)
{
	void *to_dp = NULL, *to_cp = NULL, *state = NULL, *notes = NULL;
	int err = shm_region_map(fds[SHM_FD_TO_DP], sizeof(*g->to_dp), true, &to_dp);

	if (err == 0)
		err = shm_region_map(fds[SHM_FD_TO_CP], sizeof(*g->to_cp), false, &to_cp);
	if (err == 0)
		err = shm_region_map(fds[SHM_FD_STATE], sizeof(*g->state), false, &state);
	if (err == 0)
		err = shm_region_map(fds[SHM_FD_NOTES], sizeof(*g->notes), true, &notes);
	g->to_dp = to_dp;
	g->to_cp = to_cp;
	g->state = state;
	g->notes = notes;
	return err;
}

static void
unmap_regions(struct dataplane_grant *g)
{
	if (g->to_dp != NULL)
		munmap(g->to_dp, sizeof(*g->to_dp));
	if (g->to_cp != NULL)
		munmap((void *)g->to_cp, sizeof(*g->to_cp));
	if (g->state != NULL)
		munmap((void *)g->state, sizeof(*g->state));
	if (g->notes != NULL)
		munmap(g->notes, sizeof(*g->notes));
}

static int
join(struct attach *a,
	struct dataplane *dp,
	const struct shm_attach *msg,
	int fds[SHM_N_FDS],
	size_t n)
{
	struct dataplane_grant g = { .boot_of_keeper_ns = msg->boot_of_keeper_ns,
		.epoch = msg->epoch,
		.listen_port = msg->listen_port,
		.keeper_pid = pid_of_keeper(a->sock) };
	int err;

	if (n != SHM_N_FDS - (msg->has_wire6 != 0 ? 0u : 1u) || msg->boot_of_keeper_ns == 0)
		return ERR_PROTOCOL;
	if (msg->abi_version != SHM_ABI_VERSION || msg->layout_hash != shm_layout_hash())
		return ERR_VERSION;
	g.bell_dp = fds[SHM_FD_BELL_DP];
	g.bell_cp = fds[SHM_FD_BELL_CP];
	err = map_regions(fds, &g);
	if (err == 0)
		err = dataplane_join(dp, &g);
	if (err < 0) {
		unmap_regions(&g);
		return err;
	}
	close(fds[SHM_FD_TO_DP]);
	close(fds[SHM_FD_TO_CP]);
	close(fds[SHM_FD_STATE]);
	close(fds[SHM_FD_NOTES]);
	a->flows = fds[SHM_FD_FLOWS];
	a->capture = fds[SHM_FD_CAPTURE];
	a->wire[0] = fds[SHM_FD_WIRE4];
	a->wire[1] = msg->has_wire6 != 0 ? fds[SHM_FD_WIRE6] : -1;
	return 0;
}

static enum attach_outcome
fail(struct attach *a, struct dataplane *dp, const char *text, struct mono now)
{
	refused(a, text);
	attach_end(a, dp, now);
	return ATTACH_NOTHING;
}

static enum attach_outcome
read_grant(struct attach *a,
	struct dataplane *dp,
	const struct shm_attach *msg,
	int fds[SHM_N_FDS],
	size_t n,
	struct mono now)
{
	char text[256];
	int err;

	if (msg->kind == SHM_ATTACH_GRANT) {
		err = join(a, dp, msg, fds, n);
		if (err == 0) {
			a->pause_ns = ATTACH_MIN_PAUSE_NS;
			a->refusal[0] = '\0';
			return ATTACH_JOINED;
		}
		snprintf(text, sizeof(text), "what the keeper granted cannot be used: %s",
			err_str(err));
	} else if (msg->kind == SHM_ATTACH_REFUSE) {
		snprintf(text, sizeof(text), "%s", msg->text);
	} else {
		snprintf(text, sizeof(text), "the keeper answered with a message of kind %u",
			msg->kind);
	}
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	return fail(a, dp, text, now);
}

enum attach_outcome
attach_read(struct attach *a, struct dataplane *dp, struct mono now)
{
	int fds[SHM_N_FDS];
	struct shm_attach msg;
	size_t n = 0;
	int err = shm_channel_receive(a->sock, &msg, fds, &n);

	if (err == -EAGAIN || err == -EINTR)
		return ATTACH_NOTHING;
	if (err == 0 && !dp->attached)
		return read_grant(a, dp, &msg, fds, n, now);
	if (err == 0 && n == 0 && msg.kind == SHM_ATTACH_PORT) {
		a->answer = msg;
		return ATTACH_ANSWERED;
	}
	if (dp->attached) { // the end, or something that we did not ask for
		for (size_t i = 0; err == 0 && i < n; i++)
			close(fds[i]);
		attach_end(a, dp, now);
		return ATTACH_LOST;
	}
	if (err != -EPIPE)
		refused(a, err_str(err));
	attach_end(a, dp, now);
	return ATTACH_NOTHING;
}

int
attach_send(struct attach *a, const struct shm_attach *message)
{
	return shm_channel_send(a->sock, message, NULL, 0);
}
