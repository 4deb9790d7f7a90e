/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Receiving on the kernel port: batches of datagrams, merged by the kernel where it can, into
 * frames.
 *
 * What has been read stays here until workers and pool have room for it, so nothing is dropped
 * and nothing overtakes.
 */
#ifndef DATAPLANE_IO_SOCKET_RX_H
#define DATAPLANE_IO_SOCKET_RX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dataplane/io/lanes.h"

#define SOCKET_RX_MESSAGES 32
#define SOCKET_FAMILIES    2 /* IPv4, IPv6 */

/* A message that is being split. */
struct socket_rx_message {
	const uint8_t *data;
	uint32_t len;
	uint32_t done_len;
	uint32_t piece_len; /* bytes of each datagram but the last */
	uint32_t flow_hash;
	uint32_t outer_tag;
	uint8_t ecn;
	struct lane *lane;
	struct pkt_outer outer;
};

struct socket_rx {
	int fd[SOCKET_FAMILIES]; /* borrowed; -1: none */
	uint8_t *buffers;
	unsigned n;    /* messages read */
	unsigned at;   /* of them done */
	bool is_open;  /* `message` is what has not been done of number `at` */
	bool is_bulky; /* messages are long at the moment */
	struct socket_rx_message message;
	uint32_t overflows_seen[SOCKET_FAMILIES];
	unsigned family; /* index of the socket they came from */
	struct mmsghdr msgs[SOCKET_RX_MESSAGES];
	struct iovec iov[SOCKET_RX_MESSAGES];
	struct sockaddr_in6 from[SOCKET_RX_MESSAGES];
	_Alignas(struct cmsghdr) uint8_t control[SOCKET_RX_MESSAGES][160];
};

/* rx: zeroed.  Returns 0 or -errno of mmap(). */
[[nodiscard]] int socket_rx_init(struct socket_rx *rx, int fd_v4, int fd_v6);
void socket_rx_fini(struct socket_rx *rx);

/* Read a bounded number of batches and give what is in them to the lanes. */
enum io_state socket_rx_run(struct socket_rx *rx, struct lanes *lanes);

#endif
