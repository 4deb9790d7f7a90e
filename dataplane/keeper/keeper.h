/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The keeper: the process that holds what must survive - memory, TUN, sockets - and starts the
 * forwarder and starts it again.  It reads no packet and no ring.
 *
 * Source: docs/shm-abi.md, "Who makes it" and "Attach".
 * Thread: one, an epoll loop.
 */
#ifndef DATAPLANE_KEEPER_KEEPER_H
#define DATAPLANE_KEEPER_KEEPER_H

#include "config/gateway.h"

/*
 * Open everything, start the forwarder, and serve until SIGTERM or SIGINT.  run_dir must exist.
 * Returns the program's exit status; every failure has been logged with what to do.
 */
int keeper_main(const struct config_gateway *config, const char *run_dir);

#endif
