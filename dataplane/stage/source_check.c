/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cryptokey routing, inbound: the inner source must be in the allowed_ips of the peer.
 * Source: WireGuard whitepaper section 2; what a receiver refuses: peer.md 3.5.
 */

#include <assert.h>

#include "dataplane/stage/stages.h"

static_assert(BURST_MAX <= 64, "a bit for each packet of a burst");

// Look sources up, where the session's own line does not say that it is right.
static void
look_up(struct worker *w, struct burst *b, const uint32_t place[BURST_MAX], uint64_t unknown)
{
	const struct fib *fib = &w->tables->fib;
	uint32_t n = b->n, kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const struct ip_view *v = &b->view[i];

		if ((unknown >> i & 1) != 0) {
			if (fib_end(fib, v->family, v->src, place[i]) != p->peer) {
				drop(w, p, DROP_SOURCE);
				continue;
			}
			if (v->family == ADDR_V4)
				session_remember_source(&w->sessions, p->slot,
					session_source(v->src, w->tables->serial));
		}
		burst_keep(b, kept++, i);
	}
	b->n = kept;
}

void
source_check(struct worker *w, struct burst *b)
{
	const struct tables *tables = w->tables;
	const struct session_table sessions = w->sessions;
	uint32_t place[BURST_MAX]; // of an unknown source
	uint32_t n = b->n, kept = 0;
	uint64_t unknown = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[kept];

		if (!ip_parse(p->data, p->len, v)) {
			drop(w, p, DROP_INNER_MALFORMED);
			continue;
		}
		p->len = v->total_len; // cuts the padding
		if (v->family != ADDR_V4 || !session_has_source(&sessions, p->slot,
						    session_source(v->src, tables->serial))) {
			place[kept] = fib_begin(&tables->fib, v->family, v->src);
			unknown |= UINT64_C(1) << kept;
		}
		p->fib_place = fib_begin(&tables->fib, v->family, v->dst);
		b->pkt[kept++] = p;
	}
	b->n = kept;
	if (unknown != 0)
		look_up(w, b, place, unknown);
	step_done(w->ticks, STEP_SOURCE_CHECK);
}
