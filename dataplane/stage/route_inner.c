/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where an inner packet goes that came out of the tunnel: into another tunnel, or on to where
 * link ports or the kernel lead (net_route.c).
 */

#include "dataplane/stage/stages.h"
#include "lib/net/ecn.h"
#include "lib/net/mss.h"
#include "lib/net/ttl.h"

// Peer to peer: we are the router, so TTL and MTU are ours to judge.
static void
forward_to_peer(struct worker *w, struct pkt *p, const struct ip_view *v)
{
	struct burst *out = &w->to_peers;

	if (v->ttl <= 1) {
		refuse(w, p, v, DROP_TTL, ICMP_ERROR_TTL_EXCEEDED, FROM_PEER);
		return;
	}
	if (out->n == BURST_MAX) { // ICMP errors of this burst have taken the room
		drop(w, p, DROP_TX_FULL);
		return;
	}
	out->view[out->n] = *v;
	out->pkt[out->n++] = p;
}

void
route_inner(struct worker *w, struct burst *b)
{
	const struct tables *tables = w->tables;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		uint32_t to;

		if (p->outer_ecn != 0 && !ip_carry_ecn(p->data, v->ecn, p->outer_ecn)) {
			drop(w, p, DROP_ECN);
			continue;
		}
		tcp_clamp_mss(p->data, v, tables->mtu);
		to = fib_end(&tables->fib, v->family, v->dst, p->fib_place);
		if (fib_is_peer(to)) {
			forward_to_peer(w, p, v);
			continue;
		}
		if (to == FIB_NOBODY) {
			refuse(w, p, v, DROP_NO_PEER, ICMP_ERROR_HOST_UNREACHABLE, FROM_PEER);
			continue;
		}
		burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_ROUTE_INNER);
}
