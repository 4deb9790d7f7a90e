/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/stun_nodes.h"

#include <errno.h>
#include <stdlib.h>

#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/traversal/netcheck/probe_plan.h"

struct stun_node {
	struct addr by_name[2]; /* v4, v6; ADDR_NONE: not known */
	struct lookup *lookup;  /* under way */
	struct mono asked;      /* never: no look-up yet */
};

struct stun_nodes {
	struct stream_set *set;
	const struct derp_map *map;
	struct stun_node nodes[]; /* PROBE_NODES_MAX of each region */
};

static bool
is_said(const char *text)
{
	return text != NULL && text[0] != '\0';
}

int
stun_nodes_create(struct stream_set *set, const struct derp_map *map, struct stun_nodes **ret_nodes)
{
	size_t n = map->n_regions < NETCHECK_MAX_REGIONS ? map->n_regions : NETCHECK_MAX_REGIONS;
	struct stun_nodes *nodes =
		calloc(1, sizeof(*nodes) + n * PROBE_NODES_MAX * sizeof(nodes->nodes[0]));

	if (nodes == NULL)
		return -ENOMEM;
	nodes->set = set;
	nodes->map = map;
	*ret_nodes = nodes;
	return 0;
}

void
stun_nodes_destroy(struct stun_nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (size_t i = 0; i < nodes->map->n_regions && i < NETCHECK_MAX_REGIONS; i++)
		for (size_t j = 0; j < PROBE_NODES_MAX; j++) {
			struct stun_node *node = &nodes->nodes[i * PROBE_NODES_MAX + j];

			if (node->lookup != NULL)
				lookup_cancel(node->lookup);
		}
	free(nodes);
}

static void
looked_up(void *context, const struct addr *addresses, size_t n, const char *text)
{
	struct stun_node *node = context;
	struct addr found[2] = {};

	(void)text; // who has no address is not asked; the report shows it
	node->lookup = NULL;
	for (size_t i = 0; i < n; i++) {
		struct addr *place = &found[addresses[i].family == ADDR_V6];

		if (place->family == ADDR_NONE)
			*place = addresses[i];
	}
	if (n > 0) {
		node->by_name[0] = found[0];
		node->by_name[1] = found[1];
	}
}

static bool
needs_name(const struct derp_node *node)
{
	return !is_said(node->stun_test_ip) && is_said(node->host_name) &&
	       (!is_said(node->ipv4) || !is_said(node->ipv6));
}

void
stun_nodes_want(struct stun_nodes *nodes, size_t region, size_t node, struct mono now)
{
	const struct derp_node *of_map = &nodes->map->regions[region].nodes[node];
	struct stun_node *n = &nodes->nodes[region * PROBE_NODES_MAX + node];
	bool is_known = n->by_name[0].family != ADDR_NONE || n->by_name[1].family != ADDR_NONE;

	if (!needs_name(of_map) || n->lookup != NULL)
		return;
	if (is_known && mono_diff_ns(now, n->asked) < STUN_NODES_KEEP_NS)
		return;
	n->asked = now;
	if (lookup_start(nodes->set, of_map->host_name, looked_up, n, &n->lookup) < 0)
		n->lookup = NULL;
}

enum stun_address
stun_nodes_address(const struct stun_nodes *nodes,
	size_t region,
	size_t node,
	enum addr_family family,
	struct endpoint *ret_endpoint)
{
	const struct derp_node *of_map = &nodes->map->regions[region].nodes[node];
	const struct stun_node *n = &nodes->nodes[region * PROBE_NODES_MAX + node];
	const char *text = family == ADDR_V4 ? of_map->ipv4 : of_map->ipv6;
	struct addr addr = n->by_name[family == ADDR_V6];

	if (!probe_node_is_usable(of_map, family))
		return STUN_ADDRESS_NONE;
	if (is_said(of_map->stun_test_ip))
		text = of_map->stun_test_ip;
	if (is_said(text) && addr_parse(text, &addr) < 0)
		return STUN_ADDRESS_NONE;
	if (addr.family == ADDR_NONE)
		return n->lookup != NULL ? STUN_ADDRESS_ASKED : STUN_ADDRESS_NONE;
	*ret_endpoint = (struct endpoint){ .addr = addr,
		.port = of_map->stun_port > 0 ? (uint16_t)of_map->stun_port
		                              : DERP_DEFAULT_STUN_PORT };
	return STUN_ADDRESS_KNOWN;
}
