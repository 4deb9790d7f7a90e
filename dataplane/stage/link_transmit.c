/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the tunnel, out of a link port: the Ethernet header, and off it goes.
 */

#include "dataplane/stage/cut.h"
#include "dataplane/stage/link_batch.h"
#include "dataplane/stage/stages.h"

void
link_batch_flush(struct worker *w, struct link_batch *batch, uint32_t at)
{
	struct port *io = w->net->ports[at].io;
	uint32_t taken = io->ops->tx(io, w->id, batch->pkt[at], batch->n[at]);

	for (uint32_t i = taken; i < batch->n[at]; i++)
		drop(w, batch->pkt[at][i], DROP_TX_FULL);
	batch->n[at] = 0;
}

void
link_batch_send(struct worker *w, struct link_batch *batch)
{
	for (uint32_t at = 0; at < w->net->n_ports; at++)
		if (batch->n[at] > 0)
			link_batch_flush(w, batch, at);
}

// The neighbour's word is read here, as late as can be: what NAT held back has waited.
static void
send(struct worker *w, struct link_batch *batch, struct pkt *p, uint8_t family)
{
	uint8_t at = w->net->routes[p->route].port;
	const struct shm_neighbour_row *row = &w->sessions.state->neighbours[p->neighbour];
	uint64_t word = atomic_load_explicit(&row->word, memory_order_relaxed);
	uint8_t mac[ETHER_ADDR_LEN];

	if (__builtin_expect(net_neighbour_state(word) != SHM_NEIGHBOUR_REACHABLE, 0)) {
		drop(w, p, DROP_NEIGHBOUR_UNKNOWN);
		return;
	}
	link_mac_of(word, mac);
	if (!link_write_header(p, &w->net->ports[at], mac,
		    family == ADDR_V4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6)) {
		drop(w, p, DROP_LONG);
		return;
	}
	link_batch_add(w, batch, at, p);
}

[[gnu::cold]] static void
send_pieces(struct worker *w, struct link_batch *batch, struct pkt *p, const struct ip_view *v)
{
	struct cut cut;
	struct pkt *piece;

	cut_begin(&cut, p, v, w->net->routes[p->route].mtu);
	while ((piece = cut_next(w, &cut)) != NULL)
		send(w, batch, piece, v->family);
	cut_end(w, &cut);
}

void
link_transmit(struct worker *w, struct burst *b)
{
	struct link_batch batch;

	if (b->n == 0)
		return;
	link_batch_init(&batch);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		if (__builtin_expect((p->flags & PKT_TO_CUT) != 0, 0))
			send_pieces(w, &batch, p, &b->view[i]);
		else
			send(w, &batch, p, b->view[i].family);
	}
	b->n = 0;
	link_batch_send(w, &batch);
	step_done(w->ticks, STEP_LINK_TRANSMIT);
}
