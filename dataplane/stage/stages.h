/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steps of a packet's way, one file each, called only from dataplane/path.  Each keeps in the
 * burst what may go on; the rest left it with a drop reason, was handed over, or waits.
 */
#ifndef DATAPLANE_STAGE_STAGES_H
#define DATAPLANE_STAGE_STAGES_H

#include "dataplane/path/worker.h"

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
void host_transmit(struct worker *w, struct burst *b);

/* --- outbound: host, or a peer -> wire --- */

/* Inner destination -> peer; too big and no peer are answered by ICMP. */
void peer_lookup(struct worker *w, struct burst *b);
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
 * and drop it.  to_host: it came from the host port; else from a peer, and the answer goes back
 * through w->to_peers.
 */
void refuse(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	enum drop_reason reason,
	enum icmp_error error,
	bool to_host);

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
