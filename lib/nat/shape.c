/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/shape.h"

static void
set_key(enum nat_side side,
	const struct ip_view *v,
	struct nat_look *look,
	uint16_t src,
	uint16_t dst)
{
	bool inside = side == NAT_INSIDE;

	nat_load_addr(v->family, inside ? v->src : v->dst, look->key);
	nat_load_addr(v->family, inside ? v->dst : v->src, look->key + 2);
	look->key[4] =
		nat_key_rest(inside ? src : dst, inside ? dst : src, look->protocol, v->family);
}

static enum nat_shape
read_icmp(enum nat_side side, const uint8_t *l4, const struct ip_view *v, struct nat_look *look)
{
	bool is_v6 = look->protocol == IP_PROTOCOL_IPV6_ICMP;
	uint8_t type = l4[0];
	uint16_t id = load_be16(l4 + 4);
	bool is_request = type == (is_v6 ? NAT_ICMP6_ECHO_REQUEST : NAT_ICMP4_ECHO_REQUEST);
	bool is_reply = type == (is_v6 ? NAT_ICMP6_ECHO_REPLY : NAT_ICMP4_ECHO_REPLY);
	uint16_t begun_by_remote = is_request != (side == NAT_INSIDE);

	if (is_v6 != (v->family == ADDR_V6))
		return NAT_SHAPE_OTHER;
	if (is_request || is_reply) {
		if (side == NAT_INSIDE)
			set_key(side, v, look, id, begun_by_remote);
		else
			set_key(side, v, look, begun_by_remote, id);
		return NAT_SHAPE_FLOW;
	}
	if (is_v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 11 || type == 12)
		return look->is_first_fragment ? NAT_SHAPE_BAD : NAT_SHAPE_ERROR;
	return NAT_SHAPE_OTHER;
}

// Whole transport headers only: what is cut within one cannot be judged, and is made so on purpose
// (RFC 1858).  Of TCP, tcp_len bytes.
static enum nat_shape
read_transport(enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	uint32_t tcp_len,
	struct nat_look *look)
{
	bool is_icmp = nat_is_icmp(look->protocol);
	const uint8_t *l4 = p + look->l4;

	if (!is_icmp && look->protocol != IP_PROTOCOL_TCP && look->protocol != IP_PROTOCOL_UDP)
		return NAT_SHAPE_OTHER;
	if (v->total_len - look->l4 < (look->protocol == IP_PROTOCOL_TCP ? tcp_len : 8))
		return NAT_SHAPE_BAD;
	if (is_icmp)
		return read_icmp(side, l4, v, look);
	if (look->protocol == IP_PROTOCOL_TCP && tcp_len > NAT_TCP_FLAGS)
		look->flags = l4[NAT_TCP_FLAGS];
	set_key(side, v, look, load_be16(l4), load_be16(l4 + 2));
	return NAT_SHAPE_FLOW;
}

static inline bool
is_plain(const struct ip_view *v)
{
	if (v->family == ADDR_V4)
		return !ip_is_fragment(v);
	return v->protocol == IP_PROTOCOL_TCP || v->protocol == IP_PROTOCOL_UDP ||
	       v->protocol == IP_PROTOCOL_IPV6_ICMP;
}

// Fragments, extension headers.  False: the shape is known already.
static bool
find_transport(const uint8_t *p, const struct ip_view *v, struct nat_look *look)
{
	struct ip_transport t;

	if (ip_find_transport(p, v, &t) < 0) {
		look->shape = NAT_SHAPE_BAD;
		return false;
	}
	look->l4 = t.offset;
	look->protocol = t.protocol;
	if (t.is_later_fragment) {
		look->shape = NAT_SHAPE_LATER;
		return false;
	}
	look->is_first_fragment = t.is_fragment;
	return true;
}

static void
read_with(enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	uint32_t tcp_len,
	struct nat_look *look)
{
	look->l4 = v->header_len;
	look->row = UINT32_MAX;
	look->protocol = v->protocol;
	look->flags = 0;
	look->is_first_fragment = false;
	if (is_plain(v) || find_transport(p, v, look))
		look->shape = (uint8_t)read_transport(side, p, v, tcp_len, look);
}

void
nat_read(enum nat_side side, const uint8_t *p, const struct ip_view *v, struct nat_look *ret_look)
{
	read_with(side, p, v, TCP_HEADER_LEN, ret_look);
}

void
nat_read_quoted(enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look)
{
	read_with(side, p, v, NAT_QUOTED_LEN, ret_look);
}
