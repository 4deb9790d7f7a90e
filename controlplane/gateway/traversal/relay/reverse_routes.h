/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Through which connection a node was last heard: a way back to it that is open already.  A table
 * of one place per slot, so that strangers cannot fill it: who shares a slot with another displaces
 * it, which costs the other no more than a connection with its home region.
 *
 * Source: ../shared/protocol/peer.md 4.5.  Owner: embedded in relays.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_REVERSE_ROUTES_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_REVERSE_ROUTES_H

#include <stdint.h>

#include "lib/crypto/key.h"

#define REVERSE_ROUTES_MAX 1024

struct reverse_route {
	struct public_key node;
	uint64_t opening; /* number of the connection, 0: none */
	uint16_t region;
};

struct reverse_routes { /* zeros: none */
	struct reverse_route slots[REVERSE_ROUTES_MAX];
};

void reverse_routes_heard(struct reverse_routes *routes,
	const struct public_key *node,
	uint16_t region,
	uint64_t opening);
/* It is not to be reached through that connection any more. */
void reverse_routes_forget(struct reverse_routes *routes,
	const struct public_key *node,
	uint64_t opening);
/* Borrowed until the next call, or NULL.  Whether the connection still stands the caller knows. */
const struct reverse_route *reverse_routes_find(const struct reverse_routes *routes,
	const struct public_key *node);

#endif
