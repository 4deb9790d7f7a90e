/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages with descriptors between control plane and keeper; nothing leaks, whatever comes.
 */

#include "lib/shm/channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/shm/region.h"
#include "tests/lib/tap.h"

#define MANY_FDS 40

static int ends[2];

static unsigned
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	if (dir == NULL)
		abort();
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
open_pair(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
}

static void
close_pair(void)
{
	close(ends[0]);
	close(ends[1]);
}

// Send raw bytes with n copies of a descriptor.
static void
send_raw(const void *data, size_t len, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MANY_FDS * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		struct cmsghdr *c;
		int fd = ends[0];

		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	}
	if (sendmsg(ends[0], &hdr, 0) < 0)
		abort();
}

static void
messages_pass(void)
{
	struct shm_attach sent = shm_attach_message(SHM_ATTACH_GRANT), got;
	int fds[SHM_N_FDS], mine[SHM_N_FDS];
	unsigned before;
	size_t n;

	open_pair();
	tap_ok(sent.kind == SHM_ATTACH_GRANT && sent.magic == SHM_MAGIC &&
			sent.abi_version == SHM_ABI_VERSION &&
			sent.session_version == SHM_SESSION_VERSION &&
			sent.layout_hash == shm_layout_hash(),
		"a message says which build it comes from");
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), -EAGAIN, "nothing is there yet");
	sent.epoch = 77;
	strcpy(sent.text, "hello");
	tap_int(shm_channel_send(ends[0], &sent, NULL, 0), 0, "one without descriptors");
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), 0, "arrives");
	tap_ok(n == 0 && got.epoch == 77 && strcmp(got.text, "hello") == 0, "as it was");

	for (size_t i = 0; i < SHM_N_FDS; i++)
		mine[i] = ends[0];
	before = open_fds();
	tap_int(shm_channel_send(ends[0], &sent, mine, SHM_N_FDS), 0, "one with all descriptors");
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), 0, "arrives");
	tap_ok(n == SHM_N_FDS && open_fds() == before + SHM_N_FDS, "each is a new one");
	tap_ok((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0, "that does not cross an exec");
	while (n > 0)
		close(fds[--n]);
	tap_int(shm_channel_send(ends[0], &sent, mine, SHM_N_FDS + 1), -EINVAL,
		"no more than that");
	close_pair();
}

static const struct {
	const char *what;
	size_t len;
	bool has_magic;
	size_t n_fds;
} wrong[] = {
	{ "a byte too short", sizeof(struct shm_attach) - 1, true, 2 },
	{ "a byte too long", sizeof(struct shm_attach) + 1, true, 2 },
	{ "one byte", 1, true, 1 },
	{ "no magic", sizeof(struct shm_attach), false, 3 },
	{ "one descriptor too many", sizeof(struct shm_attach), true, SHM_N_FDS + 1 },
	{ "far too many", sizeof(struct shm_attach), true, MANY_FDS },
};

static void
wrong_messages(void)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct shm_attach msg[2] = { shm_attach_message(SHM_ATTACH_HELLO) };
		struct shm_attach got = { .kind = 99 };
		int fds[SHM_N_FDS];
		unsigned before;
		size_t n = 55;

		open_pair();
		if (!wrong[i].has_magic)
			msg[0].magic++;
		before = open_fds();
		send_raw(msg, wrong[i].len, wrong[i].n_fds);
		tap_int(shm_channel_receive(ends[1], &got, fds, &n), ERR_PROTOCOL, wrong[i].what);
		tap_ok(got.kind == 99 && n == 55, "nothing is handed out");
		tap_int(open_fds(), before, "no descriptor is left open");
		close_pair();
	}
}

static void
text_ends(void)
{
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_REFUSE), got;
	int fds[SHM_N_FDS];
	size_t n;

	open_pair();
	memset(msg.text, 'x', sizeof(msg.text));
	send_raw(&msg, sizeof(msg), 0);
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), 0, "a text without an end");
	tap_int((long long)strlen(got.text), sizeof(got.text) - 1, "gets one");
	close_pair();
}

static void
the_other_goes(void)
{
	struct shm_attach msg = shm_attach_message(SHM_ATTACH_HELLO), got;
	int fds[SHM_N_FDS];
	size_t n;

	open_pair();
	tap_int(shm_channel_send(ends[0], &msg, NULL, 0), 0, "a last message");
	close(ends[0]);
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), 0, "still arrives");
	tap_int(shm_channel_receive(ends[1], &got, fds, &n), -EPIPE, "then the end is seen");
	tap_int(shm_channel_send(ends[1], &msg, NULL, 0), -EPIPE,
		"by who sends, too, without a signal");
	close(ends[1]);
}

int
main(void)
{
	messages_pass();
	wrong_messages();
	text_ends();
	the_other_goes();
	return tap_done();
}
