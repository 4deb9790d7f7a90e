/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/keeper/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lib/base/err.h"

static int
send_message(int sock, const struct link_message *msg, const int *fds, size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(LINK_MAX_FDS * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (n > LINK_MAX_FDS)
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
	return sendmsg(sock, &hdr, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
link_send(int sock, enum link_kind kind, uint32_t epoch, const int *fds, size_t n)
{
	const struct link_message msg = { .kind = kind, .epoch = epoch };

	return send_message(sock, &msg, fds, n);
}

int
link_send_port(int sock, enum link_kind kind, uint32_t row, int err, const struct xdp_fds *port)
{
	struct link_message msg = { .kind = kind, .row = row, .err = err };

	if (port == NULL)
		return send_message(sock, &msg, NULL, 0);
	msg.port = *port;
	return send_message(sock, &msg, port->socket, port->n_queues);
}

int
link_receive(int sock, struct link_message *ret_msg, int ret_fds[LINK_MAX_FDS], size_t *ret_n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(LINK_MAX_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = ret_msg, .iov_len = sizeof(*ret_msg) };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*ret_n = 0;
	if (len < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (len == 0)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&hdr); c != NULL; c = CMSG_NXTHDR(&hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret_fds, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return len == sizeof(*ret_msg) ? 0 : ERR_PROTOCOL;
}
