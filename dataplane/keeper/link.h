/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What keeper and forwarder say to each other, over a private seqpacket socketpair.
 *
 * A port comes and goes like this; "row" is its row in shm_state.ports:
 *
 *     keeper                                  forwarder
 *     opens the sockets,     PORT_OPEN  -->
 *                           <-- PORT_OPENED   has joined the rings, or why it could not
 *     takes the program off, PORT_CLOSE -->
 *                           <-- PORT_GONE     no worker uses it, its descriptors are closed
 *     closes the sockets,    PORT_FREE  -->   takes back the frames that the sockets held
 *
 * Thread: each end is for the main thread of its process.
 */
#ifndef DATAPLANE_KEEPER_LINK_H
#define DATAPLANE_KEEPER_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/io/xdp_open.h"

enum link_kind {
	LINK_JOIN =
		1, /* keeper -> forwarder, with to_dp (read-only) and to_cp: a control plane came */
	LINK_JOINED, /* forwarder -> keeper: it polls the rings of this epoch */
	LINK_LEAVE,  /* keeper -> forwarder: it went; work off what it published */
	LINK_READY,  /* forwarder -> keeper, once: packets flow, by all ports that it inherited */
	LINK_PORT_OPEN,   /* with the port's sockets, by queue */
	LINK_PORT_OPENED, /* err: 0 or -errno; for inherited ports only failures, before READY */
	LINK_PORT_CLOSE,
	LINK_PORT_GONE,
	LINK_PORT_FREE,
};

struct link_message {
	uint32_t kind; /* enum link_kind */
	uint32_t epoch;
	uint32_t row; /* PORT_... */
	int32_t err;
	struct xdp_fds port; /* PORT_OPEN; the descriptors in it are the sender's */
};

#define LINK_MAX_FDS SHM_MAX_WORKERS

/* As shm_channel_send() and shm_channel_receive(); the other side is of this same program. */
[[nodiscard]] int
link_send(int sock, enum link_kind kind, uint32_t epoch, const int *fds, size_t n);
[[nodiscard]] int
link_receive(int sock, struct link_message *ret_msg, int ret_fds[LINK_MAX_FDS], size_t *ret_n);

/* PORT_OPEN with a port's sockets; the others have `port` NULL. */
[[nodiscard]] int
link_send_port(int sock, enum link_kind kind, uint32_t row, int err, const struct xdp_fds *port);

#endif
