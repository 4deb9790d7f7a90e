/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The seqpacket socket between control plane and keeper: fixed-size messages with descriptors.
 * The connection is the lease: its end is how either side sees the other's death.
 *
 * Source: docs/shm-abi.md, "Attach".
 */
#ifndef LIB_SHM_CHANNEL_H
#define LIB_SHM_CHANNEL_H

#include <stddef.h>

#include "lib/shm/shm_abi.h"

/* "RUN_DIR/" + this is where the keeper listens. */
#define SHM_SOCKET_NAME "dataplane.sock"

/*
 * Send one message with n descriptors (n <= SHM_N_FDS, borrowed).
 * Returns 0, -EPIPE when the other side is gone, or -errno.
 */
[[nodiscard]] int
shm_channel_send(int sock, const struct shm_attach *msg, const int *fds, size_t n);

/*
 * Receive one message.  ret_fds takes up to SHM_N_FDS descriptors, which the caller owns from then
 * on (close-on-exec); *ret_n is set to their number.
 * Returns 0; -EPIPE at the end of the connection; -EAGAIN when nothing is there; ERR_PROTOCOL for a
 * message of another size, without the magic, or with more descriptors than allowed (all closed);
 * or -errno.
 */
[[nodiscard]] int
shm_channel_receive(int sock, struct shm_attach *ret_msg, int ret_fds[SHM_N_FDS], size_t *ret_n);

/* A message of this kind with magic, versions and layout hash of this build filled in. */
struct shm_attach shm_attach_message(enum shm_attach_kind kind);

#endif
