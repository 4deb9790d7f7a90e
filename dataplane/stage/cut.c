/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/cut.h"

#include <string.h>

#include "dataplane/stage/link_batch.h"
#include "dataplane/stage/stages.h"
#include "lib/net/cut_fragments.h"

bool
cut_is_possible(const struct ip_view *v, uint32_t mtu)
{
	return cut_fragments_count(v, mtu) > 1;
}

void
cut_begin(struct cut *cut, struct pkt *p, const struct ip_view *v, uint32_t mtu)
{
	p->flags &= (uint8_t)~PKT_TO_CUT;
	*cut = (struct cut){
		.whole = p,
		.view = *v,
		.mtu = mtu,
		.count = cut_fragments_count(v, mtu),
	};
}

// What is known of the whole, its Ethernet header included: it may have to be answered by it.
static void
inherit(struct pkt *piece, const struct pkt *whole)
{
	piece->peer = whole->peer;
	piece->slot = whole->slot;
	piece->fib_place = whole->fib_place;
	piece->flow_hash = whole->flow_hash;
	piece->kind = whole->kind;
	piece->port = whole->port;
	memcpy(piece->data - ETHER_LEN, whole->data - ETHER_LEN, ETHER_LEN);
}

struct pkt *
cut_next(struct worker *w, struct cut *cut)
{
	struct pkt *piece;

	if (cut->at >= cut->count)
		return NULL;
	if (pool_get(&w->pool, &piece, 1) == 0) {
		w->counters->drops[DROP_NO_BUFFER]++;
		cut->at = cut->count; // the rest would be of no use
		return NULL;
	}
	piece->len = cut_fragment(cut->whole->data, &cut->view, cut->mtu, cut->at++, piece->data,
		pkt_capacity(piece->frame_len));
	if (piece->len == 0) {
		drop(w, piece, DROP_LONG);
		cut->at = cut->count;
		return NULL;
	}
	inherit(piece, cut->whole);
	return piece;
}

void
cut_end(struct worker *w, struct cut *cut)
{
	pool_put(&w->pool, &cut->whole, 1);
}
