/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Host or LAN to tunnel.  Rules as in inbound.c.
 */

#include "dataplane/path/outbound.h"

#include "dataplane/path/capture.h"
#include "dataplane/stage/cut.h"
#include "dataplane/stage/stages.h"

void
outbound_run_with_peer(struct worker *w, struct burst *b)
{
	session_select(w, b); // peer -> current session; none: wait, and ask for one
	if (capture_is_on(w))
		capture_burst(w, b, SHM_CAPTURE_TO_TUNNEL);
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

static void
put(struct worker *w, struct burst *b, struct pkt *p, const struct ip_view *v)
{
	if (b->n == BURST_MAX) {
		outbound_run_with_peer(w, b);
		b->n = 0;
	}
	b->view[b->n] = *v;
	b->pkt[b->n++] = p;
}

// Some of the burst have to be cut: in their order, in as many bursts as it takes.
[[gnu::noinline]] static void
run_cut(struct worker *w, struct burst *b)
{
	struct burst out = {};
	struct ip_view v;
	struct pkt *piece;
	struct cut cut;

	for (uint32_t i = 0; i < b->n; i++) {
		if ((b->pkt[i]->flags & PKT_TO_CUT) == 0) {
			put(w, &out, b->pkt[i], &b->view[i]);
			continue;
		}
		cut_begin(&cut, b->pkt[i], &b->view[i], w->tables->mtu);
		while ((piece = cut_next(w, &cut)) != NULL) {
			if (ip_parse(piece->data, piece->len, &v))
				put(w, &out, piece, &v);
			else
				drop(w, piece, DROP_LINK_MALFORMED);
		}
		cut_end(w, &cut);
	}
	outbound_run_with_peer(w, &out);
}

// Two bursts as one, in this order: the cipher does better with long ones.
static void
run_joined(struct worker *w, struct burst *first, const struct burst *then)
{
	for (uint32_t i = 0; i < then->n; i++) {
		first->view[first->n] = then->view[i];
		first->pkt[first->n++] = then->pkt[i];
	}
	outbound_run_with_peer(w, first);
}

void
outbound_run_from_link(struct worker *w, const struct net_port *port, struct burst *b)
{
	struct burst known;

	link_fill_checksums(w, port, b);          // senders without hardware that sums
	known_flows_outbound(w, port, b, &known); // flows that went this way before: done
	link_source_check(w, port, b);            // no source that belongs behind a tunnel
	nat_outbound(w, b);          // answers to translated flows get their destination back
	link_enter(w, b);            // own addresses -> host
	peer_lookup_from_link(w, b); // peer, TTL, MTU, MSS, ICMP errors
	acl_outbound(w, b);          // a member of a tailnet: its filter
	learn_flows_outbound(w, b);
	if (known.n + b->n <= BURST_MAX && w->n_to_cut == 0) {
		run_joined(w, &known, b);
		return;
	}
	outbound_run_with_peer(w, &known);
	run_cut(w, b);
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
