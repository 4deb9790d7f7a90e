/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The filter's decision, plain: a walk along the rules as they were received.  Slow and without
 * any structure of its own: it is what the tables are compared with.
 *
 * Source: ../shared/protocol/peer.md sections 9.3 to 9.6.
 */
#ifndef LIB_POLICY_RULE_WALK_H
#define LIB_POLICY_RULE_WALK_H

#include "lib/policy/acl_packet.h"
#include "lib/policy/acl_reason.h"
#include "lib/policy/policy.h"

/*
 * The verdict on a packet from the tailnet.
 *
 * is_open: an outbound packet of its flow was seen (flow_walk_is_open()).
 */
enum acl_reason rule_walk_inbound(const struct policy *p, const struct acl_packet *k, bool is_open);

/* The verdict on a packet to the tailnet, which does not depend on rules. */
enum acl_reason rule_walk_outbound(const struct acl_packet *k);

/* The reference's memory of flows, by the letter: the last 512, in order of use. */
#define FLOW_WALK_MAX 512

struct flow_walk {
	struct acl_packet flows[FLOW_WALK_MAX]; /* as answers to them look; the latest first */
	size_t n;
};

/* An outbound packet that was accepted; other protocols than UDP and SCTP are not remembered. */
void flow_walk_open(struct flow_walk *w, const struct acl_packet *k);
/* Whether an inbound packet belongs to a flow that is remembered; makes it the latest if so. */
bool flow_walk_is_open(struct flow_walk *w, const struct acl_packet *k);

#endif
