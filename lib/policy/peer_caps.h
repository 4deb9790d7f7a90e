/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What else a list of rules tells: the application capabilities of a source, and whether the list
 * may be trusted.
 *
 * Source: ../shared/protocol/peer.md sections 9.6 (safety check) and 9.8.
 */
#ifndef LIB_POLICY_PEER_CAPS_H
#define LIB_POLICY_PEER_CAPS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/policy/addr_set.h"
#include "lib/tailnet/filter_rule.h"

/*
 * Walks along the capabilities of `src` toward `dst`, the node's own first address of the same
 * family:
 *
 *     struct peer_caps walk = { .rules = &rules, .src = peer, .dst = own };
 *     while ((cap = peer_caps_next(&walk)) != NULL)
 *
 * A name may come several times; its values are those of all of them.  "cap:" sources count for
 * packets only.
 */
struct peer_caps {
	const struct filter_rules *rules;
	struct addr src, dst;
	bool is_unsigned; /* src belongs to a peer with UnsignedPeerAPIOnly: ingress is all it has
	                   */
	size_t rule, grant, cap; /* where it stands */
};

/* Borrowed from the rules.  NULL: no more. */
const struct filter_cap *peer_caps_next(struct peer_caps *walk);

/*
 * Whether some rule that opens packets names an address of `allowed_ips`, those of all peers with
 * UnsignedPeerAPIOnly.  Then the whole filter must not be used: nothing is let in.
 */
bool peer_caps_open_to_unsigned(const struct filter_rules *rules,
	const struct addr_set *allowed_ips);

#endif
