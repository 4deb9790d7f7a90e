/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/table.h"

#include "lib/nat/index.h"
#include "lib/nat/rewrite.h"

#define PROBES      16   /* rows looked at for a free one before the table grows */
#define PROBES_FULL 1024 /* once it cannot grow */
#define GROWTH      1024 /* rows at a time */

/* ---- rows ---- */

static bool
claim(const struct nat *nat, _Atomic uint32_t *state)
{
	uint32_t word = NAT_FREE;

	if (atomic_load_explicit(state, memory_order_relaxed) != NAT_FREE)
		return false;
	return atomic_compare_exchange_strong(state, &word, nat->writing);
}

// From being written to another state.  False: somebody has aborted it.
static bool
conclude(const struct nat *nat, _Atomic uint32_t *state, enum nat_state result)
{
	uint32_t word = nat->writing;

	return atomic_compare_exchange_strong(state, &word, result);
}

/*
 * The other one with our key.  True: it is live and has won.  One that is being written is aborted,
 * whoever wrote it; if it becomes live before that, it has won too.
 */
static bool
beats_us(_Atomic uint32_t *other)
{
	uint32_t word = atomic_load(other);

	while (nat_state_of(word) == NAT_WRITING)
		if (atomic_compare_exchange_strong(other, &word, NAT_ABORTED))
			return false;
	return word == NAT_LIVE;
}

void
nat_flow_key(const struct nat_memory *m,
	const struct nat_flow *f,
	enum nat_side side,
	uint64_t ret_key[static 5])
{
	bool is_inside = side == NAT_INSIDE || f->kind == NAT_KIND_PLAIN;
	const uint64_t *ours =
		is_inside ? f->inside : m->addresses[f->address % NAT_MAX_ADDRESSES].bytes;

	ret_key[0] = ours[0];
	ret_key[1] = ours[1];
	ret_key[2] = f->remote[0];
	ret_key[3] = f->remote[1];
	ret_key[4] = nat_key_rest(is_inside ? f->inside_port : f->outside_port, f->remote_port,
		f->protocol, f->family);
}

struct nat_flow *
nat_find_flow(const struct nat *nat,
	enum nat_side side,
	const uint64_t key[static 5],
	uint64_t hash)
{
	uint32_t numbers[NAT_MAX_FOUND];
	unsigned n = nat_index_find(nat, hash, side, numbers);

	for (unsigned i = 0; i < n; i++) {
		struct nat_flow *f = &nat->m->flows[numbers[i] % NAT_MAX_FLOWS];

		if (nat_is_live(&f->state) && nat_flow_has(nat->m, f, side, key))
			return f;
	}
	return NULL;
}

static uint32_t
probe(struct nat *nat, struct nat_local *local, uint32_t end, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < end; i++) {
		uint32_t row = local->cursor < end ? local->cursor : 0;

		local->cursor = row + 1;
		if (claim(nat, &nat->m->flows[row].state))
			return row;
	}
	return NAT_NONE;
}

// A row that is ours to write.  The table grows only if no free one is near, so that it takes no
// more memory than it needs.
static uint32_t
claim_row(struct nat *nat, struct nat_local *local)
{
	_Atomic uint32_t *flows_end = &nat->m->flows_end;
	uint32_t end = atomic_load_explicit(flows_end, memory_order_relaxed);
	uint32_t row;

	if (end > NAT_MAX_FLOWS)
		end = NAT_MAX_FLOWS;
	row = probe(nat, local, end, PROBES);
	if (row != NAT_NONE)
		return row;
	if (end == NAT_MAX_FLOWS)
		return probe(nat, local, end, PROBES_FULL);
	local->cursor = end;
	// Others may have made it grow already.
	atomic_compare_exchange_strong(flows_end, &end, end + GROWTH);
	end = atomic_load_explicit(flows_end, memory_order_relaxed);
	return probe(nat, local, end < NAT_MAX_FLOWS ? end : NAT_MAX_FLOWS, 2 * GROWTH);
}

static void
write_deltas(const struct nat_memory *m, struct nat_flow *f)
{
	uint16_t port = rewrite_delta_port(f->inside_port, f->outside_port);

	f->address_delta = rewrite_delta(
		f->inside, m->addresses[f->address].bytes, f->family == ADDR_V4 ? 4 : 16);
	// ICMP of IPv4 has no pseudo-header.
	f->delta =
		f->protocol == IP_PROTOCOL_ICMP ? port : rewrite_delta_add(f->address_delta, port);
}

static void
write_flow(const struct nat_memory *m, const struct nat_make *make, struct nat_flow *f)
{
	const uint64_t *key = make->key;

	f->inside[0] = key[0];
	f->inside[1] = key[1];
	f->remote[0] = key[2];
	f->remote[1] = key[3];
	f->inside_port = (uint16_t)key[4];
	f->remote_port = (uint16_t)(key[4] >> 16);
	f->protocol = (uint8_t)(key[4] >> 32);
	f->family = (uint8_t)(key[4] >> 40);
	f->kind = make->kind;
	f->address = make->address;
	f->outside_port = make->port;
	f->begun = make->stamp;
	f->address_delta = f->delta = 0;
	if (f->kind == NAT_KIND_TRANSLATED)
		write_deltas(m, f);
	atomic_store_explicit(&f->seen, make->stamp, memory_order_relaxed);
	atomic_store_explicit(&f->progress, make->progress, memory_order_relaxed);
}

// Whether another live flow has the key; others that are being written are aborted.
static bool
is_beaten(struct nat *nat, uint32_t row, enum nat_side side, const uint64_t *key, uint64_t hash)
{
	uint32_t numbers[NAT_MAX_FOUND];
	unsigned n = nat_index_find(nat, hash, side, numbers);
	bool beaten = false;

	for (unsigned i = 0; i < n; i++) {
		struct nat_flow *f = &nat->m->flows[numbers[i] % NAT_MAX_FLOWS];

		// What is in the index was whole before it came there.
		if (numbers[i] != row && nat_flow_has(nat->m, f, side, key))
			beaten |= beats_us(&f->state);
	}
	return beaten;
}

static enum nat_made
publish_flow(struct nat *nat, uint32_t row, struct nat_flow *f)
{
	uint64_t inside[5], outside[5], hash, outside_hash;

	nat_flow_key(nat->m, f, NAT_INSIDE, inside);
	nat_flow_key(nat->m, f, NAT_OUTSIDE, outside);
	hash = nat_hash(nat->secret, NAT_INSIDE, inside);
	outside_hash = nat_hash(nat->secret, NAT_OUTSIDE, outside);
	if (!nat_index_put(nat, hash, NAT_INSIDE, row) ||
		!nat_index_put(nat, outside_hash, NAT_OUTSIDE, row))
		return NAT_MADE_FULL;
	if (is_beaten(nat, row, NAT_INSIDE, inside, hash))
		return NAT_MADE_EXISTS;
	if (is_beaten(nat, row, NAT_OUTSIDE, outside, outside_hash))
		return NAT_MADE_TAKEN;
	return conclude(nat, &f->state, NAT_LIVE) ? NAT_MADE : NAT_MADE_ABORTED;
}

enum nat_made
nat_make_flow(struct nat *nat,
	struct nat_local *local,
	const struct nat_make *make,
	struct nat_flow **ret_flow)
{
	uint32_t row = claim_row(nat, local);
	enum nat_made made;
	struct nat_flow *f;

	if (row == NAT_NONE)
		return NAT_MADE_FULL;
	f = &nat->m->flows[row];
	write_flow(nat->m, make, f);
	made = publish_flow(nat, row, f);
	if (made == NAT_MADE)
		*ret_flow = f;
	else
		conclude(nat, &f->state, NAT_ABORTED); // unless somebody else did
	return made;
}

void
nat_unindex_flow(struct nat *nat, const struct nat_flow *f)
{
	uint32_t row = (uint32_t)(f - nat->m->flows);

	for (enum nat_side side = NAT_INSIDE; side <= NAT_OUTSIDE; side++) {
		uint64_t key[5];

		nat_flow_key(nat->m, f, side, key);
		nat_index_remove(nat, nat_hash(nat->secret, side, key), side, row);
	}
}

/* ---- outside addresses ---- */

uint32_t
nat_find_address(const struct nat *nat, uint8_t family, const uint64_t bytes[static 2])
{
	for (uint32_t i = 0; i < NAT_MAX_ADDRESSES; i++) {
		const struct nat_address *a = &nat->m->addresses[i];
		uint32_t state = atomic_load_explicit(&a->state, memory_order_acquire);

		if (state == NAT_FREE)
			return NAT_NONE; // they are made in order
		if (state == NAT_LIVE && a->family == family && a->bytes[0] == bytes[0] &&
			a->bytes[1] == bytes[1])
			return i;
	}
	return NAT_NONE;
}

// Ours to write: free, or left half written by a forwarder that is dead.
static bool
claim_address(const struct nat *nat, struct nat_address *a)
{
	uint32_t state = atomic_load(&a->state);

	if (state == NAT_LIVE || state == nat->writing)
		return false;
	return atomic_compare_exchange_strong(&a->state, &state, nat->writing);
}

uint32_t
nat_make_address(struct nat *nat, uint8_t family, const uint64_t bytes[static 2])
{
	uint32_t found = nat_find_address(nat, family, bytes);
	struct nat_address *a;

	if (found != NAT_NONE)
		return found;
	// All who make one compete for the first that is not live, so no address is there twice.
	for (uint32_t i = 0; i < NAT_MAX_ADDRESSES; i++) {
		a = &nat->m->addresses[i];
		if (atomic_load(&a->state) == NAT_LIVE) {
			// Perhaps made since we looked.
			if (a->family == family && a->bytes[0] == bytes[0] &&
				a->bytes[1] == bytes[1])
				return i;
			continue;
		}
		if (!claim_address(nat, a))
			return NAT_NONE;
		a->family = family;
		a->bytes[0] = bytes[0];
		a->bytes[1] = bytes[1];
		atomic_store(&a->state, NAT_LIVE);
		return i;
	}
	return NAT_NONE;
}
