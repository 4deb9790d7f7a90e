/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/flow.h"
#include "lib/nat/fragment.h"
#include "lib/nat/rewrite.h"

static inline void
translate_source(const struct nat *nat,
	const struct nat_flow *f,
	const struct nat_look *look,
	uint8_t *p)
{
	rewrite_address(p, f->family, rewrite_src_at(f->family),
		nat->m->addresses[f->address].bytes, f->address_delta);
	rewrite_transport(p + look->l4, look->protocol, rewrite_src_port_at(look->protocol),
		f->outside_port, f->delta);
}

static bool
addr_is(const struct ip_view *v, const uint8_t *at, const uint8_t *addr)
{
	uint64_t differs = 0;

	if (v->family == ADDR_V4)
		return load_be32(at) == load_be32(addr);
	differs |= load_be64(at) ^ load_be64(addr);
	differs |= load_be64(at + 8) ^ load_be64(addr + 8);
	return differs == 0;
}

// A packet for an outside address: the destination is translated as if it came from the LAN.
static enum nat_verdict
turn_back(const struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct nat_target *ret_target)
{
	struct nat_look outside;

	nat_read(NAT_OUTSIDE, p, v, &outside);
	if (outside.shape != NAT_SHAPE_FLOW || !nat_find_target(nat, outside.key, ret_target))
		return NAT_DROP_NO_FLOW;
	rewrite_destination(ret_target->inside, ret_target->inside_port, look->protocol, look->l4,
		p, v->family);
	return NAT_HAIRPIN;
}

// The same for a first fragment, which the later ones follow.
static enum nat_verdict
translate_first_fragment(struct nat *nat,
	const struct nat_flow *f,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	bool is_hairpin,
	struct mono now)
{
	struct nat_fragment_way way = { .verdict = NAT_TRANSLATED };
	uint8_t before[IPV6_HEADER_LEN + IP_MAX_EXTENSION_BYTES + 8];
	uint32_t len = v->total_len < sizeof(before) ? v->total_len : (uint32_t)sizeof(before);
	struct nat_target target;
	struct ip_view of_before;

	// Its key is that of the packet as it came.
	memcpy(before, p, len);
	of_before = *v;
	of_before.src = before + (v->src - p);
	of_before.dst = before + (v->dst - p);
	of_before.total_len = len;

	memcpy(way.addr, nat->m->addresses[f->address].bytes, sizeof(way.addr));
	way.id = nat_fragment_next_id(nat);
	translate_source(nat, f, look, p);
	if (v->family == ADDR_V4)
		rewrite_id(p, way.id);
	if (is_hairpin) {
		way.verdict = (uint8_t)turn_back(nat, look, p, v, &target);
		if (way.verdict == NAT_HAIRPIN)
			memcpy(way.remote, target.inside, sizeof(way.remote));
	}
	nat_fragment_remember(nat, NAT_INSIDE, before, &of_before, &way, now);
	return (enum nat_verdict)way.verdict;
}

static void
remember_verdict(struct nat *nat,
	enum nat_side side,
	const struct nat_look *look,
	const uint8_t *p,
	const struct ip_view *v,
	enum nat_verdict verdict,
	struct mono now)
{
	const struct nat_fragment_way way = { .verdict = (uint8_t)verdict };

	if (look->is_first_fragment)
		nat_fragment_remember(nat, side, p, v, &way, now);
}

// The flow of a packet from the tunnel, begun now if there is none.  NULL: *ret_verdict.
static struct nat_flow *
find_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	const struct ip_view *v,
	const uint8_t *source,
	uint32_t stamp,
	enum nat_verdict *ret_verdict)
{
	struct nat_flow *f = nat_find(nat, look);
	uint32_t live = NAT_LIVE;

	// The route, or our address, has changed: the remote host knows nothing of this flow.
	if (f != NULL && f->kind == NAT_KIND_TRANSLATED &&
		!addr_is(v, (const uint8_t *)nat->m->addresses[f->address].bytes, source)) {
		atomic_compare_exchange_strong(&f->state, &live, NAT_ABORTED);
		f = NULL;
	}
	if (f == NULL)
		f = nat_begin_from_tunnel(nat, local, look, v, source, stamp, ret_verdict);
	return f;
}

static enum nat_verdict
flow_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source,
	struct mono now)
{
	enum nat_verdict verdict = NAT_UNTOUCHED;
	uint32_t stamp = nat_stamp(now);
	struct nat_flow *f = find_from_tunnel(nat, local, look, v, source, stamp, &verdict);
	bool is_hairpin = addr_is(v, v->dst, source);
	struct nat_target target;

	if (f != NULL)
		nat_track(f, look, true, stamp);
	if (f == NULL || f->kind == NAT_KIND_PLAIN) {
		remember_verdict(nat, NAT_INSIDE, look, p, v, verdict, now);
		return verdict;
	}
	if (__builtin_expect(look->is_first_fragment, 0))
		return translate_first_fragment(nat, f, look, p, v, is_hairpin, now);
	translate_source(nat, f, look, p);
	if (__builtin_expect(is_hairpin, 0))
		return turn_back(nat, look, p, v, &target);
	return NAT_TRANSLATED;
}

static enum nat_verdict
later_from_tunnel(struct nat *nat, uint8_t *p, const struct ip_view *v, struct mono now)
{
	struct nat_fragment_way way;

	if (!nat_fragment_find(nat, NAT_INSIDE, p, v, now, &way))
		return NAT_HELD;
	if (way.verdict != NAT_TRANSLATED && way.verdict != NAT_HAIRPIN)
		return (enum nat_verdict)way.verdict;
	rewrite_address_now(p, v->family, rewrite_src_at(v->family), way.addr);
	if (v->family == ADDR_V4)
		rewrite_id(p, way.id);
	if (way.verdict == NAT_HAIRPIN)
		rewrite_address_now(p, v->family, rewrite_dst_at(v->family), way.remote);
	return (enum nat_verdict)way.verdict;
}

enum nat_verdict
nat_end_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source,
	struct mono now)
{
	switch ((enum nat_shape)look->shape) {
	case NAT_SHAPE_FLOW:
		return flow_from_tunnel(nat, local, look, p, v, source, now);
	case NAT_SHAPE_LATER:
		return later_from_tunnel(nat, p, v, now);
	case NAT_SHAPE_ERROR:
		return nat_error_from_tunnel(nat, look, p, v, source);
	case NAT_SHAPE_OTHER:
		return NAT_DROP_PROTOCOL;
	case NAT_SHAPE_BAD:
		break;
	}
	return NAT_DROP_MALFORMED;
}

enum nat_verdict
nat_from_tunnel(struct nat *nat,
	struct nat_local *local,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source,
	struct mono now)
{
	struct nat_look look;

	nat_read_from_tunnel(nat, p, v, &look);
	nat_fetch(nat, &look);
	return nat_end_from_tunnel(nat, local, &look, p, v, source, now);
}
