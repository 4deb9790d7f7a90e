/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One round: probes that leave when they are due, answers that come, and what they say together.
 *
 * Source: ../shared/protocol/peer.md 5.2.
 * Owner:  netcheck.  Thread: its.  Time and sending are given.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_ROUND_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "controlplane/gateway/traversal/netcheck/probe_plan.h"
#include "controlplane/gateway/traversal/netcheck/stun_nodes.h"
#include "lib/base/clock.h"
#include "lib/traversal/stun.h"

#define ROUND_STUN_NS        (3 * NS_PER_S)
#define ROUND_ENOUGH_REGIONS 3 /* then the others have a little while left */

enum probe_state {
	PROBE_WAITS, /* for its time, or for its server's address */
	PROBE_SENT,
	PROBE_ANSWERED,
	PROBE_OVER, /* not sent: no address, no way, or no longer of use */
};

struct probe {
	enum probe_state state;
	struct planned_probe plan;
	struct stun_txid txid;
	struct endpoint to;
	struct mono sent;
};

struct round {
	const struct netcheck_calls *calls;
	const struct derp_map *map;
	struct stun_nodes *nodes;
	struct mono began, enough_at; /* never: not yet enough */
	struct probe *probes;
	size_t n_probes;
	struct netcheck_report report;
	struct endpoint first_asked_v4; /* whose answer is compared with others */
	struct endpoint first_seen_v4;
};

/* plan: of probe_plan(); the rest is borrowed until round_fini().  0 or -ENOMEM. */
[[nodiscard]] int round_init(struct round *r,
	const struct netcheck_calls *calls,
	const struct derp_map *map,
	struct stun_nodes *nodes,
	const struct planned_probe *plan,
	size_t n,
	struct mono now);
void round_fini(struct round *r);

/* Send what is due.  Returns when to come again. */
struct mono round_send(struct round *r, struct mono now);
/* true: it answers a probe. */
bool round_datagram(struct round *r, const uint8_t *data, size_t len, struct mono now);
/* Nothing more is to be expected of STUN, or there was time enough. */
bool round_is_over(const struct round *r, struct mono now);
/* A region has answered by https. */
void round_take_https(struct round *r, int32_t region_id, int64_t latency_us);

#endif
