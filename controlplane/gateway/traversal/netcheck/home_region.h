/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which region is to be our home: the nearest of the last minutes, and not another one for a few
 * milliseconds.
 *
 * Source: ../shared/protocol/peer.md 5.3.
 * Owner:  embedded in netcheck.  Thread: its.  Pure.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_HOME_REGION_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_HOME_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "lib/base/clock.h"
#include "lib/tailnet/derp_map.h"

#define HOME_HISTORY_NS  (5 * 60 * NS_PER_S)
#define HOME_HISTORY_MAX 32 /* rounds; older ones go first */
#define HOME_CLOSE_NS    (10 * NS_PER_MS)
#define HOME_HEARD_NS    (8 * NS_PER_S)

struct home_latency {
	int32_t region_id;
	int64_t latency_us;
};

struct home_round {
	struct mono at; /* never: empty */
	size_t n;
	struct home_latency *latencies;
};

struct home_history { /* zeros: begin */
	struct home_round rounds[HOME_HISTORY_MAX];
	size_t next;
};

void home_history_clear(struct home_history *h); /* and at the end: it frees */
/* Without memory the round is left out. */
void home_history_add(struct home_history *h, const struct netcheck_report *report);

struct home_question {
	const struct derp_map *map;
	const struct netcheck_report *report; /* already in the history */
	struct mono began;                    /* its round */
	int32_t previous;                     /* 0: none */
	struct mono previous_heard;           /* the last frame of its relay; never: none */
	bool may_change;                      /* the server could be told */
	uint64_t seed; /* of the arbitrary choice, the same for the process's life */
};

/* The region; 0: the map has none that could be. */
int32_t home_region_choose(const struct home_history *h, const struct home_question *q);

#endif
