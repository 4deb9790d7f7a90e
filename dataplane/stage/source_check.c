/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cryptokey routing, inbound: the inner source must be in the allowed_ips of the peer.
 * Source: WireGuard whitepaper section 2; what a receiver refuses: peer.md 3.5.
 */

#include "dataplane/stage/stages.h"

void
source_check(struct worker *w, struct burst *b)
{
	const struct fib *fib = &w->tables->fib;
	uint32_t place[BURST_MAX]; // of the source
	uint32_t n = b->n, kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[kept];

		if (!ip_parse(p->data, p->len, v)) {
			drop(w, p, DROP_INNER_MALFORMED);
			continue;
		}
		p->len = v->total_len; // cuts the padding
		place[kept] = fib_begin(fib, v->family, v->src);
		p->fib_place = fib_begin(fib, v->family, v->dst);
		b->pkt[kept++] = p;
	}
	n = kept;
	kept = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];

		if (fib_end(fib, v->family, v->src, place[i]) != p->peer) {
			drop(w, p, DROP_SOURCE);
			continue;
		}
		burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_SOURCE_CHECK);
}
