/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whom a round asks, and when.
 *
 * Source: ../shared/protocol/peer.md 5.2, "Probe plan".
 * Thread: any; no hidden state, no clock.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_PROBE_PLAN_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_PROBE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "lib/tailnet/derp_map.h"

#define PROBE_FULL_TRIES     3
#define PROBE_HOME_TRIES     4
#define PROBE_NEAREST        3 /* regions of a round that is not full, besides the home */
#define PROBE_PLAN_MAX       (NETCHECK_MAX_REGIONS * PROBE_FULL_TRIES * 2)
#define PROBE_NODES_MAX      8 /* of a region; more are not asked */
#define PROBE_FULL_PAUSE_NS  (100 * NS_PER_MS)
#define PROBE_KNOWN_PAUSE_NS (200 * NS_PER_MS) /* where no latency is known */

struct planned_probe {
	uint16_t region; /* index in the map */
	uint16_t node;   /* index in the region */
	enum addr_family family;
	int64_t delay_ns; /* after the round's start */
};

struct probe_plan_input {
	const struct derp_map *map;
	const struct netcheck_report *last; /* NULL: everyone is asked */
	int32_t home;                       /* 0: none */
	bool has_v4, has_v6;                /* of this host */
};

/* In the order of regions; returns how many, at most PROBE_PLAN_MAX. */
size_t probe_plan(const struct probe_plan_input *in,
	struct planned_probe ret_probes[static PROBE_PLAN_MAX]);

/* Whether a node is to be asked by STUN over this family, as far as the map says. */
bool probe_node_is_usable(const struct derp_node *node, enum addr_family family);

/* What was measured of a region, or NULL. */
const struct netcheck_region *netcheck_find(const struct netcheck_report *report, int32_t id);
/* Its best latency; 0: none. */
int64_t netcheck_latency_us(const struct netcheck_region *region);

#endif
