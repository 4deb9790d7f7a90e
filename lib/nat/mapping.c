/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports of outside addresses.
 */

#include "lib/nat/index.h"
#include "lib/nat/table.h"

#define TRIES         4
#define EXHAUSTED_FOR 4 /* stamps, half a second: ports are not looked for meanwhile */

static uint32_t
mapping_number(uint32_t address, unsigned class, uint16_t port)
{
	return (address * NAT_N_CLASSES + class) * NAT_N_PORTS + port;
}

static struct nat_mapping *
mapping_of(const struct nat *nat, uint32_t number)
{
	struct nat_mapping *all = &nat->m->mappings[0][0][0];

	return &all[number % (NAT_MAX_ADDRESSES * NAT_N_CLASSES * NAT_N_PORTS)];
}

// A mapping is found by its inside endpoint and the row of the outside address.
static void
mapping_key(const uint64_t flow_key[static 5], uint32_t address, uint64_t ret_key[static 5])
{
	ret_key[0] = flow_key[0];
	ret_key[1] = flow_key[1];
	ret_key[2] = address;
	ret_key[3] = 0;
	ret_key[4] = flow_key[4] & ~(UINT64_C(0xffff) << 16);
}

static bool
mapping_has(uint32_t number, const struct nat_mapping *mp, const uint64_t key[static 5])
{
	uint32_t place = number / NAT_N_PORTS;

	return mp->inside[0] == key[0] && mp->inside[1] == key[1] &&
	       mp->inside_port == (uint16_t)key[4] && place / NAT_N_CLASSES == key[2] &&
	       place % NAT_N_CLASSES == nat_class((uint8_t)(key[4] >> 32));
}

static uint32_t
find_live(const struct nat *nat, const uint64_t key[static 5], uint64_t hash)
{
	uint32_t numbers[NAT_MAX_FOUND];
	unsigned n = nat_index_find(nat, hash, NAT_MAPPED, numbers);

	for (unsigned i = 0; i < n; i++) {
		const struct nat_mapping *mp = mapping_of(nat, numbers[i]);

		if (nat_is_live(&mp->state) && mapping_has(numbers[i], mp, key))
			return numbers[i];
	}
	return NAT_NONE;
}

uint32_t
nat_find_mapping(const struct nat *nat, const uint64_t flow_key[static 5], uint32_t address)
{
	uint64_t key[5];
	uint32_t found;

	mapping_key(flow_key, address, key);
	found = find_live(nat, key, nat_hash(nat->secret, NAT_MAPPED, key));
	return found == NAT_NONE ? 0 : found % NAT_N_PORTS;
}

static bool
claim_port(struct nat *nat, struct nat_mapping *mp)
{
	uint32_t word = NAT_FREE;

	if (atomic_load_explicit(&mp->state, memory_order_relaxed) != NAT_FREE)
		return false;
	return atomic_compare_exchange_strong(&mp->state, &word, nat->writing);
}

// The first free port of `first`, first + 2, ... up to `last`, beginning somewhere in between.
static uint32_t
claim_of_parity(struct nat *nat,
	struct nat_mapping *ports,
	uint32_t first,
	uint32_t last,
	uint64_t random)
{
	uint32_t n = first > last ? 0 : (last - first) / 2 + 1;
	uint32_t at = n == 0 ? 0 : (uint32_t)(random % n);

	for (uint32_t i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1)
		if (claim_port(nat, &ports[first + 2 * at]))
			return first + 2 * at;
	return 0;
}

// The inside port itself if it is in the range; one of its parity (RFC 4787 REQ-4); any.
static uint32_t
claim_free_port(struct nat *nat, struct nat_mapping *ports, uint16_t inside_port, uint64_t random)
{
	uint32_t range = atomic_load_explicit(&nat->range, memory_order_relaxed);
	uint32_t first = range & 0xffff, last = range >> 16;
	uint32_t same = first + ((first ^ inside_port) & 1);
	uint32_t port;

	if (inside_port >= first && inside_port <= last && claim_port(nat, &ports[inside_port]))
		return inside_port;
	port = claim_of_parity(nat, ports, same, last, random);
	if (port == 0)
		port = claim_of_parity(nat, ports, same == first ? first + 1 : first, last, random);
	return port;
}

// Two values, of which neither is ever half right: the sweep just looks at a few more.
static void
widen(struct nat_address *a, unsigned class, uint32_t port)
{
	uint32_t low = atomic_load(&a->low[class]), high = atomic_load(&a->high[class]);

	while ((low == 0 || port + 1 < low) &&
		!atomic_compare_exchange_weak(&a->low[class], &low, port + 1))
		;
	while (port + 1 > high && !atomic_compare_exchange_weak(&a->high[class], &high, port + 1))
		;
}

static void
write_mapping(struct nat_mapping *mp, const uint64_t key[static 5], uint32_t stamp)
{
	mp->inside[0] = key[0];
	mp->inside[1] = key[1];
	mp->inside_port = (uint16_t)key[4];
	atomic_store_explicit(&mp->seen, stamp, memory_order_relaxed);
	atomic_store_explicit(&mp->mark, 0, memory_order_relaxed);
}

static bool
beats_us(struct nat_mapping *other)
{
	uint32_t word = atomic_load(&other->state);

	while (nat_state_of(word) == NAT_WRITING)
		if (atomic_compare_exchange_strong(&other->state, &word, NAT_ABORTED))
			return false;
	return word == NAT_LIVE;
}

static bool
publish_mapping(struct nat *nat, uint32_t number, const uint64_t key[static 5], uint64_t hash)
{
	uint32_t numbers[NAT_MAX_FOUND], word = nat->writing;
	bool beaten = false;
	unsigned n;

	if (!nat_index_put(nat, hash, NAT_MAPPED, number))
		return false;
	n = nat_index_find(nat, hash, NAT_MAPPED, numbers);
	for (unsigned i = 0; i < n; i++) {
		struct nat_mapping *other = mapping_of(nat, numbers[i]);

		if (numbers[i] != number && mapping_has(numbers[i], other, key))
			beaten |= beats_us(other);
	}
	return !beaten &&
	       atomic_compare_exchange_strong(&mapping_of(nat, number)->state, &word, NAT_LIVE);
}

// A new mapping's number.  NAT_NONE: no port is free, or (*ret_busy) another worker was quicker.
static uint32_t
make(struct nat *nat, const uint64_t key[static 5], uint64_t hash, uint32_t stamp, bool *ret_busy)
{
	uint32_t address = (uint32_t)key[2];
	unsigned class = nat_class((uint8_t)(key[4] >> 32));
	struct nat_mapping *ports = nat->m->mappings[address][class];
	uint32_t port = claim_free_port(nat, ports, (uint16_t)key[4], hash >> 7);
	uint32_t number, word = nat->writing;

	*ret_busy = false;
	if (port == 0)
		return NAT_NONE;
	number = mapping_number(address, class, (uint16_t)port);
	widen(&nat->m->addresses[address], class, port);
	write_mapping(&ports[port], key, stamp);
	if (publish_mapping(nat, number, key, hash))
		return number;
	atomic_compare_exchange_strong(&ports[port].state, &word, NAT_ABORTED);
	*ret_busy = true;
	return NAT_NONE;
}

uint32_t
nat_make_mapping(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint32_t address,
	uint32_t stamp,
	bool *ret_busy)
{
	uint32_t *full = &local->n_full[address][nat_class(look->protocol)];
	uint64_t key[5], hash;

	mapping_key(look->key, address, key);
	hash = nat_hash(nat->secret, NAT_MAPPED, key);
	*ret_busy = false;
	for (int i = 0; i < TRIES; i++) {
		uint32_t number = find_live(nat, key, hash);

		if (number != NAT_NONE) {
			nat_touch(&mapping_of(nat, number)->seen, stamp);
			return number % NAT_N_PORTS;
		}
		if (*full != 0 && stamp - *full < EXHAUSTED_FOR)
			return 0;
		number = make(nat, key, hash, stamp, ret_busy);
		if (number != NAT_NONE)
			return number % NAT_N_PORTS;
		if (!*ret_busy) {
			*full = stamp;
			return 0;
		}
	}
	return 0;
}

void
nat_unindex_mapping(struct nat *nat, uint32_t number, const struct nat_mapping *mapping)
{
	uint32_t place = number / NAT_N_PORTS;
	uint32_t address = place / NAT_N_CLASSES % NAT_MAX_ADDRESSES;
	uint8_t family = nat->m->addresses[address].family;
	static const uint8_t protocols[NAT_N_CLASSES] = { IP_PROTOCOL_TCP, IP_PROTOCOL_UDP };
	uint8_t protocol = protocols[place % NAT_N_CLASSES];
	uint64_t key[5];

	if (protocol == 0)
		protocol = family == ADDR_V4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_IPV6_ICMP;
	key[0] = mapping->inside[0];
	key[1] = mapping->inside[1];
	key[2] = address;
	key[3] = 0;
	key[4] = nat_key_rest(mapping->inside_port, 0, protocol, family);
	nat_index_remove(nat, nat_hash(nat->secret, NAT_MAPPED, key), NAT_MAPPED, number);
}
