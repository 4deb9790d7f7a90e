/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ethernet frames on their way out, gathered by port, so that each port is called once per burst
 * and the order of its packets is kept.
 *
 * Thread: a worker, on its stack.
 */
#ifndef DATAPLANE_STAGE_LINK_BATCH_H
#define DATAPLANE_STAGE_LINK_BATCH_H

#include <stdint.h>
#include <string.h>

#include "dataplane/path/worker.h"
#include "lib/base/bytes.h"

#define ETHER_LEN       14
#define ETHER_ADDR_LEN  6
#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_IPV6 0x86dd

struct link_batch {
	uint32_t n[SHM_MAX_PORTS];
	struct pkt *pkt[SHM_MAX_PORTS][BURST_MAX]; /* the first n are set */
};

static inline void
link_batch_init(struct link_batch *batch)
{
	memset(batch->n, 0, sizeof(batch->n));
}

/* What was gathered for port number `at` of w->net leaves. */
void link_batch_flush(struct worker *w, struct link_batch *batch, uint32_t at);
/* The same for all ports. */
void link_batch_send(struct worker *w, struct link_batch *batch);

static inline void
link_batch_add(struct worker *w, struct link_batch *batch, uint32_t at, struct pkt *p)
{
	if (batch->n[at] == BURST_MAX)
		link_batch_flush(w, batch, at);
	batch->pkt[at][batch->n[at]++] = p;
}

/*
 * Write an Ethernet header in front of an IP packet.  to: 6 bytes.  False: no room, and nothing has
 * changed.
 */
[[nodiscard]] static inline bool
link_write_header(struct pkt *p, const struct net_port *port, const uint8_t *to, uint16_t type)
{
	if (pkt_headroom(p) < ETHER_LEN)
		return false;
	p->data -= ETHER_LEN;
	p->len += ETHER_LEN;
	memmove(p->data, to, ETHER_ADDR_LEN); // it may be the header that the packet came with
	memcpy(p->data + ETHER_ADDR_LEN, port->mac, ETHER_ADDR_LEN);
	store_be16(p->data + 12, type);
	return true;
}

/* The link-layer address in a neighbour's word. */
static inline void
link_mac_of(uint64_t word, uint8_t ret_mac[ETHER_ADDR_LEN])
{
	uint8_t bytes[8];

	store_le64(bytes, word);
	memcpy(ret_mac, bytes, ETHER_ADDR_LEN);
}

#endif
