/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Taking rows back: what is idle for too long, what a dead forwarder was writing, what another
 * worker has aborted.  A round looks at all flows, and then at the mappings, of which those go that
 * no flow has used for a while.
 *
 * A row leaves the index first and is free only after every worker has passed a quiescent point, so
 * that nobody reads a row while it is written anew.
 */

#include "lib/nat/table.h"

#define MAPPING_S 60 /* since its last flow began, at least */

static uint32_t
stamps_of(uint32_t seconds)
{
	return (uint32_t)((uint64_t)seconds * (uint64_t)NS_PER_S >> NAT_STAMP_SHIFT) + 1;
}

// RFC 5382 REQ-5: established is what both sides have acknowledged and neither has ended.
static uint32_t
tcp_timeout_s(uint32_t progress)
{
	const uint32_t both = NAT_FROM_INSIDE | NAT_FROM_OUTSIDE;
	const uint32_t ended = NAT_FIN_INSIDE | NAT_FIN_OUTSIDE;

	if ((progress & both) != both || (progress & NAT_RESET) != 0 || (progress & ended) == ended)
		return NAT_TCP_TRANSITORY_S;
	return NAT_TCP_S;
}

static bool
is_answered(const struct nat_flow *f, uint32_t progress)
{
	return f->kind == NAT_KIND_TRANSLATED ||
	       (progress & (NAT_FROM_INSIDE | NAT_FROM_OUTSIDE)) ==
	               (NAT_FROM_INSIDE | NAT_FROM_OUTSIDE);
}

static uint32_t
timeout_s(const struct nat_flow *f, uint32_t progress)
{
	if (f->protocol == IP_PROTOCOL_TCP)
		return tcp_timeout_s(progress);
	if (f->protocol == IP_PROTOCOL_UDP)
		return is_answered(f, progress) ? NAT_UDP_S : NAT_UDP_UNANSWERED_S;
	return NAT_ECHO_S;
}

static bool
is_idle(uint32_t now, const _Atomic uint32_t *seen, uint32_t seconds)
{
	uint32_t age = now - atomic_load_explicit(seen, memory_order_relaxed);

	return age <= INT32_MAX && age > stamps_of(seconds); // a worker's stamp may be a bit ahead
}

// Whether a row goes whatever its fields say: not live, not free, and nobody writes it.
static bool
is_litter(const struct nat *nat, uint32_t state)
{
	return state != NAT_FREE && state != NAT_LIVE && state != nat->writing;
}

static bool
has_room(const struct nat *nat)
{
	return nat->n_grace < NAT_MAX_GRACE;
}

static void
retire_flow(struct nat *nat, uint32_t row, struct nat_flow *f)
{
	atomic_store(&f->state, NAT_RETIRED);
	nat_unindex_flow(nat, f);
	nat->grace[nat->n_grace++] = row;
}

static void
retire_mapping(struct nat *nat, uint32_t number, struct nat_mapping *mp)
{
	atomic_store(&mp->state, NAT_RETIRED);
	nat_unindex_mapping(nat, number, mp);
	nat->grace[nat->n_grace++] = (uint32_t)NAT_MAPPED << NAT_SIDE_SHIFT | number;
}

// The mapping that a flow belongs to is in use.
static void
mark_mapping(const struct nat *nat, const struct nat_flow *f)
{
	struct nat_mapping *mp;

	if (f->kind != NAT_KIND_TRANSLATED)
		return;
	mp = nat_mapping_at(nat, f->address % NAT_MAX_ADDRESSES, f->protocol, f->outside_port);
	if (nat_is_live(&mp->state) && mp->inside[0] == f->inside[0] &&
		mp->inside[1] == f->inside[1] && mp->inside_port == f->inside_port)
		atomic_store_explicit(&mp->mark, nat->round, memory_order_relaxed);
}

static void
sweep_flow(struct nat *nat, uint32_t row, uint32_t now)
{
	struct nat_flow *f = &nat->m->flows[row];
	uint32_t state = atomic_load_explicit(&f->state, memory_order_acquire), progress;

	if (is_litter(nat, state)) {
		retire_flow(nat, row, f);
		return;
	}
	if (state != NAT_LIVE)
		return;
	progress = atomic_load_explicit(&f->progress, memory_order_relaxed);
	if (is_idle(now, &f->seen, timeout_s(f, progress))) {
		retire_flow(nat, row, f);
		return;
	}
	nat->n_seen++;
	nat->n_seen_unanswered += !is_answered(f, progress);
	mark_mapping(nat, f);
}

static void
sweep_mapping(struct nat *nat, uint32_t now)
{
	struct nat_mapping *mp = &nat->m->mappings[nat->at_address][nat->at_class][nat->at_port];
	uint32_t number =
		(nat->at_address * NAT_N_CLASSES + nat->at_class) * NAT_N_PORTS + nat->at_port;
	uint32_t state = atomic_load_explicit(&mp->state, memory_order_acquire);
	uint32_t mark = atomic_load_explicit(&mp->mark, memory_order_relaxed);

	if (is_litter(nat, state))
		retire_mapping(nat, number, mp);
	else if (state == NAT_LIVE && mark != nat->round && is_idle(now, &mp->seen, MAPPING_S))
		retire_mapping(nat, number, mp);
}

static uint32_t
next_round(uint32_t round)
{
	return round == UINT32_MAX ? 1 : round + 1;
}

// To the first port of this class and address that was ever mapped, or on to the next class.
// False: there is no further one.
static bool
find_ports(struct nat *nat)
{
	for (; nat->at_address < NAT_MAX_ADDRESSES; nat->at_address++, nat->at_class = 0) {
		const struct nat_address *a = &nat->m->addresses[nat->at_address];

		for (; nat->at_class < NAT_N_CLASSES; nat->at_class++, nat->at_port = 0) {
			uint32_t low = atomic_load(&a->low[nat->at_class]);
			uint32_t high = atomic_load(&a->high[nat->at_class]);

			if (low == 0 || high > NAT_N_PORTS)
				continue;
			if (nat->at_port + 1 < low)
				nat->at_port = low - 1;
			if (nat->at_port < high)
				return true;
		}
	}
	return false;
}

static void
end_round(struct nat *nat)
{
	atomic_store_explicit(&nat->n_flows, nat->n_seen, memory_order_relaxed);
	atomic_store_explicit(&nat->n_unanswered, nat->n_seen_unanswered, memory_order_relaxed);
	nat->n_seen = nat->n_seen_unanswered = 0;
	nat->at_flow = nat->at_address = nat->at_class = nat->at_port = 0;
	nat->round = next_round(nat->round);
}

uint32_t
nat_sweep(struct nat *nat, struct mono now, uint32_t budget)
{
	uint32_t stamp = nat_stamp(now);
	uint32_t end = atomic_load_explicit(&nat->m->flows_end, memory_order_relaxed);

	if (end > NAT_MAX_FLOWS)
		end = NAT_MAX_FLOWS;
	for (; budget > 0 && has_room(nat) && nat->at_flow < end; budget--)
		sweep_flow(nat, nat->at_flow++, stamp);
	if (nat->at_flow < end)
		return nat->n_grace;
	for (; budget > 0 && has_room(nat); budget--) {
		if (!find_ports(nat)) {
			end_round(nat);
			break;
		}
		sweep_mapping(nat, stamp);
		nat->at_port++;
	}
	return nat->n_grace;
}

void
nat_release(struct nat *nat)
{
	struct nat_mapping *mappings = &nat->m->mappings[0][0][0];

	for (uint32_t i = 0; i < nat->n_grace; i++) {
		uint32_t number = nat->grace[i] & NAT_NUMBER_MASK;

		if (nat->grace[i] >> NAT_SIDE_SHIFT == NAT_MAPPED)
			atomic_store(&mappings[number].state, NAT_FREE);
		else
			atomic_store(&nat->m->flows[number].state, NAT_FREE);
	}
	nat->n_grace = 0;
}

uint32_t
nat_flow_count(const struct nat *nat)
{
	return atomic_load_explicit(&nat->n_flows, memory_order_relaxed);
}
