/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/flow.h"
#include "lib/nat/fragment.h"
#include "lib/nat/rewrite.h"

static bool
is_in_range(const struct nat *nat, uint16_t port)
{
	uint32_t range = atomic_load_explicit(&nat->range, memory_order_relaxed);

	return port >= (range & 0xffff) && port <= range >> 16;
}

// No flow: a mapping lets any remote endpoint in, and nothing is remembered of it until the inside
// endpoint answers, so that strangers cannot fill the table.
static enum nat_verdict
unknown_to_tunnel(const struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct nat_target *ret_target,
	bool *ret_is_new)
{
	bool is_icmp = nat_is_icmp(look->protocol);
	bool is_begun_inside = is_icmp && (uint16_t)(look->key[4] >> 16) == 0;

	if (nat_outside_address(nat, v) == NAT_NONE) {
		*ret_is_new = !is_begun_inside && (look->flags & NAT_TCP_RST) == 0;
		return NAT_UNTOUCHED;
	}
	if (nat_find_target(nat, look->key, ret_target)) {
		rewrite_destination(ret_target->inside, ret_target->inside_port, look->protocol,
			look->l4, p, v->family);
		return NAT_TRANSLATED;
	}
	if (is_in_range(nat, (uint16_t)look->key[4]) && (!is_icmp || is_begun_inside))
		return NAT_DROP_NO_FLOW;
	return NAT_UNTOUCHED; // for the box itself
}

static void
restore_destination(const struct nat_flow *f, const struct nat_look *look, uint8_t *p)
{
	rewrite_address(
		p, f->family, rewrite_dst_at(f->family), f->inside, (uint16_t)~f->address_delta);
	rewrite_transport(p + look->l4, look->protocol, rewrite_dst_port_at(look->protocol),
		f->inside_port, (uint16_t)~f->delta);
}

static enum nat_verdict
flow_to_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct mono now,
	bool *ret_is_new)
{
	struct nat_fragment_way way = { .verdict = NAT_UNTOUCHED };
	struct nat_flow *f = nat_find(nat, look);
	struct nat_target target = { .flow = f };

	if (f != NULL) {
		nat_track(f, look, false, nat_stamp(now));
		if (f->kind == NAT_KIND_PLAIN)
			return NAT_UNTOUCHED;
		way.verdict = NAT_TRANSLATED;
		memcpy(way.addr, f->inside, sizeof(way.addr));
	}
	if (__builtin_expect(look->is_first_fragment, 0)) {
		if (f == NULL && nat_outside_address(nat, v) != NAT_NONE &&
			nat_find_target(nat, look->key, &target)) {
			way.verdict = NAT_TRANSLATED;
			memcpy(way.addr, target.inside, sizeof(way.addr));
		}
		nat_fragment_remember(nat, NAT_OUTSIDE, p, v, &way, now);
	}
	if (f == NULL)
		return unknown_to_tunnel(nat, look, p, v, &target, ret_is_new);
	restore_destination(f, look, p);
	return NAT_TRANSLATED;
}

static enum nat_verdict
later_to_tunnel(struct nat *nat, uint8_t *p, const struct ip_view *v, struct mono now)
{
	struct nat_fragment_way way;

	if (!nat_fragment_find(nat, NAT_OUTSIDE, p, v, now, &way))
		return nat_outside_address(nat, v) == NAT_NONE ? NAT_UNTOUCHED : NAT_HELD;
	if (way.verdict == NAT_TRANSLATED)
		rewrite_address_now(p, v->family, rewrite_dst_at(v->family), way.addr);
	return (enum nat_verdict)way.verdict;
}

enum nat_verdict
nat_end_to_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct mono now,
	bool *ret_is_new)
{
	*ret_is_new = false;
	switch ((enum nat_shape)look->shape) {
	case NAT_SHAPE_FLOW:
		return flow_to_tunnel(nat, look, p, v, now, ret_is_new);
	case NAT_SHAPE_LATER:
		return later_to_tunnel(nat, p, v, now);
	case NAT_SHAPE_ERROR:
		if (nat_outside_address(nat, v) != NAT_NONE)
			return nat_error_to_tunnel(nat, look, p, v);
		break;
	case NAT_SHAPE_OTHER:
	case NAT_SHAPE_BAD:
		break; // nothing of ours: for the box, or judged by what comes next
	}
	return NAT_UNTOUCHED;
}

bool
nat_is_of_flow(const struct nat *nat, const struct nat_look *look)
{
	return look->shape == NAT_SHAPE_FLOW && nat_find(nat, look) != NULL;
}

bool
nat_may_translate(const struct nat *nat, const struct nat_look *look, const struct ip_view *v)
{
	struct nat_target target;
	uint32_t address;

	if (look->row != NAT_NONE)
		return nat->m->flows[look->row].kind == NAT_KIND_TRANSLATED;
	address = nat_outside_address(nat, v);
	if (address == NAT_NONE)
		return false;
	return look->shape != NAT_SHAPE_FLOW || nat_find_target(nat, look->key, &target);
}

enum nat_verdict
nat_record(struct nat *nat, struct nat_local *local, const struct nat_look *look, struct mono now)
{
	return nat_begin_plain(nat, local, look, false, nat_stamp(now));
}

enum nat_verdict
nat_to_tunnel(struct nat *nat,
	struct nat_local *local,
	uint8_t *p,
	const struct ip_view *v,
	struct mono now)
{
	enum nat_verdict verdict;
	struct nat_look look;
	bool is_new;

	nat_read_to_tunnel(nat, p, v, &look);
	nat_fetch(nat, &look);
	verdict = nat_end_to_tunnel(nat, &look, p, v, now, &is_new);
	return is_new ? nat_record(nat, local, &look, now) : verdict;
}
