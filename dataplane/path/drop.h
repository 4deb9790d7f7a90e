/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Why a packet did not go on.  One enumeration for counters, `sluice status`, metrics and manual.
 */
#ifndef DATAPLANE_PATH_DROP_H
#define DATAPLANE_PATH_DROP_H

#include <stdint.h>

/* reason, name in status and metrics, one line for the manual */
#define DROP_REASONS(X)                                                                         \
	X(DROP_NONE, "none", "not dropped")                                                     \
	/* from the wire */                                                                     \
	X(DROP_WIRE_SHORT, "wire_short", "a datagram too short for any WireGuard message")      \
	X(DROP_WIRE_TYPE, "wire_type", "a datagram that is no WireGuard message")               \
	X(DROP_NO_SESSION, "no_session",                                                        \
		"transport data for a receiver index that we do not know")                      \
	X(DROP_SESSION_EXPIRED, "session_expired", "a session older than 180 s")                \
	X(DROP_AUTH, "auth_failed", "transport data whose tag is wrong")                        \
	X(DROP_REPLAY, "replay", "a counter seen before, or too old to know")                   \
	X(DROP_KEEPALIVE, "keepalive", "an empty packet: received, nothing to pass on")         \
	X(DROP_INNER_MALFORMED, "inner_malformed", "what was inside is no valid IP packet")     \
	X(DROP_SOURCE, "source_not_allowed", "inner source outside the peer's allowed_ips")     \
	X(DROP_ECN, "ecn", "congestion marked outside, inside not ECN-capable (RFC 6040)")      \
	X(DROP_PUNT_FULL, "punt_full", "the control plane does not read its packets")           \
	/* by the packet filter of a tailnet */                                                 \
	X(DROP_ACL, "acl", "no rule of the tailnet's packet filter lets it in")                 \
	X(DROP_NO_FILTER, "no_filter", "no packet filter has arrived yet")                      \
	X(DROP_UNKNOWN_PROTOCOL, "unknown_protocol", "nothing that a packet filter can judge")  \
	X(DROP_LINK_LOCAL, "link_local_unicast", "link-local addresses do not pass the tunnel") \
	X(DROP_TSMP, "tsmp", "a message between tailnet nodes, which ends here")                \
	/* from the host, or from peer to peer */                                               \
	X(DROP_NO_PEER, "no_peer", "no peer's allowed_ips contain the destination")             \
	X(DROP_NO_PATH, "no_path", "the peer's endpoint is not known")                          \
	X(DROP_STAGE_FULL, "stage_full", "too many packets wait for a session of this peer")    \
	X(DROP_STAGE_EXPIRED, "stage_expired", "waited for a session that did not come")        \
	X(DROP_COUNTER_EXHAUSTED, "counter_exhausted", "a session sent all packets it may")     \
	X(DROP_TTL, "ttl_exceeded", "time to live ended here")                                  \
	X(DROP_TOO_BIG, "too_big", "longer than the tunnel's MTU; the sender was told")         \
	X(DROP_MULTICAST, "multicast", "multicast and broadcast do not pass the tunnel")        \
	X(DROP_RELAY_FULL, "relay_full",                                                        \
		"for a relay, but the control plane is away or takes no more")                  \
	/* from or to a link port */                                                            \
	X(DROP_LINK_MALFORMED, "link_malformed", "a frame whose IP packet is damaged or none")  \
	X(DROP_LINK_OTHER, "link_other", "a frame for another station, or for all")             \
	X(DROP_VLAN, "vlan", "a frame of a VLAN that is not ours")                              \
	X(DROP_SOURCE_SPOOFED, "source_spoofed",                                                \
		"from a link port, with a source that is a peer's, or ours")                    \
	X(DROP_NO_ROUTE, "no_route", "the routing table refuses the destination")               \
	X(DROP_PORT_DOWN, "port_down", "the port to leave by is down")                          \
	X(DROP_NEIGHBOUR_UNKNOWN, "neighbour_unknown",                                          \
		"the next hop's link-layer address is being asked for")                         \
	X(DROP_NEIGHBOUR_FAILED, "neighbour_failed", "the next hop does not answer")            \
	/* by source NAT */                                                                     \
	X(DROP_NAT_PROTOCOL, "nat_protocol", "a protocol that source NAT cannot translate")     \
	X(DROP_NAT_NO_FLOW, "nat_no_flow", "an answer to nothing that source NAT knows")        \
	X(DROP_NAT_FULL, "nat_full", "no port or row is free; the sender was told")             \
	X(DROP_NAT_BUSY, "nat_busy", "several workers began the same flow at once")             \
	X(DROP_NAT_FRAGMENT, "nat_fragment", "the first fragment did not come in time")         \
	/* either way */                                                                        \
	X(DROP_TX_FULL, "tx_full", "the port to leave by takes no more")                        \
	X(DROP_NO_BUFFER, "no_buffer", "no packet buffer was free")                             \
	X(DROP_HOST_MALFORMED, "host_malformed",                                                \
		"the host port gave something that is no IP packet")                            \
	X(DROP_LONG, "frame_too_long", "longer than a packet buffer")

enum drop_reason {
#define X(id, name, help) id,
	DROP_REASONS(X)
#undef X
	N_DROP_REASONS
};

/* Name of a reason as in status and metrics; "unknown" beyond the last. */
const char *drop_name(unsigned reason);

#endif
