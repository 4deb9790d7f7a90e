/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The network around the box: blocks that come in parts, neighbours that come one by one, and ports
 * that come and go; and the table that workers see, built anew whenever a block or the ports
 * change.
 *
 * Source: docs/shm-abi.md, "The network around the box".
 * Owner:  the forwarder, which fills in the first part and then calls network_init().
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_NETWORK_H
#define DATAPLANE_CTL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ctl/steering.h"
#include "dataplane/quiescent.h"
#include "lib/shm/shm_abi.h"

struct net_table;
struct port;

/* A port that carries frames and is open. */
struct network_port {
	struct port *io; /* io->index: its row of state.ports */
	uint32_t ifindex;
};

struct network {
	struct shm_state *state;
	struct quiescent *quiescent;
	_Atomic(const struct net_table *) *published;
	uint16_t listen_port; /* of the wire, host order */
	uint64_t seed[2];     /* random */
	/* Workers that sleep must look at new ports.  NULL: they never sleep. */
	void (*wake)(void *context);
	/* NAT's range and whether there is one, of a block about to be published.  May be NULL. */
	void (*nat_changed)(void *context, const struct shm_net *net);
	void *context;

	struct steering *steering; /* NULL: not yet, or no steer program */
	struct network_port ports[SHM_MAX_PORTS];
	unsigned n_ports;
	uint32_t table_serial; /* of the last table published */

	bool neighbours_full; /* no use in making room again */
	uint64_t part_serial; /* of the block that is coming in; 0: none */
	uint32_t part_total;
	uint32_t part_len; /* bytes of it so far */
	bool part_wrong;   /* refused already: what follows of it is passed over */
};

/*
 * Publish what the predecessor applied, or an empty table.  0, -ENOMEM; a damaged block is left
 * out.
 */
[[nodiscard]] int network_init(struct network *n);
void network_fini(struct network *n);

/* Say what is applied to the steer program's maps, and every change from now on. */
void network_start_steering(struct network *n, struct steering *steering);

/*
 * One SHM_CMD_NET.  True: *ret_event is its answer, to be sent.  False: more parts follow, or the
 * block was refused already.
 */
bool network_part(struct network *n, const struct shm_cmd_net *part, struct shm_event *ret_event);

/* One SHM_CMD_NEIGHBOUR; what is not valid, or for which there is no row, is passed over. */
void network_neighbour(struct network *n, const struct shm_cmd_neighbour *cmd);

/*
 * These are the open ports from now on.  When it returns 0 no worker looks at one that is not among
 * them, so that may be destroyed.  -ENOMEM: nothing has changed.
 */
[[nodiscard]] int
network_set_ports(struct network *n, const struct network_port *ports, unsigned n_ports);

/* The block that counts; NULL: none yet. */
const struct shm_net *network_applied(const struct network *n);

#endif
