/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cryptokey routing, outbound: inner destination -> peer, and what a router owes the sender.
 */

#include "dataplane/stage/stages.h"
#include "lib/net/mss.h"
#include "lib/net/ttl.h"

static bool
is_multicast(const struct ip_view *v)
{
	if (v->family == ADDR_V4)
		return v->dst[0] >= 224; // multicast, reserved, broadcast
	return v->dst[0] == 0xff;
}

// Parse what the host gave us; what came from a peer was parsed on its way in.
static void
parse(struct worker *w, struct burst *b)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[kept];

		if (!ip_parse(p->data, p->len, v)) {
			drop(w, p, DROP_HOST_MALFORMED);
			continue;
		}
		p->len = v->total_len;
		if (is_multicast(v)) {
			drop(w, p, DROP_MULTICAST);
			continue;
		}
		p->fib_place = fib_begin(&w->tables->fib, v->family, v->dst);
		b->pkt[kept++] = p;
	}
	b->n = kept;
}

static void
look_up(struct worker *w, struct burst *b, bool from_host)
{
	const struct tables *tables = w->tables;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[i];
		uint32_t to = fib_end(&tables->fib, v->family, v->dst, p->fib_place);

		if (!fib_is_peer(to)) {
			refuse(w, p, v, DROP_NO_PEER,
				to == FIB_NOBODY ? ICMP_ERROR_HOST_UNREACHABLE
						 : ICMP_ERROR_NO_ROUTE,
				from_host);
			continue;
		}
		if (p->len > tables->mtu) {
			refuse(w, p, v, DROP_TOO_BIG, ICMP_ERROR_TOO_BIG, from_host);
			continue;
		}
		if (from_host)
			tcp_clamp_mss(p->data, v, tables->mtu);
		else if (p->kind == PKT_WIRE && !ip_decrement_ttl(p->data)) {
			drop(w, p, DROP_TTL);
			continue;
		}
		p->peer = to;
		__builtin_prefetch(&w->sessions.state->keypairs[to]);
		__builtin_prefetch(&w->peers[to], 1);
		burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_PEER_LOOKUP);
}

void
peer_lookup(struct worker *w, struct burst *b)
{
	parse(w, b);
	look_up(w, b, true);
}

void
peer_lookup_between_peers(struct worker *w, struct burst *b)
{
	look_up(w, b, false);
}
