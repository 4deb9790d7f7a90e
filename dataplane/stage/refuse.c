/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets that cannot go on and whose sender is told.  Source: RFC 1812 4.3, RFC 4443;
 * ../shared/design/reliability.md 2.8.
 */

#include "dataplane/stage/stages.h"

static const struct addr *
source_for(const struct worker *w, const struct ip_view *v)
{
	return v->family == ADDR_V4 ? &w->tables->icmp_source4 : &w->tables->icmp_source6;
}

static void
answer_host(struct worker *w, struct pkt *answer)
{
	if (w->host->ops->tx(w->host, w->id, &answer, 1) == 0)
		drop(w, answer, DROP_TX_FULL);
}

void
answer_peer(struct worker *w, struct pkt *answer)
{
	struct burst *out = &w->to_peers;
	struct ip_view *v = &out->view[out->n]; // not looked at beyond the end

	answer->kind = PKT_INNER;
	answer->port = PKT_PORT_OWN;
	if (out->n == BURST_MAX || !ip_parse(answer->data, answer->len, v)) {
		drop(w, answer, DROP_TX_FULL);
		return;
	}
	answer->fib_place = fib_begin(&w->tables->fib, v->family, v->dst);
	out->pkt[out->n++] = answer;
}

void
refuse(struct worker *w,
	struct pkt *p,
	const struct ip_view *v,
	enum drop_reason reason,
	enum icmp_error error,
	bool to_host)
{
	const struct addr *source = source_for(w, v);
	struct mono now = { w->now_ns };
	struct pkt *answer;

	if (source->family != ADDR_NONE && icmp_error_is_allowed(p->data, v) &&
		icmp_limiter_allow(&w->icmp_limit, now) && pool_get(&w->pool, &answer, 1) == 1) {
		uint32_t mtu = error == ICMP_ERROR_TOO_BIG ? w->tables->mtu : 0;
		uint32_t room = pkt_capacity(answer->frame_len);

		answer->len = icmp_error_build(error, p->data, v, source, mtu, answer->data,
			room < ICMP_ERROR_MAX ? room : ICMP_ERROR_MAX);
		if (answer->len == 0)
			pool_put(&w->pool, &answer, 1);
		else if (to_host)
			answer_host(w, answer);
		else
			answer_peer(w, answer);
	}
	drop(w, p, reason);
}
