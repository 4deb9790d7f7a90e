/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Link-layer addresses of next hops, as the host says them one by one, for the data plane: kept, so
 * that they can be said again.
 *
 * What the data plane has and the host does not (we are new, it is not) stays in force while the
 * host is asked to look after it, and is said to be NONE if nothing comes of that.
 *
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_NEIGHBOURS_H
#define CONTROLPLANE_GATEWAY_PUBLISH_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/publish/dataplane.h"

struct neighbours_row;

struct neighbours {
	struct dataplane *dp; /* borrowed */
	struct neighbours_row *rows;
	uint32_t *buckets; /* row + 1; 0: empty */
	uint32_t n, room;  /* rows in use from 0 on; NEIGHBOURS_MAX at most */
	uint32_t n_due;    /* rows that are to be said */
	uint32_t cursor;
	uint64_t n_lost; /* for which there was no room */
};

#define NEIGHBOURS_MAX 8192u /* HOST_MAX_NEIGHBOURS */

void neighbours_init(struct neighbours *n, struct dataplane *dp);
void neighbours_fini(struct neighbours *n);

/* What the host says; with state NONE it is said and then forgotten. */
void neighbours_set(struct neighbours *n, const struct network_neighbour *neighbour);

/* A data plane was joined, or has a new forwarder: everything is said again. */
void neighbours_start_over(struct neighbours *n);
/* Say as much as there is room for. */
void neighbours_pump(struct neighbours *n);
bool neighbours_is_talking(const struct neighbours *n);

/*
 * Rows of the data plane that the host has not spoken of, at most `max`: copies with their key.
 * Returns how many.
 */
size_t neighbours_unknown(const struct neighbours *n, struct network_neighbour *ret, size_t max);

#endif
