/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source NAT: what leaves the tunnel by a link port gets our address there, what comes back gets
 * its own again.  The translation itself is lib/nat; here are bursts, prefetching, and fragments
 * that overtook their first one.
 *
 * Source: ../shared/design/architecture.md 4, "NAT and fragments"; RFC 5508 REQ-8 for the answer
 *         when nothing is free.
 */

#include "dataplane/stage/stages.h"
#include "dataplane/table/nat_worker.h"
#include "dataplane/table/net.h"

static bool
is_translated(const struct worker *w, uint8_t family)
{
	return (w->net->nat & (family == ADDR_V4 ? SHM_NAT_V4 : SHM_NAT_V6)) != 0;
}

static bool
is_on(const struct worker *w)
{
	return w->nat != NULL && w->net->nat != 0;
}

static enum drop_reason
reason_of(enum nat_verdict verdict)
{
	switch (verdict) {
	case NAT_DROP_PROTOCOL:
		return DROP_NAT_PROTOCOL;
	case NAT_DROP_NO_FLOW:
		return DROP_NAT_NO_FLOW;
	case NAT_DROP_FULL:
		return DROP_NAT_FULL;
	case NAT_DROP_BUSY:
		return DROP_NAT_BUSY;
	default:
		return DROP_INNER_MALFORMED;
	}
}

static void
hold(struct worker *w, struct nat_held *held, struct pkt *p)
{
	if (held->n == NAT_HELD_MAX) {
		drop(w, p, DROP_NAT_FRAGMENT);
		return;
	}
	p->rx_ns = w->now_ns;
	held->net_serial = w->net->serial;
	held->pkt[held->n++] = p;
}

// Too old, or routed by a network that is not published any more.
static bool
is_over(const struct worker *w, const struct nat_held *held, const struct pkt *p)
{
	return w->now_ns - p->rx_ns > (uint64_t)NAT_HELD_NS || held->net_serial != w->net->serial;
}

// Give held packets back to the stage, behind what it has: a new burst of them.
static void
take_held(struct worker *w, struct nat_held *held, struct burst *ret_again)
{
	ret_again->n = 0;
	for (uint32_t i = 0; i < held->n; i++) {
		struct pkt *p = held->pkt[i];

		if (is_over(w, held, p) ||
			!ip_parse(p->data, p->len, &ret_again->view[ret_again->n]))
			drop(w, p, DROP_NAT_FRAGMENT);
		else
			ret_again->pkt[ret_again->n++] = p;
	}
	held->n = 0;
}

// Held again: since when it was is kept.
static void
hold_on(struct nat_held *held, struct pkt *p)
{
	held->pkt[held->n++] = p; // no more than there were
}

static void
append(struct worker *w, struct burst *b, struct pkt *p, const struct ip_view *v)
{
	if (b->n == BURST_MAX) {
		drop(w, p, DROP_TX_FULL);
		return;
	}
	b->view[b->n] = *v;
	b->pkt[b->n++] = p;
}

/* ---- from the tunnel ---- */

static const uint8_t *
source_of(const struct worker *w, const struct pkt *p)
{
	return w->net->routes[p->route].source.bytes;
}

static bool
has_source(const struct worker *w, const struct pkt *p)
{
	const uint8_t *source = source_of(w, p);

	return (load_be64(source) | load_be64(source + 8)) != 0;
}

static enum nat_verdict
translate(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	const struct nat_look *look,
	const uint8_t *source)
{
	struct mono now = { w->now_ns };

	return nat_end_from_tunnel(w->nat->nat, &w->nat->local, look, p->data, v, source, now);
}

// To another inside endpoint: through the tunnel again.
static void
turn_back(struct worker *w, struct pkt *p, const struct ip_view *v)
{
	p->fib_place = fib_begin(&w->tables->fib, v->family, v->dst);
	append(w, &w->to_peers, p, v);
}

static void
drop_from_tunnel(struct worker *w, struct pkt *p, const struct ip_view *v, enum nat_verdict verdict)
{
	if (verdict == NAT_DROP_FULL)
		refuse(w, p, v, DROP_NAT_FULL, ICMP_ERROR_PROHIBITED, FROM_PEER);
	else
		drop(w, p, reason_of(verdict));
}

// True: the packet goes on.  Else it is gone, or held.
static bool
conclude_from_tunnel(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	enum nat_verdict verdict)
{
	if (__builtin_expect(verdict == NAT_TRANSLATED || verdict == NAT_UNTOUCHED, 1))
		return true;
	if (verdict == NAT_HELD)
		hold(w, &w->nat->from_tunnel, p);
	else if (verdict == NAT_HAIRPIN)
		turn_back(w, p, v);
	else
		drop_from_tunnel(w, p, v, verdict);
	return false;
}

// What was held and has its first fragment now.
[[gnu::noinline]] static void
again_from_tunnel(struct worker *w, struct burst *b)
{
	struct nat_held *held = &w->nat->from_tunnel;
	struct burst again;

	take_held(w, held, &again);
	for (uint32_t i = 0; i < again.n; i++) {
		struct pkt *p = again.pkt[i];
		const struct ip_view *v = &again.view[i];
		enum nat_verdict verdict;
		struct nat_look look;

		nat_read_from_tunnel(w->nat->nat, p->data, v, &look);
		verdict = translate(w, p, v, &look, source_of(w, p));
		if (verdict == NAT_HELD)
			hold_on(held, p);
		else if (conclude_from_tunnel(w, p, v, verdict))
			append(w, b, p, v);
	}
}

void
nat_inbound(struct worker *w, struct burst *b)
{
	struct nat_look look[BURST_MAX];
	uint32_t first = w->n_known, kept = first;

	if (!is_on(w))
		return;
	for (uint32_t i = first; i < b->n; i++)
		nat_read_from_tunnel(w->nat->nat, b->pkt[i]->data, &b->view[i], &look[i]);
	for (uint32_t i = first; i < b->n; i++)
		nat_fetch(w->nat->nat, &look[i]);
	for (uint32_t i = first; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		enum nat_verdict verdict = NAT_UNTOUCHED;

		if (is_translated(w, v->family) && has_source(w, p))
			verdict = translate(w, p, v, &look[i], source_of(w, p));
		if (conclude_from_tunnel(w, p, v, verdict))
			burst_keep(b, kept++, i);
	}
	b->n = kept;
	if (__builtin_expect(w->nat->from_tunnel.n > 0, 0))
		again_from_tunnel(w, b);
	step_done(w->ticks, STEP_NAT);
}

void
nat_hairpin(struct worker *w, struct burst *b)
{
	uint32_t kept = 0;

	if (!is_on(w))
		return;
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];
		enum nat_verdict verdict;
		struct nat_look look;

		if (!is_translated(w, v->family) || !nat_is_hairpin(w->nat->nat, p->data, v)) {
			burst_keep(b, kept++, i);
			continue;
		}
		nat_read_from_tunnel(w->nat->nat, p->data, v, &look);
		verdict = translate(w, p, v, &look, v->dst);
		if (conclude_from_tunnel(w, p, v, verdict))
			burst_keep(b, kept++, i);
	}
	b->n = kept;
}

/* ---- to the tunnel ---- */

// A flow that the LAN begins, if it is one towards a peer.
static enum nat_verdict
record(struct worker *w, const struct ip_view *v, const struct nat_look *look)
{
	uint32_t to = fib_lookup(&w->tables->fib, v->family, v->dst);

	if (!is_translated(w, v->family) || !fib_is_peer(to))
		return NAT_UNTOUCHED;
	return nat_record(w->nat->nat, &w->nat->local, look, (struct mono){ w->now_ns });
}

static enum nat_verdict
restore(struct worker *w, struct pkt *p, const struct ip_view *v, const struct nat_look *look)
{
	enum nat_verdict verdict;
	bool is_new;

	verdict = nat_end_to_tunnel(
		w->nat->nat, look, p->data, v, (struct mono){ w->now_ns }, &is_new);
	// By a mapping, and no flow keeps that alive: the port may be somebody else's next.
	if (verdict == NAT_TRANSLATED && !nat_is_of_flow(w->nat->nat, look))
		p->flow_key = 0;
	return is_new ? record(w, v, look) : verdict;
}

static bool
conclude_to_tunnel(struct worker *w, struct pkt *p, enum nat_verdict verdict)
{
	if (__builtin_expect(verdict == NAT_TRANSLATED || verdict == NAT_UNTOUCHED, 1))
		return true;
	if (verdict == NAT_HELD)
		hold(w, &w->nat->to_tunnel, p);
	else
		drop(w, p, reason_of(verdict));
	return false;
}

[[gnu::noinline]] static void
again_to_tunnel(struct worker *w, struct burst *b)
{
	struct nat_held *held = &w->nat->to_tunnel;
	struct burst again;

	take_held(w, held, &again);
	for (uint32_t i = 0; i < again.n; i++) {
		struct pkt *p = again.pkt[i];
		const struct ip_view *v = &again.view[i];
		enum nat_verdict verdict;
		struct nat_look look;

		nat_read_to_tunnel(w->nat->nat, p->data, v, &look);
		verdict = restore(w, p, v, &look);
		if (verdict == NAT_HELD)
			hold_on(held, p);
		else if (conclude_to_tunnel(w, p, verdict))
			append(w, b, p, v);
	}
}

void
nat_outbound(struct worker *w, struct burst *b)
{
	struct nat_look look[BURST_MAX];
	uint32_t kept = 0;

	if (!is_on(w))
		return;
	for (uint32_t i = 0; i < b->n; i++)
		nat_read_to_tunnel(w->nat->nat, b->pkt[i]->data, &b->view[i], &look[i]);
	for (uint32_t i = 0; i < b->n; i++)
		nat_fetch(w->nat->nat, &look[i]);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];

		// What is told to the sender quotes the packet as it came.
		if (nat_may_translate(w->nat->nat, &look[i], v) && !link_may_enter(w, p, v))
			continue;
		if (conclude_to_tunnel(w, p, restore(w, p, v, &look[i])))
			burst_keep(b, kept++, i);
	}
	b->n = kept;
	if (__builtin_expect(w->nat->to_tunnel.n > 0, 0))
		again_to_tunnel(w, b);
	step_done(w->ticks, STEP_NAT);
}
