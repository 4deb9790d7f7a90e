/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker's own part of the address translation.
 *
 * Thread: the worker's; `nat` is shared by all.
 */
#ifndef DATAPLANE_TABLE_NAT_WORKER_H
#define DATAPLANE_TABLE_NAT_WORKER_H

#include <stdint.h>

#include "dataplane/path/pkt.h"
#include "lib/nat/nat.h"

#define NAT_HELD_MAX 32                /* packets, each way */
#define NAT_HELD_NS  (500 * NS_PER_MS) /* then the first fragment is lost, or went elsewhere */

/* Later fragments that have overtaken their first one. */
struct nat_held {
	uint32_t n;
	struct pkt *pkt[NAT_HELD_MAX]; /* rx_ns: since when */
	uint32_t net_serial;           /* of the network that their routes belong to */
};

struct nat_worker {
	struct nat *nat;
	struct nat_local local;
	struct nat_held from_tunnel, to_tunnel;
};

#endif
