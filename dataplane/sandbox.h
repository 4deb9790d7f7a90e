/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Giving up rights.  Each step is checked; a failure ends the process before a packet is read.
 */
#ifndef DATAPLANE_SANDBOX_H
#define DATAPLANE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* No core dumps, not traceable, no new privileges.  0 or -errno. */
[[nodiscard]] int sandbox_common(void);

/*
 * Drop every capability from all sets but those of `keep` (bit n: capability n) that we have.
 * 0 or -errno.
 */
[[nodiscard]] int sandbox_drop_capabilities(uint64_t keep);

/* Forwarder: only the calls that moving packets takes; anything else ends the process. */
[[nodiscard]] int sandbox_forwarder(void);

/* Keeper: sockets, memfds, fork, waiting; and what opening AF_XDP ports takes. */
[[nodiscard]] int sandbox_keeper(bool opens_ports);

#endif
