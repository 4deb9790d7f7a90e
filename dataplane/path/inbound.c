/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tunnel to host or LAN.  Each call keeps in the burst the packets that may go on; the others leave
 * it with a drop reason, for the control plane, or for another peer.  Nothing here allocates,
 * blocks or logs.
 */

#include "dataplane/path/inbound.h"

#include "dataplane/path/capture.h"
#include "dataplane/path/outbound.h"
#include "dataplane/stage/stages.h"

void
inbound_run(struct worker *w, struct burst *b)
{
	keypair_lookup(w, b); // receiver index -> session; other messages to the control plane
	decrypt(w, b);        // authenticate and open in place, accept the counter
	if (capture_is_on(w))
		capture_burst(w, b, SHM_CAPTURE_FROM_TUNNEL);
	source_check(w, b);        // inner source belongs to the peer that sent it
	known_flows_inbound(w, b); // those that went this way before: to w->to_links
	acl_inbound(w, b);         // a member of a tailnet: its filter
	route_inner(w, b);         // ECN, MSS; packets for other peers go to w->to_peers
	net_route(w, b);           // TTL, MTU; what leaves by a link port goes to w->to_links
	nat_hairpin(w, b);         // for an inside endpoint after all: back into the tunnel
	host_transmit(w, b);
	nat_inbound(w, &w->to_links); // source NAT
	learn_flows_inbound(w);
	link_transmit(w, &w->to_links);

	outbound_run_to_peers(w);
}
