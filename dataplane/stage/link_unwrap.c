/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ethernet frames -> what they carry.  The steer program has chosen them; nothing is taken on trust
 * from it, and what it should not have sent here goes to the kernel or nowhere.
 *
 * Source: ../shared/design/architecture.md 3.1 and 11, "VLAN".
 */

#include <string.h>

#include "dataplane/stage/link_batch.h"
#include "dataplane/stage/link_local.h"
#include "dataplane/stage/stages.h"
#include "lib/net/checksum.h"
#include "lib/net/checksum_fill.h"
#include "lib/wg/message.h"

#define AHEAD 4 // frames whose first line is fetched before it is looked at

#define VLAN_TAG_LEN   4
#define ETHER_TYPE_TAG 0x8100
#define VLAN_ID        0x0fff

/*
 * Past the Ethernet header, which is left in front of the packet.  A tag that says only a priority
 * (VLAN 0) belongs to the untagged network; it is cut out.
 */
static enum drop_reason
strip_ethernet(struct pkt *p, const struct net_port *port)
{
	uint16_t type;

	if (p->len < ETHER_LEN)
		return DROP_LINK_MALFORMED;
	if (memcmp(p->data, port->mac, ETHER_ADDR_LEN) != 0)
		return DROP_LINK_OTHER;
	type = load_be16(p->data + 12);
	if (type == ETHER_TYPE_TAG) {
		if (p->len < ETHER_LEN + VLAN_TAG_LEN)
			return DROP_LINK_MALFORMED;
		if ((load_be16(p->data + ETHER_LEN) & VLAN_ID) != 0)
			return DROP_VLAN;
		type = load_be16(p->data + ETHER_LEN + 2);
		memmove(p->data + VLAN_TAG_LEN, p->data, 2 * ETHER_ADDR_LEN);
		p->data += VLAN_TAG_LEN;
		p->len -= VLAN_TAG_LEN;
	}
	if (type != ETHER_TYPE_IPV4 && type != ETHER_TYPE_IPV6)
		return DROP_LINK_MALFORMED;
	p->data += ETHER_LEN;
	p->len -= ETHER_LEN;
	return DROP_NONE;
}

// Nobody has looked at the header's checksum before us; the network card's word does not arrive.
static bool
parse(struct pkt *p, struct ip_view *v)
{
	uint16_t type = load_be16(p->data - 2);

	if (!ip_parse(p->data, p->len, v) || (v->family == ADDR_V4) != (type == ETHER_TYPE_IPV4))
		return false;
	if (v->family == ADDR_V4 && !checksum_is_valid_ipv4(p->data, v->header_len))
		return false;
	p->len = v->total_len; // what is behind it filled up a short frame
	return true;
}

// A whole transport message to our port: then *ret_len is its length.
static bool
is_transport_message(const struct worker *w,
	const struct pkt *p,
	const struct ip_view *v,
	uint32_t *ret_len)
{
	const uint8_t *udp = p->data + v->header_len;
	uint32_t udp_len, rest = p->len - v->header_len;

	if (v->protocol != IP_PROTOCOL_UDP || rest < UDP_HEADER_LEN + WG_TRANSPORT_MIN_LEN ||
		load_be16(udp + 2) != w->net->listen_port)
		return false;
	if (v->family == ADDR_V4 && ip_is_fragment(v))
		return false; // the kernel's to put together
	udp_len = load_be16(udp + 4);
	if (udp_len < UDP_HEADER_LEN + WG_TRANSPORT_MIN_LEN || udp_len > rest)
		return false;
	*ret_len = udp_len - UDP_HEADER_LEN;
	return load_le32(udp + UDP_HEADER_LEN) == WG_MESSAGE_TRANSPORT_DATA;
}

// As a socket would describe it.
static void
make_wire(const struct net_port *port, struct pkt *p, const struct ip_view *v, uint32_t len)
{
	uint32_t addr_len = v->family == ADDR_V4 ? IPV4_ADDR_LEN : IPV6_ADDR_LEN;
	struct pkt_outer *o = &p->rx_outer;

	*o = (struct pkt_outer){
		.family = v->family,
		.remote_port = load_be16(p->data + v->header_len),
	};
	memcpy(o->remote, v->src, addr_len);
	memcpy(o->local, v->dst, addr_len);
	if (v->family == ADDR_V6 && is_link_local(ADDR_V6, v->src))
		o->ifindex = port->ifindex;
	p->outer = o;
	p->outer_tag = pkt_outer_tag(o);
	p->outer_ecn = v->ecn;
	p->flow_hash = p->outer_tag;
	p->kind = PKT_WIRE;
	p->data += v->header_len + UDP_HEADER_LEN;
	p->len = len;
}

// The last address that was found to be ours: it is mostly the same one.
struct known_local {
	uint8_t family;
	uint8_t addr[16];
};

static bool
is_ours(const struct worker *w, struct known_local *known, const struct ip_view *v)
{
	uint32_t len = v->family == ADDR_V4 ? IPV4_ADDR_LEN : IPV6_ADDR_LEN;

	if (known->family == v->family && memcmp(known->addr, v->dst, len) == 0)
		return true;
	if (!net_is_local(w->net, v->family, v->dst))
		return false;
	known->family = v->family;
	memcpy(known->addr, v->dst, len);
	return true;
}

void
link_unwrap(struct worker *w, const struct net_port *port, struct burst *b, struct burst *ret_wire)
{
	struct known_local known = {};
	uint32_t n = b->n, kept = 0, len;

	ret_wire->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		struct ip_view *v = &b->view[kept];
		enum drop_reason reason;

		if (i + AHEAD < n)
			__builtin_prefetch(b->pkt[i + AHEAD]->data);
		reason = strip_ethernet(p, port);
		if (reason == DROP_NONE && !parse(p, v))
			reason = DROP_LINK_MALFORMED;
		if (reason != DROP_NONE) {
			drop(w, p, reason);
			continue;
		}
		if (is_transport_message(w, p, v, &len) && is_ours(w, &known, v)) {
			make_wire(port, p, v, len);
			ret_wire->pkt[ret_wire->n++] = p;
			continue;
		}
		p->kind = PKT_INNER;
		p->flow_hash = 0;
		b->pkt[kept++] = p;
	}
	b->n = kept;
	step_done(w->ticks, STEP_LINK_UNWRAP);
}

void
link_fill_checksums(struct worker *w, const struct net_port *port, struct burst *b)
{
	if ((port->flags & SHM_PORT_FILL_CHECKSUM) == 0)
		return;
	for (uint32_t i = 0; i < b->n; i++)
		checksum_fill_missing(b->pkt[i]->data, &b->view[i]);
	step_done(w->ticks, STEP_LINK_UNWRAP);
}
