/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ICMP errors.  They are rare, and so the whole message is summed.
 */

#include "lib/nat/flow.h"

#include "lib/nat/rewrite.h"

#define QUOTE_AT NAT_ICMP_HEADER_LEN /* in the ICMP message */

// The packet that an error quotes; it may be cut anywhere behind 8 bytes of its transport header.
struct quoted {
	uint8_t *p;
	struct ip_view view; /* total_len: what there is of it */
	struct nat_look look;
};

static bool
is_valid(const struct nat_look *look, const uint8_t *p, const struct ip_view *v)
{
	uint32_t len = v->total_len - look->l4;
	uint64_t sum = 0;

	if (v->family == ADDR_V6)
		sum = checksum_add_pseudo(0, ADDR_V6, v->src, v->dst, look->protocol, len);
	return checksum_fold(checksum_add(sum, p + look->l4, len)) == 0xffff;
}

static bool
view_quoted_v4(const uint8_t *q, uint32_t len, struct ip_view *ret)
{
	uint32_t header_len, total_len;

	if (len < IPV4_HEADER_LEN)
		return false;
	header_len = (uint32_t)(q[0] & 15) * 4;
	total_len = load_be16(q + 2);
	if (q[0] >> 4 != 4 || header_len < IPV4_HEADER_LEN || header_len > len ||
		total_len < header_len || !checksum_is_valid_ipv4(q, header_len))
		return false;
	*ret = (struct ip_view){
		.src = q + 12,
		.dst = q + 16,
		.total_len = total_len < len ? total_len : len,
		.fragment = load_be16(q + 6),
		.family = ADDR_V4,
		.header_len = (uint8_t)header_len,
		.protocol = q[9],
	};
	return true;
}

static bool
view_quoted_v6(const uint8_t *q, uint32_t len, struct ip_view *ret)
{
	uint32_t total_len;

	if (len < IPV6_HEADER_LEN || q[0] >> 4 != 6)
		return false;
	total_len = IPV6_HEADER_LEN + (uint32_t)load_be16(q + 4);
	*ret = (struct ip_view){
		.src = q + 8,
		.dst = q + 24,
		.total_len = total_len < len ? total_len : len,
		.fragment = IPV4_DONT_FRAGMENT,
		.family = ADDR_V6,
		.header_len = IPV6_HEADER_LEN,
		.protocol = q[6],
	};
	return true;
}

// side: whose endpoint of the quoted packet comes first in the key.
static bool
read_quoted(enum nat_side side,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct quoted *ret)
{
	uint32_t at = look->l4 + QUOTE_AT;

	ret->p = p + at;
	if (v->family == ADDR_V4 ? !view_quoted_v4(p + at, v->total_len - at, &ret->view)
				 : !view_quoted_v6(p + at, v->total_len - at, &ret->view))
		return false;
	nat_read_quoted(side, ret->p, &ret->view, &ret->look);
	return ret->look.shape == NAT_SHAPE_FLOW;
}

// One end of the quoted packet, and the checksums inside the quotation as far as it goes.
static void
translate_quoted(struct quoted *q,
	uint32_t addr_at,
	uint32_t port_at,
	const uint64_t addr[static 2],
	uint16_t port)
{
	uint8_t family = q->view.family, protocol = q->look.protocol;
	uint8_t *l4 = q->p + q->look.l4;
	uint32_t there = q->view.total_len - q->look.l4;
	uint16_t address_delta = rewrite_delta(q->p + addr_at, addr, family == ADDR_V4 ? 4 : 16);
	uint16_t delta = rewrite_delta_port(load_be16(l4 + port_at), port);

	if (protocol != IP_PROTOCOL_ICMP)
		delta = rewrite_delta_add(delta, address_delta);
	rewrite_address(q->p, family, addr_at, addr, address_delta);
	if (rewrite_checksum_at(protocol) + 2 <= there)
		rewrite_transport(l4, protocol, port_at, port, delta);
	else
		store_be16(l4 + port_at, port);
}

// The error's own end, and its checksum.
static void
finish(const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	uint32_t addr_at,
	const uint64_t addr[static 2])
{
	uint32_t len = v->family == ADDR_V4 ? 4 : 16;

	rewrite_address(p, v->family, addr_at, addr, rewrite_delta(p + addr_at, addr, len));
	checksum_fill_transport((enum addr_family)v->family, v->src, v->dst, look->protocol,
		p + look->l4, v->total_len - look->l4);
}

enum nat_verdict
nat_error_to_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v)
{
	struct nat_target target;
	struct quoted q;

	if (!is_valid(look, p, v) || !read_quoted(NAT_INSIDE, look, p, v, &q))
		return NAT_DROP_MALFORMED;
	// What it quotes was sent by our outside endpoint.
	if (!nat_find_target(nat, q.look.key, &target))
		return NAT_DROP_NO_FLOW;
	if (target.flow != NULL && target.flow->kind == NAT_KIND_PLAIN)
		return NAT_UNTOUCHED;
	translate_quoted(&q, rewrite_src_at(v->family), nat_is_icmp(q.look.protocol) ? 4 : 0,
		target.inside, target.inside_port);
	finish(look, p, v, rewrite_dst_at(v->family), target.inside);
	return NAT_TRANSLATED;
}

// The outside endpoint that the sender of the quoted packet knows.  False: none.
static bool
find_outside(const struct nat *nat,
	const struct quoted *q,
	const uint64_t source[static 2],
	const struct nat_flow **ret_flow,
	uint16_t *ret_port)
{
	const uint64_t *key = q->look.key;
	uint32_t address;

	*ret_flow = nat_find_flow(nat, NAT_INSIDE, key, nat_hash(nat->secret, NAT_INSIDE, key));
	if (*ret_flow != NULL) {
		*ret_port = (*ret_flow)->outside_port;
		return true;
	}
	// Let in by a mapping, and not answered otherwise.
	address = nat_find_address(nat, q->view.family, source);
	if (address == NAT_NONE)
		return false;
	*ret_port = (uint16_t)nat_find_mapping(nat, key, address);
	return *ret_port != 0;
}

enum nat_verdict
nat_error_from_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source)
{
	bool is_hairpin = memcmp(v->dst, source, v->family == ADDR_V4 ? 4 : 16) == 0;
	const struct nat_flow *flow;
	uint64_t outside[2];
	struct quoted q;
	uint16_t port;

	if (!is_valid(look, p, v) || !read_quoted(NAT_OUTSIDE, look, p, v, &q))
		return NAT_DROP_MALFORMED;
	nat_load_addr(v->family, source, outside);
	// What it quotes was delivered to an inside endpoint.
	if (!find_outside(nat, &q, outside, &flow, &port))
		return NAT_DROP_NO_FLOW;
	if (flow != NULL && flow->kind == NAT_KIND_PLAIN)
		return NAT_UNTOUCHED;
	if (flow != NULL)
		memcpy(outside, nat->m->addresses[flow->address].bytes, sizeof(outside));
	translate_quoted(
		&q, rewrite_dst_at(v->family), nat_is_icmp(q.look.protocol) ? 4 : 2, outside, port);
	finish(look, p, v, rewrite_src_at(v->family), outside);
	if (!is_hairpin)
		return NAT_TRANSLATED;
	return nat_error_to_tunnel(nat, look, p, v) == NAT_TRANSLATED ? NAT_HAIRPIN
	                                                              : NAT_DROP_NO_FLOW;
}

bool
nat_is_hairpin(const struct nat *nat, const uint8_t *p, const struct ip_view *v)
{
	uint64_t dst[2];
	struct nat_look look;
	uint32_t address;
	uint8_t protocol;
	uint16_t port;

	nat_load_addr(v->family, v->dst, dst);
	address = nat_find_address(nat, v->family, dst);
	if (address == NAT_NONE)
		return false;
	nat_read(NAT_OUTSIDE, p, v, &look);
	if (look.shape == NAT_SHAPE_FLOW && !nat_is_icmp(look.protocol)) {
		protocol = look.protocol;
		port = (uint16_t)look.key[4];
	} else if (look.shape == NAT_SHAPE_ERROR) {
		struct quoted q;

		// Read only: the quotation's bytes are not written through this.
		if (!read_quoted(NAT_INSIDE, &look, (uint8_t *)(uintptr_t)p, v, &q))
			return false;
		protocol = q.look.protocol;
		port = (uint16_t)q.look.key[4];
	} else {
		return false;
	}
	return nat_is_live(&nat_mapping_at(nat, address, protocol, port)->state);
}
