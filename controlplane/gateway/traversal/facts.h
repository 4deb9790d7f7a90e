/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the thread `wire` has found out about our own place in the network, as one object that
 * crosses to `coord`, which tells the coordination server and people.
 *
 * Owner:  the letter that carries it, then coord: free().
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_FACTS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "controlplane/gateway/traversal/paths/paths.h"
#include "controlplane/gateway/traversal/relay/relays.h"
#include "lib/tailnet/map_request.h"
#include "lib/tailnet/own_hostinfo.h"

#define FACTS_MAX_ENDPOINTS 64
#define FACTS_MAX_RELAYS    RELAYS_MAX_CONNECTIONS

struct traversal_facts {
	uint64_t number; /* of the question that this answers; 0: nobody asked */
	struct own_endpoint endpoints[FACTS_MAX_ENDPOINTS];
	size_t n_endpoints;
	bool has_report;
	struct netcheck_report report;
	uint16_t home_region; /* 0: none */
	struct relay_facts relays[FACTS_MAX_RELAYS];
	size_t n_relays;
};

/* The ways to one member, for who looks for a fault. */
#define PATH_VIEW_MAX_CANDIDATES 32
struct path_view {
	struct public_key node_key;
	struct mono taken;
	struct paths_state state;
	struct paths_candidate candidates[PATH_VIEW_MAX_CANDIDATES];
	size_t n_candidates;
};

#endif
