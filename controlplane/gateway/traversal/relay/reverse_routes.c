/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/reverse_routes.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"

static_assert((REVERSE_ROUTES_MAX & (REVERSE_ROUTES_MAX - 1)) == 0, "slots are taken by masking");

static size_t
slot_of(const struct public_key *node)
{
	return load_le32(node->bytes) & (REVERSE_ROUTES_MAX - 1);
}

void
reverse_routes_heard(struct reverse_routes *routes,
	const struct public_key *node,
	uint16_t region,
	uint64_t opening)
{
	routes->slots[slot_of(node)] =
		(struct reverse_route){ .node = *node, .opening = opening, .region = region };
}

const struct reverse_route *
reverse_routes_find(const struct reverse_routes *routes, const struct public_key *node)
{
	const struct reverse_route *route = &routes->slots[slot_of(node)];

	if (route->opening == 0 || memcmp(&route->node, node, sizeof(*node)) != 0)
		return NULL;
	return route;
}

void
reverse_routes_forget(struct reverse_routes *routes,
	const struct public_key *node,
	uint64_t opening)
{
	const struct reverse_route *route = reverse_routes_find(routes, node);

	if (route != NULL && route->opening == opening)
		routes->slots[slot_of(node)].opening = 0;
}
