/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A packet: our own descriptor, the same for every driver.
 *
 * It lies at the beginning of its buffer (a frame of the pool, a UMEM chunk, an mbuf's private
 * area), followed by headroom, data and tailroom:
 *
 *     | struct pkt (128) | headroom | data ... | tailroom |
 *     ^ frame                       ^ data     ^ data + len        ^ frame + frame_len
 *
 * Owner:  exactly one thread at a time; handing a pkt over a ring hands over its bytes.
 */
#ifndef DATAPLANE_PATH_PKT_H
#define DATAPLANE_PATH_PKT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"

/* Room in front of the data of a fresh frame: outer IPv6, UDP and WireGuard headers and L2 (14 + 8
 * + 40 + 8 + 16), rounded up; and behind it: padding and tag. */
#define PKT_HEADROOM 128
#define PKT_TAILROOM 48

enum pkt_kind {
	PKT_WIRE,      /* UDP payload from a wire port */
	PKT_INNER,     /* IP packet from the host port or a LAN port */
	PKT_KEEPALIVE, /* empty, to be sealed for `peer` */
	PKT_RELAY,     /* a sealed message on its way to the control plane, for `peer`'s relay */
	PKT_TSMP,      /* an inner packet from `peer` on its way to the control plane */
	PKT_FRAME,     /* Ethernet frame from a link port */
};

/* pkt.port of what did not come by a port: our own answers, and what the control plane injected. */
#define PKT_PORT_OWN UINT8_MAX

/* What decrypt has to look into once the packet has proven to be authentic. */
#define PKT_FROM_ELSEWHERE 1 /* it did not come from where its peer is expected */
#define PKT_UNCONFIRMED    2 /* its session may still be `next` */
/* Either way: too long for what it leaves by, and to be cut into fragments (stage/cut.c). */
#define PKT_TO_CUT 4

/* The outer addresses of a datagram.  Layout as struct shm_path (asserted in table/peer.c). */
struct pkt_outer {
	uint8_t remote[16];   /* an IPv4 address in the first four bytes */
	uint8_t local[16];    /* all zero: not known, or whatever the routes say */
	uint16_t remote_port; /* host order */
	uint8_t family;       /* 4 or 6; 0: none */
	uint8_t relay;        /* 1: to be sent through the control plane's relay, too or only */
	uint32_t ifindex;     /* for link-local addresses; else 0 */
};
static_assert(sizeof(struct pkt_outer) == 40, "as struct shm_path");

/*
 * A short fingerprint of an endpoint and the address of ours that it wrote to, so that a worker
 * sees in the session's own line whether a packet came from where the peer is expected.
 */
static inline uint32_t
pkt_outer_tag(const struct pkt_outer *o)
{
	uint64_t rest = (uint64_t)o->remote_port << 16 ^ o->family ^ (uint64_t)o->ifindex << 32;

	// Independent products, odd factors: the processor does them side by side.
	rest *= UINT64_C(0xa0761d6478bd642f);
	rest += load_le64(o->remote) * UINT64_C(0x9e3779b97f4a7c15);
	rest += load_le64(o->remote + 8) * UINT64_C(0xbf58476d1ce4e5b9);
	rest += load_le64(o->local) * UINT64_C(0x94d049bb133111eb);
	rest += load_le64(o->local + 8) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(rest >> 32) | 1; // 0 stands for "none"
}

struct pkt {
	uint8_t *data;      /* first byte of what the packet is at this step */
	uint32_t len;       /* bytes */
	uint32_t frame_len; /* bytes of the whole frame, this structure included */
	union {
		uint64_t counter;  /* of the transport message */
		uint32_t flow_key; /* of an inner packet between tunnel and LAN: 1 + index in
		                      flow_cache.keys, 0: none */
	};
	uint32_t peer; /* number of the peer it came from, or goes to */
	union {
		uint32_t slot;      /* session slot */
		uint32_t neighbour; /* behind net_route: row of state.neighbours */
	};
	/*
	 * Received: points to rx_outer.  To be sent: to the peer's path, in memory that outlives
	 * the packet (see table/peer.h); packets with the same pointer go to the same place.
	 */
	const struct pkt_outer *outer;
	struct pkt *next;   /* in a list of packets that wait */
	uint32_t flow_hash; /* same for all packets of a flow; set by the driver that received it */
	uint8_t kind;       /* enum pkt_kind */
	uint8_t port;       /* index of the port it came by, or PKT_PORT_OWN */
	uint8_t outer_ecn;  /* two bits, of the outer header it came in or leaves with */
	uint8_t flags;      /* PKT_... */
	uint32_t outer_tag; /* received from a wire: pkt_outer_tag() of rx_outer; set by the driver
	                     */
	union {
		uint32_t fib_place; /* of the inner destination: fib_begin() with this round's
		                       tables */
		uint32_t route; /* behind net_route: number of a route in this round's network */
	};

	_Alignas(64) struct pkt_outer rx_outer;
	uint64_t rx_ns; /* when it began to wait */
};
static_assert(sizeof(struct pkt) == 128, "two cache lines");

static inline uint32_t
pkt_headroom(const struct pkt *p)
{
	return (uint32_t)(p->data - ((const uint8_t *)p + sizeof(*p)));
}

static inline uint32_t
pkt_tailroom(const struct pkt *p)
{
	return (uint32_t)((const uint8_t *)p + p->frame_len - (p->data + p->len));
}

/* Make a frame's descriptor that of an empty packet with full headroom. */
static inline void
pkt_reset(struct pkt *p)
{
	p->data = (uint8_t *)p + sizeof(*p) + PKT_HEADROOM;
	p->len = 0;
	p->outer = &p->rx_outer;
	p->next = NULL;
	p->flags = 0;
	p->outer_ecn = 0;
}

/* Most bytes of data that a fresh frame takes with its tailroom kept. */
static inline uint32_t
pkt_capacity(uint32_t frame_len)
{
	return frame_len - (uint32_t)sizeof(struct pkt) - PKT_HEADROOM - PKT_TAILROOM;
}

#endif
