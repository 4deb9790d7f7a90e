/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sending on the kernel port: packets that go to the same place become one message that the kernel
 * or the device cuts (UDP_SEGMENT), and many messages one system call.  Packets to one place keep
 * their order.
 */
#ifndef DATAPLANE_IO_SOCKET_TX_H
#define DATAPLANE_IO_SOCKET_TX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/io/lanes.h"
#include "lib/base/clock.h"

#define SOCKET_TX_BURST 256 /* packets sent at a time, at most */

/* What the kernel takes as one message: UDP_MAX_SEGMENTS of its oldest version, and a length that
 * fits a datagram with any headers. */
#define SOCKET_TX_SEGMENTS 64
#define SOCKET_TX_LEN      65000

/* Packets to one place, of one length but for a shorter last. */
struct socket_tx_group {
	struct pkt *first, *last; /* linked by pkt->next */
	uint32_t n;
	uint32_t len; /* bytes in all */
	uint32_t piece_len;
	const struct pkt_outer *key; /* never read after `outer` was copied from it */
	struct pkt_outer outer;
	uint8_t ecn;
};

struct socket_tx_message {
	struct sockaddr_in6 to;
	_Alignas(struct cmsghdr) uint8_t control[96];
};

/* The messages of one family. */
struct socket_tx_batch {
	int fd; /* borrowed; -1: none */
	unsigned n;
	unsigned n_iov;
	struct socket_tx_group groups[SOCKET_TX_BURST];
	struct mmsghdr msgs[SOCKET_TX_BURST];
	struct socket_tx_message parts[SOCKET_TX_BURST];
	struct iovec iov[SOCKET_TX_BURST];
};

/* A place to which the kernel would not cut for us: the path is too narrow, or the route odd. */
struct socket_tx_refusal {
	uint32_t place;     /* hash; 0: none */
	uint32_t piece_len; /* this and longer ones */
	struct mono until;
};
#define SOCKET_TX_REFUSALS 64

struct socket_tx {
	struct port_counters *counters;
	int wait_left_ms;    /* for room in the socket's buffer, in this run */
	unsigned n_refusals; /* ever made; 0: the table need not be looked at */
	struct socket_tx_refusal refusals[SOCKET_TX_REFUSALS];
	struct socket_tx_batch batch[2]; /* IPv4, IPv6 */
};

/* tx: zeroed. */
void socket_tx_init(struct socket_tx *tx, int fd_v4, int fd_v6, struct port_counters *counters);

/*
 * Send what all workers have put into their rings up to now.  Frames go back to the pool.
 * Returns the number of packets.
 */
uint32_t socket_tx_run(struct socket_tx *tx, struct lanes *lanes);

#endif
