/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "dataplane/io/gso.h"
#include "lib/net/checksum.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_CWR 0x80

#define TCP_CHECKSUM 16 // offsets of the field
#define UDP_CHECKSUM 6

// How far a packet can be understood here.
enum depth {
	NO_FLOW,   // neither TCP nor UDP: belongs to no flow that is held
	SOME_FLOW, // TCP or UDP, but which flow cannot be seen, or not simply
	ONE_FLOW,  // ports and addresses are known, but it goes alone
	MERGEABLE, // in itself; neighbours and checksum permitting
};

struct segment {
	struct pkt *pkt;
	struct ip_view view;
	const uint8_t *transport; // of a ONE_FLOW or MERGEABLE segment
	uint32_t header_len;      // of all headers
	uint32_t payload_len;
	bool is_end; // nothing may be merged behind it
};

static enum depth
inspect_tcp(struct segment *s, uint32_t transport_len)
{
	const uint8_t *tcp = s->transport;
	uint8_t flags;
	uint32_t header_len;

	if (transport_len < TCP_HEADER_LEN)
		return ONE_FLOW;
	flags = tcp[13];
	header_len = (uint32_t)(tcp[12] >> 4) * 4;
	if (header_len < TCP_HEADER_LEN || header_len >= transport_len)
		return ONE_FLOW;
	if ((flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_URG | TCP_ACK)) != TCP_ACK)
		return ONE_FLOW;
	s->header_len = s->view.header_len + header_len;
	s->payload_len = transport_len - header_len;
	s->is_end = (flags & TCP_PSH) != 0;
	return MERGEABLE;
}

static enum depth
inspect_udp(struct segment *s, uint32_t transport_len)
{
	const uint8_t *udp = s->transport;

	// A datagram without a checksum may not get one, as it does when it is cut again.
	if (transport_len <= UDP_HEADER_LEN || load_be16(udp + 4) != transport_len ||
		load_be16(udp + UDP_CHECKSUM) == 0)
		return ONE_FLOW;
	s->header_len = s->view.header_len + UDP_HEADER_LEN;
	s->payload_len = transport_len - UDP_HEADER_LEN;
	s->is_end = false;
	return MERGEABLE;
}

// Does something stand between the IPv6 header and that of the transport?
static bool
has_extensions(const uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;

	return v->family == ADDR_V6 &&
	       (ip_find_transport(p, v, &t) < 0 || t.offset != v->header_len);
}

static enum depth
inspect(struct segment *s, struct pkt *pkt)
{
	uint32_t transport_len;
	enum depth depth;

	s->pkt = pkt;
	if (!ip_parse(pkt->data, pkt->len, &s->view))
		return NO_FLOW;
	if (has_extensions(pkt->data, &s->view))
		return SOME_FLOW;
	if (s->view.protocol != IP_PROTOCOL_TCP && s->view.protocol != IP_PROTOCOL_UDP)
		return NO_FLOW;
	transport_len = s->view.total_len - s->view.header_len;
	if (ip_is_fragment(&s->view) || transport_len < 4)
		return SOME_FLOW;

	s->transport = pkt->data + s->view.header_len;
	depth = s->view.protocol == IP_PROTOCOL_TCP ? inspect_tcp(s, transport_len)
	                                            : inspect_udp(s, transport_len);
	// Options of IPv4 and bytes behind the packet are rare, and not worth a rule.
	if (s->view.total_len != pkt->len ||
		(s->view.family == ADDR_V4 && s->view.header_len != IPV4_HEADER_LEN))
		return ONE_FLOW;
	return depth;
}

// Both checksums, which the receiver of a super-packet does not see any more.
static bool
has_right_checksums(const uint8_t *p, uint32_t len, const struct gso_flow *f)
{
	struct ip_view v;
	uint64_t sum;

	if (!ip_parse(p, len, &v))
		return false;
	if (v.family == ADDR_V4 && !checksum_is_valid_ipv4(p, v.header_len))
		return false;
	sum = checksum_add_pseudo(0, v.family, v.src, v.dst, f->protocol, len - f->transport);
	sum = checksum_add(sum, p + f->transport, len - f->transport);
	return checksum_fold(sum) == 0xffff;
}

static bool
is_first_checked(struct gso_flow *f)
{
	const struct pkt *first = f->super.pkts[0];

	if (!f->is_checked)
		f->is_checked = has_right_checksums(first->data, first->len, f);
	return f->is_checked;
}

static bool
is_same_flow(const struct gso_flow *f, const struct segment *s)
{
	const uint8_t *held = f->super.pkts[0]->data;
	uint32_t ports;

	memcpy(&ports, s->transport, sizeof(ports));
	if (f->ports != ports || f->protocol != s->view.protocol || f->family != s->view.family)
		return false;
	if (f->family == ADDR_V4)
		return memcmp(held + 12, s->view.src, 2 * IPV4_ADDR_LEN) == 0;
	return memcmp(held + 8, s->view.src, 2 * IPV6_ADDR_LEN) == 0;
}

static struct gso_flow *
find_flow(struct gso_merge *merge, const struct segment *s)
{
	for (unsigned i = 0; i < merge->n_flows; i++) {
		if (is_same_flow(&merge->flows[i], s))
			return &merge->flows[i];
	}
	return NULL;
}

// Cutting counts identifiers up.  Those of packets that may not be fragmented mean nothing (RFC
// 6864 section 4.1), so there equal ones are fine too, but not a mixture.
static bool
is_next_id(const struct gso_flow *f, const struct segment *s)
{
	uint16_t id = load_be16(s->pkt->data + 4);

	if (id == (uint16_t)(f->first_id + f->super.n) && (f->super.n < 2 || !f->has_equal_ids))
		return true;
	return ip_dont_fragment(&s->view) && id == f->first_id &&
	       (f->super.n < 2 || f->has_equal_ids);
}

static bool
is_same_ip_header(const struct gso_flow *f, const struct segment *s)
{
	const uint8_t *a = f->super.pkts[0]->data, *b = s->pkt->data;

	if (f->family == ADDR_V6) // version, class, flow label; hop limit
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	// TOS, flags, TTL.  All are without options.
	return a[1] == b[1] && a[6] == b[6] && a[8] == b[8] && is_next_id(f, s);
}

static bool
is_same_tcp_header(const struct gso_flow *f, const struct segment *s)
{
	const uint8_t *a = f->super.pkts[0]->data + f->transport, *b = s->transport;

	if (load_be32(b + 4) != f->next_seq || memcmp(a + 8, b + 8, 4) != 0)
		return false; // sequence, acknowledgement
	if (a[12] != b[12] || ((a[13] & ~TCP_CWR) != (b[13] & ~TCP_PSH)))
		return false; // header length; flags: CWR on the first only
	if (memcmp(a + 14, b + 14, 2) != 0 || memcmp(a + 18, b + 18, 2) != 0)
		return false; // window, urgent pointer
	return memcmp(a + TCP_HEADER_LEN, b + TCP_HEADER_LEN,
		       f->super.header_len - f->transport - TCP_HEADER_LEN) == 0;
}

static bool
can_append(struct gso_flow *f, const struct segment *s)
{
	if (s->header_len != f->super.header_len || s->payload_len > f->piece_len)
		return false;
	if (f->super.len + s->payload_len > 65535)
		return false;
	if (!is_same_ip_header(f, s))
		return false;
	if (f->protocol == IP_PROTOCOL_TCP && !is_same_tcp_header(f, s))
		return false;
	return is_first_checked(f) && has_right_checksums(s->pkt->data, s->pkt->len, f);
}

static void
append(struct gso_flow *f, const struct segment *s)
{
	if (f->super.n == 1 && f->family == ADDR_V4)
		f->has_equal_ids = load_be16(s->pkt->data + 4) == f->first_id;
	f->super.pkts[f->super.n++] = s->pkt;
	f->super.len += s->payload_len;
	f->next_seq += s->payload_len;
}

static uint8_t
gso_type(const struct gso_flow *f, uint8_t tcp_flags)
{
	uint8_t type;

	if (f->protocol == IP_PROTOCOL_UDP)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	type = f->family == ADDR_V4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	return (tcp_flags & TCP_CWR) != 0 ? type | VIRTIO_NET_HDR_GSO_ECN : type;
}

// Make the first packet's headers those of the whole.
static void
finish_headers(struct gso_flow *f)
{
	struct gso_super *super = &f->super;
	uint8_t *p = super->pkts[0]->data, *transport = p + f->transport;
	const struct pkt *last = super->pkts[super->n - 1];
	uint32_t transport_len = super->len - f->transport;
	bool is_tcp = f->protocol == IP_PROTOCOL_TCP;
	const uint8_t *src, *dst;
	uint64_t sum;

	if (f->family == ADDR_V4) {
		src = p + 12;
		dst = p + 16;
		store_be16(p + 2, (uint16_t)super->len);
		checksum_fill_ipv4(p, IPV4_HEADER_LEN);
	} else {
		src = p + 8;
		dst = p + 24;
		store_be16(p + 4, (uint16_t)(super->len - IPV6_HEADER_LEN));
	}
	if (is_tcp)
		transport[13] |= last->data[f->transport + 13] & TCP_PSH;
	else
		store_be16(transport + 4, (uint16_t)transport_len);
	sum = checksum_add_pseudo(0, f->family, src, dst, f->protocol, transport_len);
	checksum_store(transport + (is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM), checksum_fold(sum));

	super->hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type(f, transport[13]),
		.hdr_len = (uint16_t)super->header_len,
		.gso_size = (uint16_t)f->piece_len,
		.csum_start = f->transport,
		.csum_offset = is_tcp ? TCP_CHECKSUM : UDP_CHECKSUM,
	};
}

static void
emit_flow(struct gso_merge *merge, struct gso_flow *f)
{
	if (f->super.n > 1)
		finish_headers(f);
	merge->emit(merge->context, &f->super);
	merge->n_flows--;
	if (f != &merge->flows[merge->n_flows])
		*f = merge->flows[merge->n_flows];
}

static void
emit_oldest(struct gso_merge *merge)
{
	struct gso_flow *oldest = &merge->flows[0];

	for (unsigned i = 1; i < merge->n_flows; i++) {
		if (merge->flows[i].age < oldest->age)
			oldest = &merge->flows[i];
	}
	emit_flow(merge, oldest);
}

static void
emit_alone(struct gso_merge *merge, struct pkt *pkt)
{
	struct gso_super super;

	super.hdr = (struct virtio_net_hdr){};
	super.n = 1;
	super.header_len = 0;
	super.len = pkt->len;
	super.pkts[0] = pkt;
	merge->emit(merge->context, &super);
}

static void
open_flow(struct gso_merge *merge, const struct segment *s)
{
	struct gso_flow *f;

	if (merge->n_flows == GSO_MAX_FLOWS)
		emit_oldest(merge);
	f = &merge->flows[merge->n_flows++];
	f->super.hdr = (struct virtio_net_hdr){};
	f->super.n = 1;
	f->super.header_len = s->header_len;
	f->super.len = s->pkt->len;
	f->super.pkts[0] = s->pkt;
	f->age = merge->next_age++;
	memcpy(&f->ports, s->transport, sizeof(f->ports));
	f->next_seq = load_be32(s->transport + 4) + s->payload_len;
	f->piece_len = s->payload_len;
	f->first_id = load_be16(s->pkt->data + 4);
	f->has_equal_ids = false;
	f->is_checked = false;
	f->transport = s->view.header_len;
	f->protocol = s->view.protocol;
	f->family = s->view.family;
}

static bool
is_complete(const struct gso_flow *f, const struct segment *s)
{
	return s->is_end || s->payload_len < f->piece_len || f->super.n == GSO_MAX_PACKETS;
}

// A packet whose flow is known.
static void
add_to_flow(struct gso_merge *merge, const struct segment *s, bool is_mergeable)
{
	struct gso_flow *f = find_flow(merge, s);

	if (f != NULL && is_mergeable && can_append(f, s)) {
		append(f, s);
		if (is_complete(f, s))
			emit_flow(merge, f);
		return;
	}
	if (f != NULL)
		emit_flow(merge, f); // before the packet that came behind it
	if (is_mergeable && !s->is_end)
		open_flow(merge, s);
	else
		emit_alone(merge, s->pkt);
}

void
gso_merge_init(struct gso_merge *merge, bool with_udp, gso_emit emit, void *context)
{
	merge->emit = emit;
	merge->context = context;
	merge->with_udp = with_udp;
	merge->n_flows = 0;
	merge->next_age = 0;
}

void
gso_merge_add(struct gso_merge *merge, struct pkt *pkt)
{
	struct segment s;

	switch (inspect(&s, pkt)) {
	case NO_FLOW:
		emit_alone(merge, pkt);
		break;
	case SOME_FLOW:
		gso_merge_flush(merge);
		emit_alone(merge, pkt);
		break;
	case ONE_FLOW:
		add_to_flow(merge, &s, false);
		break;
	case MERGEABLE:
		add_to_flow(merge, &s, merge->with_udp || s.view.protocol == IP_PROTOCOL_TCP);
		break;
	}
}

void
gso_merge_flush(struct gso_merge *merge)
{
	while (merge->n_flows > 0)
		emit_oldest(merge);
}
