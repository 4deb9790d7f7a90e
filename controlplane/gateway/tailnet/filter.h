/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter of the map, compiled for the workers; and what its rules allow a peer besides
 * packets.
 *
 * Source: ../shared/protocol/peer.md 9.6 and 9.8.
 * Thread: coord.  Pure: nothing is kept.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_FILTER_H
#define CONTROLPLANE_GATEWAY_TAILNET_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/publish/acl_block.h"
#include "controlplane/gateway/tailnet/prefs.h"
#include "lib/net/addr.h"
#include "lib/tailnet/netmap.h"

struct json_t; /* jansson's */

/*
 * Compile the filter.  peer_api: own addresses with its ports, which every peer may reach.
 * generation: another number each time, not 0.
 * ret_block: one reference, for acl_block_unref(); untouched on failure.
 *
 * Returns 0; on every error nothing is to be let in:
 *   -ENODATA  no filter has arrived yet, or there is no map;
 *   -EPERM    rules would open packets to peers that tailnet lock does not cover: the server, or
 *             who speaks for it, is not to be trusted with a filter;
 *   -E2BIG, -ENOMEM.
 */
[[nodiscard]] int tailnet_filter(const struct netmap *map,
	const struct tailnet_prefs *prefs,
	const struct endpoint *peer_api,
	size_t n_peer_api,
	uint64_t generation,
	struct acl_block **ret_block);

/*
 * What the rules let a peer do with us, as {"capability":[values]}; the union over its addresses.
 * NULL: out of memory.
 */
struct json_t *tailnet_capabilities(const struct netmap *map, const struct node *peer);

#endif
