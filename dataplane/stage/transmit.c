/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the worker: to the port, or to the control plane for a relay.
 */

#include <string.h>

#include "dataplane/stage/link_batch.h"
#include "dataplane/stage/outer.h"
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

static bool
fits(const struct pkt *p, const struct outer_way *way)
{
	return p->len + way->headers_len <= way->mtu &&
	       pkt_headroom(p) >= (uint32_t)way->headers_len + ETHER_LEN;
}

// By the link port of its way.
static void
encapsulate(struct worker *w,
	struct link_batch *batch,
	const struct outer_way *way,
	uint64_t neighbour,
	struct pkt *p)
{
	uint16_t type = way->of.family == ADDR_V4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6;
	uint8_t mac[ETHER_ADDR_LEN];

	link_mac_of(neighbour, mac);
	outer_write(w, way, p);
	if (link_write_header(p, &w->net->ports[way->port], mac, type))
		link_batch_add(w, batch, way->port, p);
	else
		drop(w, p, DROP_LONG); // not reached: fits() has looked
}

/*
 * What a link port leads to leaves by it.  What is too long for it, or whose next hop is not known,
 * stays: the kernel's socket cuts and resolves.
 */
[[gnu::noinline]] static void
by_links(struct worker *w, struct burst *b)
{
	const struct pkt_outer *path = NULL;
	const struct outer_way *way = NULL;
	struct link_batch batch;
	uint64_t neighbour = 0;
	uint32_t kept = 0;
	bool is_open = false;

	link_batch_init(&batch);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		if (p->outer != path) { // once for a run of packets to the same place
			path = p->outer;
			way = outer_way_of(w, path);
			is_open = outer_is_open(w, way, &neighbour);
		}
		if (is_open && fits(p, way))
			encapsulate(w, &batch, way, neighbour, p);
		else
			b->pkt[kept++] = p;
	}
	b->n = kept;
	link_batch_send(w, &batch);
}

void
wire_transmit(struct worker *w, struct burst *b)
{
	if (w->net->n_ports > 0 && b->n > 0)
		by_links(w, b);
	transmit(w, w->wire, b);
	step_done(w->ticks, STEP_WIRE_TRANSMIT);
}
