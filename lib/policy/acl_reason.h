/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the packet filter says of a packet and why.
 *
 * Source: ../shared/protocol/peer.md sections 9.3 and 9.4; the words are the reference client's,
 *         the metric labels those of its tailscaled_*_dropped_packets_total (section 12).
 */
#ifndef LIB_POLICY_ACL_REASON_H
#define LIB_POLICY_ACL_REASON_H

#include <stdbool.h>
#include <stdint.h>

/* reason, accepted, metric label of a drop, the reference's words */
#define ACL_REASONS(X)                                                           \
	/* either way, before anything else */                                   \
	X(ACL_KEEPALIVE, true, "", "keepalive")                                  \
	X(ACL_TOO_SHORT, false, "too_short", "too_short")                        \
	X(ACL_UNKNOWN_PROTOCOL, false, "unknown_protocol", "unknown_protocol")   \
	X(ACL_MULTICAST, false, "multicast", "multicast")                        \
	X(ACL_LINK_LOCAL, false, "link_local_unicast", "link_local_unicast")     \
	X(ACL_FRAGMENT, true, "", "fragment")                                    \
	/* from the tailnet */                                                   \
	X(ACL_NO_FILTER, false, "acl", "no filter")                              \
	X(ACL_NOT_LOCAL, false, "acl", "destination not allowed")                \
	X(ACL_ICMP_ANSWER, true, "", "icmp response ok")                         \
	X(ACL_ICMP_RULE, true, "", "icmp ok")                                    \
	X(ACL_TCP_GOES_ON, true, "", "tcp non-syn")                              \
	X(ACL_TCP_RULE, true, "", "tcp ok")                                      \
	X(ACL_FLOW, true, "", "cached")                                          \
	X(ACL_RULE, true, "", "ok")                                              \
	X(ACL_TSMP, true, "", "tsmp ok")                                         \
	X(ACL_OTHER_RULE, true, "", "other-portless ok")                         \
	X(ACL_PEER_API, true, "", "peer api")                                    \
	X(ACL_OTHER_NO_RULE, false, "acl", "unknown-protocol-") /* its number */ \
	X(ACL_NO_RULE, false, "acl", "no rules matched")                         \
	/* to the tailnet */                                                     \
	X(ACL_OUTBOUND, true, "", "ok out")

enum acl_reason {
#define X(id, accepted, metric, words) id,
	ACL_REASONS(X)
#undef X
	N_ACL_REASONS
};

static inline bool
acl_accepts(enum acl_reason reason)
{
	static const bool accepted[] = {
#define X(id, accepts, metric, words) [id] = accepts,
		ACL_REASONS(X)
#undef X
	};

	return reason < N_ACL_REASONS && accepted[reason];
}

/* The label of a drop in metrics; "" for what is accepted or unknown. */
const char *acl_reason_metric(enum acl_reason reason);

#define ACL_WORDS_LEN 40 /* room for any with its zero */

/* The reference's words for a verdict on a packet of this protocol, in `text`, which is returned.
 */
const char *
acl_reason_words(enum acl_reason reason, uint8_t protocol, char text[static ACL_WORDS_LEN]);

#endif
