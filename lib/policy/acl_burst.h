/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter over a burst: what a worker's stage calls.  Nothing here allocates.
 *
 *     acl_packet_of_view(p, len, &view, &packets[i]);           for each packet
 *     acl_inbound_burst(&filter, packets, n, reasons);
 *     acl_accepts(reasons[i])                                   for each packet
 *
 * Cycles per packet of a burst of 32, at 7 to 500 rules (Xeon with AVX-512, gcc 12 -O3):
 *
 *     to read a packet                               8
 *     inbound TCP but for SYNs                       23 to 49
 *     inbound SYN, its verdict cached                21 to 26
 *     inbound SYN, not cached                        70 to 222 (the walk along the rules: 841 to
 * 1967) inbound UDP, its verdict cached or flow open   70 to 95 inbound UDP, not cached 125 to 287
 *     outbound UDP of an open flow                   59
 *     outbound UDP that takes another flow's place   1500 in a table of one group
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
