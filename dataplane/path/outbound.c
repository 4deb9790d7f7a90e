/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Host to tunnel.  Rules as in inbound.c.
 */

#include "dataplane/path/outbound.h"

#include "dataplane/stage/stages.h"

void
outbound_run_with_peer(struct worker *w, struct burst *b)
{
	session_select(w, b); // peer -> current session; none: wait, and ask for one
	encrypt(w, b);        // counter, padding, seal in place, header, outer address
	relay_transmit(w, b); // peers without a direct path that is known to work
	wire_transmit(w, b);
}

void
outbound_run(struct worker *w, struct burst *b)
{
	peer_lookup(w, b);  // inner destination -> peer; MTU, MSS, ICMP errors
	acl_outbound(w, b); // a member of a tailnet: its filter
	outbound_run_with_peer(w, b);
}

void
outbound_run_to_peers(struct worker *w)
{
	struct burst *b = &w->to_peers;

	// An ICMP error about an ICMP error does not exist, so a second round finds nothing new,
	// and this ends.
	while (b->n > 0) {
		struct burst now = *b;

		b->n = 0;
		peer_lookup_between_peers(w, &now);
		acl_outbound(w, &now);
		outbound_run_with_peer(w, &now);
	}
}
