/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a relay of the map to what a stream is opened to.
 *
 * Source: ../shared/protocol/peer.md 4.1.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_NODE_TARGET_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_NODE_TARGET_H

#include <stdbool.h>

#include "controlplane/gateway/stream/stream.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"

#define NODE_PLAIN_PORT 3340 /* of a relay without TLS (a developer's) */

struct node_target {
	struct stream_target target; /* texts borrowed from the node */
	struct endpoint literal[2];  /* target.addresses, if there are any */
};

/* False: the node does not relay (STUN only), or has no name, port or address to connect to. */
bool node_target_init(struct node_target *t, const struct derp_node *node, bool plain);

/* Whether two nodes are reached in the same way and have to prove the same. */
bool node_target_same(const struct derp_node *a, const struct derp_node *b);

#endif
