/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The forwarder: the process that moves packets.  It inherits memory, TUN and sockets from the
 * keeper, gives up every privilege before its first packet, and runs workers, I/O threads and a
 * main thread that serves the rings.
 */
#ifndef DATAPLANE_FORWARDER_H
#define DATAPLANE_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/io/io_host.h"
#include "dataplane/io/io_socket.h"
#include "dataplane/io/xdp_open.h"
#include "ebpf/steer_maps.h"
#include "lib/shm/shm_abi.h"

struct forwarder_setup {
	int state_fd, sessions_fd, packets_fd, flows_fd, capture_fd;
	size_t packets_len; /* bytes */
	bool packets_huge;  /* they lie in huge pages */
	int ledger_fd;      /* a struct frame_ledger, or -1: there are no ports that carry frames */
	size_t ledger_len;
	struct xdp_fds ports[SHM_MAX_PORTS]; /* by row of state.ports; n_queues 0: not open */
	struct steer_maps steer;             /* -1: no steer program */
	uint32_t frame_len;
	struct io_socket_fds wire;
	struct io_host_fd host;
	int link; /* socketpair to the keeper */
	int bell_dp, bell_cp;
	int to_dp_fd, to_cp_fd; /* of the control plane that is connected, or -1 */
	uint32_t epoch;
	unsigned n_workers;
	int cores[SHM_MAX_WORKERS]; /* -1: adaptive */
	uint64_t tsc_per_s;         /* of forwarder_prepare() */
};

/*
 * In the keeper, before the first forwarder: what takes long and is the same for all of them.  The
 * ciphers are checked and timed, the TSC is measured.  0, or -errno (logged).
 */
[[nodiscard]] int forwarder_prepare(struct forwarder_setup *setup);

/*
 * Run until SIGTERM or until the keeper is gone.  Called in the child after fork(); returns the
 * exit status.
 */
int forwarder_main(const struct forwarder_setup *setup);

#endif
