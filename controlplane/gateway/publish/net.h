/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tells the data plane what the network around the box is like: one block, whole at each change, in
 * as many commands as there is room for.  A block that is being said is said to its end; of those
 * that come meanwhile only the newest counts.
 *
 * Source: docs/shm-abi.md, "The network"; struct shm_net of lib/shm/shm_abi.h.
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_NET_H
#define CONTROLPLANE_GATEWAY_PUBLISH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/publish/dataplane.h"

/* A struct shm_net of which only the used part is there. */
struct net_block {
	size_t len; /* SHM_NET_LEN(n_routes) */
	_Alignas(8) uint8_t bytes[];
};

/* 0 or -ENOMEM.  free() releases it.  Ports and routes beyond the limits are left out. */
[[nodiscard]] int net_block_create(const struct network *network, struct net_block **ret_block);

struct net_publisher {
	struct dataplane *dp;      /* borrowed */
	struct net_block *applied; /* the data plane has it; NULL: not known */
	struct net_block *sending; /* said, or being said; NULL: none */
	struct net_block *wanted;  /* newer than both; NULL: nothing newer */
	size_t said;               /* bytes of `sending` */
	uint64_t serial;           /* of `sending`, else the last one used */
	uint32_t n_refused;
};

void net_publisher_init(struct net_publisher *p, struct dataplane *dp);
void net_publisher_fini(struct net_publisher *p);

/* Takes ownership of what shall be told.  The same as the data plane has: nothing is said. */
void net_publisher_wish(struct net_publisher *p, struct net_block *block);

/* A data plane was joined, is gone, or has a new forwarder: everything is said again. */
void net_publisher_start_over(struct net_publisher *p);

/* Say as much as there is room for. */
void net_publisher_pump(struct net_publisher *p);
/* Whether there is more to say as soon as there is room. */
bool net_publisher_is_talking(const struct net_publisher *p);

/* SHM_EV_NET: value 0, or enum shm_refusal.  Returns whether this was news about our block. */
bool net_publisher_on_answer(struct net_publisher *p, uint64_t serial, uint32_t value);

#endif
