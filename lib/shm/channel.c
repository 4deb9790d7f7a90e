/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/shm/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/shm/region.h"

struct shm_attach
shm_attach_message(enum shm_attach_kind kind)
{
	struct shm_attach msg;

	memset(&msg, 0, sizeof(msg)); // padding too: it crosses a process boundary
	msg.kind = kind;
	msg.magic = SHM_MAGIC;
	msg.abi_version = SHM_ABI_VERSION;
	msg.session_version = SHM_SESSION_VERSION;
	msg.layout_hash = shm_layout_hash();
	return msg;
}

int
shm_channel_send(int sock, const struct shm_attach *msg, const int *fds, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(SHM_N_FDS * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n > SHM_N_FDS)
		return -EINVAL;
	if (n > 0) {
		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	if (sendmsg(sock, &hdr, MSG_NOSIGNAL) < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

// Collect the descriptors of a message; too many, or a cut control message: close them all.
static int
take_fds(struct msghdr *hdr, int fds[SHM_N_FDS], size_t *n)
{
	int err = (hdr->msg_flags & MSG_CTRUNC) != 0 ? ERR_PROTOCOL : 0;

	*n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*n < SHM_N_FDS) {
				fds[(*n)++] = fd;
			} else {
				close(fd);
				err = ERR_PROTOCOL;
			}
		}
	}
	if (err == 0)
		return 0;
	while (*n > 0)
		close(fds[--*n]);
	return err;
}

int
shm_channel_receive(int sock, struct shm_attach *ret_msg, int ret_fds[SHM_N_FDS], size_t *ret_n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE((SHM_N_FDS + 1) * sizeof(int))];
	struct shm_attach msg;
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	int fds[SHM_N_FDS];
	ssize_t len;
	size_t n;
	int err;

	len = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	err = take_fds(&hdr, fds, &n);
	if (err < 0)
		return err;
	if (len == 0)
		return -EPIPE;
	if (len != sizeof(msg) || (hdr.msg_flags & MSG_TRUNC) != 0 || msg.magic != SHM_MAGIC) {
		while (n > 0)
			close(fds[--n]);
		return ERR_PROTOCOL;
	}
	msg.text[sizeof(msg.text) - 1] = '\0';
	*ret_msg = msg;
	memcpy(ret_fds, fds, n * sizeof(int));
	*ret_n = n;
	return 0;
}
