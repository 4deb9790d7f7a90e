/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What keeper and forwarder say to each other, over a private seqpacket socketpair.
 *
 * Thread: each end is for the main thread of its process.
 */
#ifndef DATAPLANE_KEEPER_LINK_H
#define DATAPLANE_KEEPER_LINK_H

#include <stddef.h>
#include <stdint.h>

enum link_kind {
	LINK_JOIN =
		1, /* keeper -> forwarder, with to_dp (read-only) and to_cp: a control plane came */
	LINK_JOINED, /* forwarder -> keeper: it polls the rings of this epoch */
	LINK_LEAVE,  /* keeper -> forwarder: it went; work off what it published */
	LINK_READY,  /* forwarder -> keeper, once: packets flow */
};

struct link_message {
	uint32_t kind; /* enum link_kind */
	uint32_t epoch;
};

#define LINK_MAX_FDS 2

/* As shm_channel_send() and shm_channel_receive(); the other side is of this same program. */
[[nodiscard]] int
link_send(int sock, enum link_kind kind, uint32_t epoch, const int *fds, size_t n);
[[nodiscard]] int
link_receive(int sock, struct link_message *ret_msg, int ret_fds[LINK_MAX_FDS], size_t *ret_n);

#endif
