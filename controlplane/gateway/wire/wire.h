/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread `wire`: rings, UDP control sockets, handshakes, timers.  It waits for nothing but its
 * epoll, parses no text, and is never asked anything that takes it more than a few milliseconds.
 *
 * Owner:  main() creates it before the thread and destroys it after.
 */
#ifndef CONTROLPLANE_GATEWAY_WIRE_WIRE_H
#define CONTROLPLANE_GATEWAY_WIRE_WIRE_H

#include "controlplane/gateway/mailbox.h"

struct wire;

/*
 * inbox, outbox: letters to and from coord; borrowed.
 * Returns 0, -ENAMETOOLONG (run_dir), -ENOMEM, -errno.
 */
[[nodiscard]] int wire_create(const char *run_dir,
	struct mailbox *inbox,
	struct mailbox *outbox,
	struct wire **ret_wire);
void wire_destroy(struct wire *wire);

/* The thread: returns after LETTER_STOP. */
void *wire_run(void *wire);

#endif
