/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses of the map's STUN servers: as the map gives them, or looked up.
 *
 * Source: ../shared/protocol/peer.md 5.1 and 5.2; control.md 5.9.
 * Owner:  netcheck; the map is borrowed, and must live as long.
 * Thread: that of the stream set.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_STUN_NODES_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_STUN_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"

#define STUN_NODES_KEEP_NS (10 * 60 * NS_PER_S) /* then a name is looked up again */

struct stun_nodes; /* opaque */
struct stream_set;

enum stun_address {
	STUN_ADDRESS_KNOWN,
	STUN_ADDRESS_ASKED, /* the look-up is under way */
	STUN_ADDRESS_NONE,
};

/* 0 or -ENOMEM. */
[[nodiscard]] int stun_nodes_create(struct stream_set *set,
	const struct derp_map *map,
	struct stun_nodes **ret_nodes);
void stun_nodes_destroy(struct stun_nodes *nodes); /* NULL is allowed */

/* A round begins that will ask this node: look its name up if need be.  An old answer serves until
 * the new one comes, and longer if none does. */
void stun_nodes_want(struct stun_nodes *nodes, size_t region, size_t node, struct mono now);
/* Where to send; the region and the node by their index in the map. */
enum stun_address stun_nodes_address(const struct stun_nodes *nodes,
	size_t region,
	size_t node,
	enum addr_family family,
	struct endpoint *ret_endpoint);

#endif
