/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory that the keeper makes and what is opened before rights are given up.
 */
#ifndef DATAPLANE_KEEPER_REGIONS_H
#define DATAPLANE_KEEPER_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"
#include "dataplane/forwarder.h"

struct holdings {
	struct forwarder_setup setup; /* what every forwarder inherits */
	int state_ro_fd;              /* for the control plane, as the next two */
	int flows_ro_fd, capture_ro_fd;
	int notes_fd;
};

/*
 * Make regions and open devices as the configuration says.  On failure everything is closed, the
 * error was logged, and -errno is returned.
 */
[[nodiscard]] int holdings_open(const struct config_gateway *config, struct holdings *ret);
void holdings_close(struct holdings *h);

/* Fresh rings for one connection: descriptors that the caller closes. */
struct ring_fds {
	int to_dp,
		to_dp_ro; /* written by the control plane; its read-only form for the forwarder */
	int to_cp, to_cp_ro;
};
[[nodiscard]] int ring_fds_open(struct ring_fds *ret);
void ring_fds_close(struct ring_fds *fds);

#endif
