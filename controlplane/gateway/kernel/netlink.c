/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_LEN    (64 * 1024) /* the kernel's dumps come in pieces of up to 32 KiB */
#define PATIENCE_S    5           /* the kernel answers at once, or something is badly wrong */
#define DUMP_ATTEMPTS 8

static int
set_options(int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	// Wished for, not needed: short refusals, and dumps of one table instead of all.
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

static int
bind_any(int fd, uint32_t *ret_port_id)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(own);

	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return -errno;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	*ret_port_id = own.nl_pid;
	return 0;
}

int
netlink_open(struct netlink *nl)
{
	int err;

	memset(nl, 0, sizeof(*nl));
	nl->answer = malloc(ANSWER_LEN);
	if (nl->answer == NULL)
		return -ENOMEM;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl->fd < 0) {
		err = -errno;
		goto free_answer;
	}
	err = set_options(nl->fd);
	if (err == 0)
		err = bind_any(nl->fd, &nl->port_id);
	if (err < 0)
		goto close_fd;
	return 0;

close_fd:
	close(nl->fd);
free_answer:
	free(nl->answer);
	nl->answer = NULL;
	nl->fd = -1;
	return err;
}

void
netlink_close(struct netlink *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	free(nl->answer);
	nl->answer = NULL;
	nl->fd = -1;
}

int
netlink_receive(int fd, uint8_t *buf, size_t len)
{
	struct sockaddr_nl from = {};
	struct iovec piece = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &piece,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, 0);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	if (n < 0)
		return -errno;
	return (msg.msg_flags & MSG_TRUNC) != 0 ? -EMSGSIZE : (int)n;
}

static int
send_bytes(struct netlink *nl, const void *bytes, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	do {
		n = sendto(nl->fd, bytes, len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int
wait_answer(struct netlink *nl)
{
	int n = netlink_receive(nl->fd, nl->answer, ANSWER_LEN);

	return n == -EAGAIN ? -ETIMEDOUT : n;
}

// The code in an acknowledgement, or at the end of a dump: 0 or negative.
static int
code_of(const struct nlmsghdr *h)
{
	int32_t code;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(code))
		return -EBADMSG;
	memcpy(&code, mnl_nlmsg_get_payload(h), sizeof(code));
	return code > 0 ? -EBADMSG : code;
}

struct dump {
	netlink_row row;
	void *context;
	uint32_t seq;
	bool single;  // one row and an acknowledgement, instead of rows and an end
	bool changed; // meanwhile
	bool ended;
};

static int
take_dumped(struct dump *d, const struct nlmsghdr *h)
{
	if (h->nlmsg_seq != d->seq)
		return 0; // of a request that was given up
	if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		d->changed = true;
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
		d->ended = true;
		return code_of(h);
	}
	return h->nlmsg_type < NLMSG_MIN_TYPE ? 0 : d->row(h, d->context);
}

static int
dump_once(struct netlink *nl, struct nlmsghdr *request, struct dump *d)
{
	int n, err;

	d->seq = request->nlmsg_seq = ++nl->seq;
	request->nlmsg_flags = NLM_F_REQUEST | (d->single ? NLM_F_ACK : NLM_F_DUMP);
	err = d->row(NULL, d->context);
	if (err == 0)
		err = send_bytes(nl, request, request->nlmsg_len);
	while (err == 0 && !d->ended) {
		n = wait_answer(nl);
		if (n < 0)
			return n;
		for (const struct nlmsghdr *h = (const void *)nl->answer;
			err == 0 && mnl_nlmsg_ok(h, n); h = mnl_nlmsg_next(h, &n))
			err = take_dumped(d, h);
	}
	return err;
}

static int
dump(struct netlink *nl, struct nlmsghdr *request, netlink_row row, void *context, bool single)
{
	for (int i = 0; i < DUMP_ATTEMPTS; i++) {
		struct dump d = { .row = row, .context = context, .single = single };
		int err = dump_once(nl, request, &d);

		if (err < 0 || !d.changed)
			return err;
	}
	return -EINTR;
}

int
netlink_dump(struct netlink *nl, struct nlmsghdr *request, netlink_row row, void *context)
{
	return dump(nl, request, row, context, false);
}

int
netlink_get(struct netlink *nl, struct nlmsghdr *request, netlink_row row, void *context)
{
	return dump(nl, request, row, context, true);
}

// Refusals may come for any of the batch, the one acknowledgement for its last.
static int
wait_acknowledged(struct netlink_batch *b, uint32_t first_seq)
{
	const uint32_t last = (uint32_t)b->n - 1;

	for (;;) {
		int n = wait_answer(b->nl);

		if (n < 0)
			return n;
		for (const struct nlmsghdr *h = (const void *)b->nl->answer; mnl_nlmsg_ok(h, n);
			h = mnl_nlmsg_next(h, &n)) {
			uint32_t index = h->nlmsg_seq - first_seq;
			int err;

			if (h->nlmsg_type != NLMSG_ERROR || index > last)
				continue;
			err = code_of(h);
			if (err < 0 && b->refused != NULL)
				b->refused(
					(const void *)(b->bytes + b->at[index]), err, b->context);
			if (index == last)
				return 0;
		}
	}
}

int
netlink_batch_send(struct netlink_batch *b)
{
	uint32_t first_seq = b->nl->seq + 1;
	int err;

	if (b->n == 0)
		return 0;
	for (size_t i = 0; i < b->n; i++)
		((struct nlmsghdr *)(b->bytes + b->at[i]))->nlmsg_seq = ++b->nl->seq;
	((struct nlmsghdr *)(b->bytes + b->at[b->n - 1]))->nlmsg_flags |= NLM_F_ACK;

	err = send_bytes(b->nl, b->bytes, b->len);
	if (err == 0)
		err = wait_acknowledged(b, first_seq);
	b->n = 0;
	b->len = 0;
	return err;
}

int
netlink_batch_add(struct netlink_batch *b, const struct nlmsghdr *request)
{
	size_t len = NLMSG_ALIGN(request->nlmsg_len);

	if (len > NETLINK_MESSAGE_LEN)
		return -EMSGSIZE;
	memcpy(b->bytes + b->len, request, request->nlmsg_len);
	b->at[b->n++] = b->len;
	b->len += len;
	return b->n < NETLINK_BATCH ? 0 : netlink_batch_send(b);
}

static void
store_refusal(const struct nlmsghdr *, int err, void *context)
{
	*(int *)context = err;
}

int
netlink_change(struct netlink *nl, struct nlmsghdr *request)
{
	struct netlink_batch *b;
	int refusal = 0, err;

	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->nl = nl;
	b->refused = store_refusal;
	b->context = &refusal;
	err = netlink_batch_add(b, request);
	if (err == 0)
		err = netlink_batch_send(b);
	free(b);
	return err < 0 ? err : refusal;
}
