/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cryptokey routing, outbound: inner destination -> peer, and what a router owes the sender.
 */

#include "dataplane/stage/link_local.h"
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

[[gnu::cold]] static void
leads_nowhere(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	uint32_t to,
	enum origin from)
{
	if (from == FROM_LINK && to == FIB_HOST) {
		if (w->host->ops->tx(w->host, w->id, &p, 1) == 0)
			drop(w, p, DROP_TX_FULL);
		return;
	}
	// Also where nobody has the address: the kernel might send it on in clear.
	refuse(w, p, v, DROP_NO_PEER,
		to == FIB_NOBODY ? ICMP_ERROR_HOST_UNREACHABLE : ICMP_ERROR_NO_ROUTE, from);
}

// From a LAN: we are the router.  False: the packet is gone.
static bool
enter(struct worker *w, struct pkt *p, const struct ip_view *v)
{
	if (!link_may_enter(w, p, v))
		return false;
	if (!ip_decrement_ttl(p->data)) {
		drop(w, p, DROP_TTL);
		return false;
	}
	if (p->len > w->tables->mtu) {
		p->flags |= PKT_TO_CUT;
		w->n_to_cut++;
	}
	return true;
}

[[gnu::always_inline]] static inline void
look_up(struct worker *w, struct burst *b, enum origin from)
{
	const struct tables *tables = w->tables;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[i];
		uint32_t to = fib_end(&tables->fib, v->family, v->dst, p->fib_place);

		if (!fib_is_peer(to)) {
			leads_nowhere(w, p, v, to, from);
			continue;
		}
		if (from == FROM_LINK) {
			if (!enter(w, p, v))
				continue;
		} else if (p->len > tables->mtu) {
			refuse_too_big(w, p, v, tables->mtu, from);
			continue;
		}
		if (from != FROM_PEER)
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
	look_up(w, b, FROM_HOST);
}

// Parsed by link_unwrap(); the destination was begun by link_enter().
void
peer_lookup_from_link(struct worker *w, struct burst *b)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (is_multicast(&b->view[i]))
			drop(w, b->pkt[i], DROP_MULTICAST);
		else if (has_link_local(&b->view[i]))
			drop(w, b->pkt[i], DROP_LINK_LOCAL);
		else
			burst_keep(b, kept++, i);
	}
	b->n = kept;
	w->n_to_cut = 0;
	look_up(w, b, FROM_LINK);
}

void
peer_lookup_between_peers(struct worker *w, struct burst *b)
{
	look_up(w, b, FROM_PEER);
}
