/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the worker: to the port, or to the control plane for a relay.
 */

#include <string.h>

#include "dataplane/stage/stages.h"

static void
transmit(struct worker *w, struct port *port, struct burst *b)
{
	uint32_t taken;

	if (b->n == 0)
		return;
	taken = port->ops->tx(port, w->id, b->pkt, b->n);
	for (uint32_t i = taken; i < b->n; i++)
		drop(w, b->pkt[i], DROP_TX_FULL);
	b->n = 0;
}

void
host_transmit(struct worker *w, struct burst *b)
{
	transmit(w, w->host, b);
	step_done(w->ticks, STEP_HOST_TRANSMIT);
}

// The same message once more, for the relay.  NULL: no buffer, and it only goes directly.
static struct pkt *
copy_of(struct worker *w, const struct pkt *p)
{
	struct pkt *copy;

	if (p->len > pkt_capacity(p->frame_len) + PKT_TAILROOM ||
		pool_get(&w->pool, &copy, 1) == 0) {
		w->counters->drops[DROP_NO_BUFFER]++;
		return NULL;
	}
	copy->peer = p->peer;
	copy->len = p->len;
	memcpy(copy->data, p->data, p->len);
	return copy;
}

[[gnu::noinline]] static void
relay(struct worker *w, struct burst *b)
{
	struct pkt *out[BURST_MAX];
	uint32_t kept = 0, n = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i], *relayed = p;

		if (p->outer->family != 0)
			b->pkt[kept++] = p;
		if (p->outer->relay == 0)
			continue;
		if (p->outer->family != 0)
			relayed = copy_of(w, p);
		if (relayed == NULL)
			continue;
		relayed->kind = PKT_RELAY;
		out[n++] = relayed;
	}
	b->n = kept;
	worker_punt_all(w, out, n, DROP_RELAY_FULL);
}

void
relay_transmit(struct worker *w, struct burst *b)
{
	if (__builtin_expect(w->n_relayed > 0, 0))
		relay(w, b);
}

void
wire_transmit(struct worker *w, struct burst *b)
{
	transmit(w, w->wire, b);
	step_done(w->ticks, STEP_WIRE_TRANSMIT);
}
