/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steps of a packet's way, one file each, called only from dataplane/path.  Each keeps in the
 * burst what may go on; the rest left it with a drop reason, was handed over, or waits.
 */
#ifndef DATAPLANE_STAGE_STAGES_H
#define DATAPLANE_STAGE_STAGES_H

#include "dataplane/path/worker.h"

struct net_port;

/* Where a packet came from, and so where what is to be told about it goes. */
enum origin {
	FROM_PEER, /* or from ourselves; answers go out in this round, through w->to_peers */
	FROM_HOST, /* answers go to the host port */
	FROM_LINK, /* answers go by the port that it came by, to the station that sent it */
};

/* --- frames of a link port --- */

/*
 * Ethernet frames of this port -> transport messages for one of our addresses (to ret_wire, as
 * UDP payloads), and IP packets, which stay, parsed.  In front of an IP packet lie its 14 bytes of
 * Ethernet header from here on.
 */
void
link_unwrap(struct worker *w, const struct net_port *port, struct burst *b, struct burst *ret_wire);
/* IP packets of a port whose senders leave checksums to hardware: what is missing is filled in. */
void link_fill_checksums(struct worker *w, const struct net_port *port, struct burst *b);
/* Out: sources that only a tunnel may have, or we. */
void link_source_check(struct worker *w, const struct net_port *port, struct burst *b);
/* To the host port: what is for the box itself. */
void link_enter(struct worker *w, struct burst *b);

/* --- known flows (stage/known_flows.c) --- */

/* Empties w->to_links; then packets of known flows move there, ready to leave. */
void known_flows_inbound(struct worker *w, struct burst *b);
/* What took the long way into w->to_links, and is ready to leave. */
void learn_flows_inbound(struct worker *w);
/* Those of known flows move to ret_known, their peers known. */
void known_flows_outbound(struct worker *w,
	const struct net_port *port,
	struct burst *b,
	struct burst *ret_known);
/* What took the long way from a link port, let into the tunnel. */
void learn_flows_outbound(struct worker *w, const struct burst *b);

/* --- source NAT (stage/nat.c) --- */

/* Packets of w->to_links behind those of known flows: p->route and p->neighbour are known, TTL and
 * size are judged. */
void nat_inbound(struct worker *w, struct burst *b);
/* Packets for the box itself: those for a port of an inside endpoint move to w->to_peers. */
void nat_hairpin(struct worker *w, struct burst *b);
/* IP packets of link ports, before anything else looks at where they go. */
void nat_outbound(struct worker *w, struct burst *b);

/* --- inbound: wire -> host, or -> another peer --- */

/* UDP payload -> session: receiver index, age, counter not seen.  Other messages are punted. */
void keypair_lookup(struct worker *w, struct burst *b);
/* Authenticate and open in place, accept the counter, count; keepalives end here. */
void decrypt(struct worker *w, struct burst *b);
/* The inner packet is valid and its source belongs to the peer that sent it. */
void source_check(struct worker *w, struct burst *b);
/* Members of a tailnet: TSMP ends here, and what no rule lets in. */
void acl_inbound(struct worker *w, struct burst *b);
/* ECN, MSS, and the way on: packets for other peers move to w->to_peers. */
void route_inner(struct worker *w, struct burst *b);
/* What leaves by a link port moves to w->to_links: next hop, TTL, MTU. */
void net_route(struct worker *w, struct burst *b);
void host_transmit(struct worker *w, struct burst *b);
/* Of w->to_links: too long ones are cut; Ethernet header; to the ports. */
void link_transmit(struct worker *w, struct burst *b);

/* --- outbound: host, or a peer -> wire --- */

/* Inner destination -> peer; too big and no peer are answered by ICMP. */
void peer_lookup(struct worker *w, struct burst *b);
/* The same for what came by a link port: parsed already; TTL counts down. */
void peer_lookup_from_link(struct worker *w, struct burst *b);
/* The same for what came from a peer or is our own answer to one: parsed already; TTL counts down.
 */
void peer_lookup_between_peers(struct worker *w, struct burst *b);
/* Members of a tailnet: what must never leave; UDP and SCTP open the way for their answers. */
void acl_outbound(struct worker *w, struct burst *b);
/* Peer -> current session; without one the packet waits and the control plane is asked. */
void session_select(struct worker *w, struct burst *b);
/* Counter, padding, seal in place, header, outer address. */
void encrypt(struct worker *w, struct burst *b);
/* To the control plane, which holds the relays: what has no trusted direct path, or a copy of it.
 */
void relay_transmit(struct worker *w, struct burst *b);
void wire_transmit(struct worker *w, struct burst *b);

/* --- not on the straight way --- */

/*
 * Answer a packet that cannot go on by an ICMP error, if that is allowed and the limit permits,
 * and drop it.  p->data: at the packet as it came.
 */
void refuse(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	enum drop_reason reason,
	enum icmp_error error,
	enum origin from);
/* The same for a packet longer than `mtu` bytes. */
void refuse_too_big(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	uint32_t mtu,
	enum origin from);

/*
 * Whether a packet of a link port is fit for the tunnel: TTL, and not longer than may be cut.
 * False: it was refused, and is gone.
 */
[[nodiscard]] bool link_may_enter(struct worker *w, struct pkt *p, const struct ip_view *v);

/*
 * This next hop is not known: the control plane is asked, for each 10 times a second at most.
 * addr: 4 or 16 bytes.
 */
void want_neighbour(struct worker *w, uint32_t ifindex, uint8_t family, const uint8_t *addr);

/* An answer of our own to a peer goes out in this round, through w->to_peers.  Takes ownership. */
void answer_peer(struct worker *w, struct pkt *answer);

/* TSMP (IP protocol 99) from a peer: pings are answered, the rest is for the control plane.  Takes
 * ownership. */
void
tsmp_receive(struct worker *w, struct pkt *p, const struct ip_view *v, const struct acl_packet *k);
/* Tell the sender of a TCP SYN that the filter did not let it in.  The packet stays the caller's.
 */
void tsmp_reject(struct worker *w, const struct pkt *p, const struct ip_view *v);

/* Keep a packet until its peer has a session.  Takes ownership. */
void wait_for_session(struct worker *w, struct pkt *p);
/*
 * Take what waits for peers that have a session now, up to a burst.  True: there was some, and
 * there may be more (the burst may be empty: packets whose prefix has left their peer are dropped).
 */
bool waiting_take(struct worker *w, struct burst *b);
/* Drop what waited too long, or (only_peer) everything of one peer, with ICMP errors. */
void waiting_expire(struct worker *w, uint32_t only_peer);

#endif
