/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter over a burst: what a worker's stage calls.  Nothing here allocates.
 *
 *     acl_packet_of_view(p, len, &view, &packets[i]);           for each packet
 *     acl_inbound_burst(&filter, packets, n, reasons);
 *     acl_accepts(reasons[i])                                   for each packet
 *
 * Source: ../shared/protocol/peer.md section 9.1, items 7 and 8.
 * Owner:  each worker its verdict cache; table and flows are shared by all.
 */
#ifndef LIB_POLICY_ACL_BURST_H
#define LIB_POLICY_ACL_BURST_H

#include "lib/policy/acl_reason.h"
#include "lib/policy/acl_table.h"
#include "lib/policy/flow_table.h"
#include "lib/policy/verdict_cache.h"

#define ACL_BURST_MAX 64 /* packets worked on together; longer bursts are cut */

/* Packets of jailed peers have a table and flows of their own, and the same cache. */
struct acl_filter {
	const struct acl_table *table; /* checked; NULL: none has arrived, nothing passes */
	struct flow_table *flows;
	struct verdict_cache *cache; /* this worker's */
};

/* n packets from the tailnet; reasons: of each, enum acl_reason. */
void acl_inbound_burst(const struct acl_filter *f,
	const struct acl_packet *packets,
	size_t n,
	uint8_t *reasons);

/* n packets to the tailnet: UDP and SCTP open the way for their answers. */
void acl_outbound_burst(const struct acl_filter *f,
	const struct acl_packet *packets,
	size_t n,
	uint8_t *reasons);

#endif
