/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/flow.h"

static void
read_and_begin(const struct nat *nat,
	enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *look)
{
	nat_read(side, p, v, look);
	if (look->shape != NAT_SHAPE_FLOW)
		return;
	look->hash = nat_hash(nat->secret, side, look->key);
	look->side = (uint8_t)side;
	__builtin_prefetch(nat_bucket(nat->m, look->hash));
}

void
nat_read_from_tunnel(const struct nat *nat,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look)
{
	read_and_begin(nat, NAT_INSIDE, p, v, ret_look);
}

void
nat_read_to_tunnel(const struct nat *nat,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look)
{
	read_and_begin(nat, NAT_OUTSIDE, p, v, ret_look);
}

void
nat_fetch(const struct nat *nat, struct nat_look *look)
{
	const struct nat_bucket *b;
	uint64_t wanted;
	uint32_t hits = 0;

	if (look->shape != NAT_SHAPE_FLOW)
		return;
	b = nat_bucket(nat->m, look->hash);
	wanted = nat_word(look->hash, look->side, 0);
	for (unsigned i = 0; i < NAT_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&b->word[i], memory_order_relaxed);

		hits |= (uint32_t)((word ^ wanted) <= NAT_NUMBER_MASK) << i;
	}
	if (hits == 0)
		return;
	look->row = (uint32_t)atomic_load_explicit(
			    &b->word[__builtin_ctz(hits)], memory_order_relaxed) %
	            NAT_MAX_FLOWS;
	__builtin_prefetch(&nat->m->flows[look->row], 1);
}

struct nat_flow *
nat_find(const struct nat *nat, const struct nat_look *look)
{
	enum nat_side side = (enum nat_side)look->side;

	if (look->row != NAT_NONE) {
		struct nat_flow *f = &nat->m->flows[look->row];

		if (nat_is_live(&f->state) && nat_flow_has(nat->m, f, side, look->key))
			return f;
	}
	return nat_find_flow(nat, side, look->key, look->hash);
}

bool
nat_find_target(const struct nat *nat, const uint64_t key[static 5], struct nat_target *ret)
{
	uint8_t protocol = (uint8_t)(key[4] >> 32);
	const struct nat_mapping *mp;
	uint32_t address;

	ret->flow = nat_find_flow(nat, NAT_OUTSIDE, key, nat_hash(nat->secret, NAT_OUTSIDE, key));
	if (ret->flow != NULL) {
		memcpy(ret->inside, ret->flow->inside, sizeof(ret->inside));
		ret->inside_port = ret->flow->inside_port;
		return true;
	}
	if (nat_is_icmp(protocol) && (uint16_t)(key[4] >> 16) != 0)
		return false; // a request: for the box itself
	address = nat_find_address(nat, (uint8_t)(key[4] >> 40), key);
	if (address == NAT_NONE)
		return false;
	mp = nat_mapping_at(nat, address, protocol, (uint16_t)key[4]);
	if (!nat_is_live(&mp->state))
		return false;
	memcpy(ret->inside, mp->inside, sizeof(ret->inside));
	ret->inside_port = mp->inside_port;
	return true;
}

uint32_t
nat_outside_address(const struct nat *nat, const struct ip_view *v)
{
	uint64_t bytes[2];

	nat_load_addr(v->family, v->dst, bytes);
	return nat_find_address(nat, v->family, bytes);
}
