/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything that the packet filter's verdicts on packets from the tailnet depend on.
 *
 * Source: ../shared/protocol/peer.md sections 9.1 and 9.6.
 * Owner:  borrows all it points to.
 */
#ifndef LIB_POLICY_POLICY_H
#define LIB_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/net/addr.h"
#include "lib/policy/addr_set.h"
#include "lib/tailnet/filter_rule.h"

/* A peer, for sources that are written "cap:NAME". */
struct policy_node {
	const struct addr *addrs;
	size_t n_addrs;
	const char *const *caps; /* node capabilities: the names in its CapMap */
	size_t n_caps;
};

struct policy {
	const struct filter_rules *rules; /* NULL: none */
	const struct addr_set *local_nets;
	const struct policy_node *nodes;
	size_t n_nodes;
	const struct endpoint *peer_api; /* own addresses with the port of the peer API */
	size_t n_peer_api;               /* at most ACL_MAX_EXEMPT */
	bool is_shields_up;              /* also for jailed peers: as if there were no rules */
};

/* The rules in force. */
static inline size_t
policy_n_rules(const struct policy *p)
{
	return p->rules == NULL || p->is_shields_up ? 0 : p->rules->n;
}

#endif
