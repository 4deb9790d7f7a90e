/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asking the kernel over rtnetlink: dumps, single requests and large batches, each waited for.
 *
 * Source: Documentation/userspace-api/netlink/intro.rst of Linux; libmnl reads the bytes.
 * Owner:  embedded; netlink_open() and netlink_close().
 * Thread: one at a time.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NETLINK_H
#define CONTROLPLANE_GATEWAY_KERNEL_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_MESSAGE_LEN 512 /* bytes; none of our requests is longer */
#define NETLINK_BATCH       128 /* requests; a refusal of each fits into the default socket buffer */

struct netlink {
	int fd;
	uint32_t port_id; /* what the kernel's notifications about our changes carry */
	uint32_t seq;
	uint8_t *answer; /* buffer of netlink.c */
};

/* 0, -ENOMEM, or -errno of the socket. */
[[nodiscard]] int netlink_open(struct netlink *nl);
void netlink_close(struct netlink *nl); /* one that was never opened has fd -1 */

/*
 * Receive from a netlink socket what the kernel has sent; messages of others are dropped.
 * Bytes, -EAGAIN (none there), -ENOBUFS (some were lost), -EMSGSIZE, -errno.
 */
[[nodiscard]] int netlink_receive(int fd, uint8_t *buf, size_t len);

/*
 * One row of a dump.  Called with NULL before the first, and again when the kernel says that what
 * it dumped has changed meanwhile and all begins anew: forget everything.  A negative value ends
 * the dump with that error.
 */
typedef int (*netlink_row)(const struct nlmsghdr *row, void *context);

/* 0, what `row` returned, -errno of the kernel, -ETIMEDOUT. */
[[nodiscard]] int
netlink_dump(struct netlink *nl, struct nlmsghdr *request, netlink_row row, void *context);

/* A request with one row as its answer, which `row` gets.  As netlink_dump(). */
[[nodiscard]] int
netlink_get(struct netlink *nl, struct nlmsghdr *request, netlink_row row, void *context);

/* Request a change and wait until it is done.  0, -errno of the kernel, -ETIMEDOUT. */
[[nodiscard]] int netlink_change(struct netlink *nl, struct nlmsghdr *request);

/* Many changes that do not depend on one another's success, NETLINK_BATCH per system call. */
struct netlink_batch {
	struct netlink *nl;
	size_t n;                 /* requests in `bytes` */
	size_t len;               /* bytes */
	size_t at[NETLINK_BATCH]; /* where each begins */
	/* What becomes of a request that the kernel refused.  May be NULL. */
	void (*refused)(const struct nlmsghdr *request, int err, void *context);
	void *context;
	uint8_t bytes[NETLINK_BATCH * NETLINK_MESSAGE_LEN] __attribute__((aligned(8)));
};

/* Add a copy; a full batch is sent.  Errors are those of talking to the kernel, not refusals. */
[[nodiscard]] int netlink_batch_add(struct netlink_batch *batch, const struct nlmsghdr *request);
[[nodiscard]] int netlink_batch_send(struct netlink_batch *batch);

#endif
