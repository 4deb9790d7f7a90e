/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/fragment.h"

#include <errno.h>
#include <stdlib.h>

#define KEY_WORDS 5
#define WAY_WORDS 5

struct nat_fragment {
	_Atomic uint32_t sequence; /* odd: being written; 0: never used */
	_Atomic uint32_t seen_ms;
	_Atomic uint64_t key[KEY_WORDS];
	_Atomic uint64_t way[WAY_WORDS]; /* addr, remote, id | verdict << 16 */
	uint64_t pad[5];
};
static_assert(sizeof(struct nat_fragment) == 128, "two cache lines");

static uint32_t
milliseconds(struct mono now)
{
	return (uint32_t)(now.ns / (uint64_t)NS_PER_MS);
}

int
nat_fragments_create(struct nat *nat)
{
	nat->fragments = calloc(NAT_N_FRAGMENTS, sizeof(*nat->fragments));
	return nat->fragments == NULL ? -ENOMEM : 0;
}

void
nat_fragments_destroy(struct nat *nat)
{
	free(nat->fragments);
}

uint16_t
nat_fragment_next_id(struct nat *nat)
{
	return (uint16_t)atomic_fetch_add_explicit(&nat->next_id, 1, memory_order_relaxed);
}

// The identification; of IPv6 in the fragment header, which ip_find_transport() has found to be
// there: it is the last extension header before what it cuts.
static uint32_t
identification(const uint8_t *p, const struct ip_view *v, uint8_t *ret_protocol)
{
	uint32_t at = v->header_len;
	uint8_t next = v->protocol;

	if (v->family == ADDR_V4) {
		*ret_protocol = v->protocol;
		return load_be16(p + 4);
	}
	for (int n = 0; n <= IP_MAX_EXTENSIONS && at + 8 <= v->total_len; n++) {
		if (next == IP_PROTOCOL_IPV6_FRAG) {
			*ret_protocol = p[at];
			return load_be32(p + at + 4);
		}
		next = p[at];
		at += ((uint32_t)p[at + 1] + 1) * 8;
	}
	*ret_protocol = IP_PROTOCOL_IPV6_NONXT;
	return 0;
}

static void
make_key(enum nat_side side, const uint8_t *p, const struct ip_view *v, uint64_t ret_key[KEY_WORDS])
{
	uint8_t protocol;
	uint32_t id = identification(p, v, &protocol);

	nat_load_addr(v->family, v->src, ret_key);
	nat_load_addr(v->family, v->dst, ret_key + 2);
	ret_key[4] =
		id | (uint64_t)protocol << 32 | (uint64_t)v->family << 40 | (uint64_t)side << 48;
}

static struct nat_fragment *
set_of(const struct nat *nat, const uint64_t key[KEY_WORDS])
{
	uint64_t h = nat_mix(key[0] ^ nat->secret[0], key[1] ^ nat->secret[1]) ^
	             nat_mix(key[2] ^ nat->secret[2], key[3] ^ nat->secret[3] ^ key[4]);

	h = nat_mix(h ^ nat->secret[1], key[4] ^ nat->secret[2]);
	return &nat->fragments[h % (NAT_N_FRAGMENTS / NAT_FRAGMENT_WAYS) * NAT_FRAGMENT_WAYS];
}

static bool
has_key(const struct nat_fragment *e, const uint64_t key[KEY_WORDS])
{
	uint64_t differs = 0;

	for (int i = 0; i < KEY_WORDS; i++)
		differs |= atomic_load_explicit(&e->key[i], memory_order_relaxed) ^ key[i];
	return differs == 0;
}

// The same datagram's, else an unused one, else the oldest.
static struct nat_fragment *
choose(struct nat_fragment *set, const uint64_t key[KEY_WORDS], uint32_t now_ms)
{
	struct nat_fragment *best = set;
	uint32_t oldest = 0;

	for (unsigned i = 0; i < NAT_FRAGMENT_WAYS; i++) {
		uint32_t sequence = atomic_load_explicit(&set[i].sequence, memory_order_relaxed);
		uint32_t age = now_ms - atomic_load_explicit(&set[i].seen_ms, memory_order_relaxed);

		if (has_key(&set[i], key))
			return &set[i];
		if (sequence == 0)
			age = UINT32_MAX;
		if (age > oldest) {
			oldest = age;
			best = &set[i];
		}
	}
	return best;
}

static void
write_entry(struct nat_fragment *e,
	const uint64_t key[KEY_WORDS],
	const struct nat_fragment_way *way,
	uint32_t now_ms)
{
	const uint64_t words[WAY_WORDS] = { way->addr[0], way->addr[1], way->remote[0],
		way->remote[1], way->id | (uint64_t)way->verdict << 16 };

	for (int i = 0; i < KEY_WORDS; i++)
		atomic_store_explicit(&e->key[i], key[i], memory_order_relaxed);
	for (int i = 0; i < WAY_WORDS; i++)
		atomic_store_explicit(&e->way[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&e->seen_ms, now_ms, memory_order_relaxed);
}

void
nat_fragment_remember(struct nat *nat,
	enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	const struct nat_fragment_way *way,
	struct mono now)
{
	uint32_t now_ms = milliseconds(now), sequence;
	uint64_t key[KEY_WORDS];
	struct nat_fragment *e;

	make_key(side, p, v, key);
	e = choose(set_of(nat, key), key, now_ms);
	sequence = atomic_load_explicit(&e->sequence, memory_order_relaxed);
	// Another worker writes it: that datagram's later fragments find it, ours do not.
	if ((sequence & 1) != 0 ||
		!atomic_compare_exchange_strong(&e->sequence, &sequence, sequence + 1))
		return;
	atomic_thread_fence(memory_order_release); // odd before the first word
	write_entry(e, key, way, now_ms);
	// Pairs with the acquire in read_entry().
	atomic_store_explicit(&e->sequence, sequence + 2, memory_order_release);
}

static bool
read_entry(const struct nat_fragment *e,
	const uint64_t key[KEY_WORDS],
	uint32_t now_ms,
	struct nat_fragment_way *ret_way)
{
	uint32_t before = atomic_load_explicit(&e->sequence, memory_order_acquire);
	uint64_t words[WAY_WORDS];
	bool is_ours, is_young;

	is_ours = has_key(e, key);
	is_young =
		now_ms - atomic_load_explicit(&e->seen_ms, memory_order_relaxed) < NAT_FRAGMENT_MS;
	for (int i = 0; i < WAY_WORDS; i++)
		words[i] = atomic_load_explicit(&e->way[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (!is_ours || !is_young || before == 0 || (before & 1) != 0 ||
		atomic_load_explicit(&e->sequence, memory_order_relaxed) != before)
		return false;
	*ret_way = (struct nat_fragment_way){
		.addr = { words[0], words[1] },
		.remote = { words[2], words[3] },
		.id = (uint16_t)words[4],
		.verdict = (uint8_t)(words[4] >> 16),
	};
	return true;
}

bool
nat_fragment_find(const struct nat *nat,
	enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	struct mono now,
	struct nat_fragment_way *ret_way)
{
	const struct nat_fragment *set;
	uint64_t key[KEY_WORDS];

	make_key(side, p, v, key);
	set = set_of(nat, key);
	for (unsigned i = 0; i < NAT_FRAGMENT_WAYS; i++)
		if (read_entry(&set[i], key, milliseconds(now), ret_way))
			return true;
	return false;
}
