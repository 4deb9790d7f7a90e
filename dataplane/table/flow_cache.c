/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/flow_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/nat/rewrite.h"

#define CROWDED 32 /* one entry in so many was pushed out between two looks */

int
flow_cache_create(uint32_t n_buckets, const uint64_t seed[2], struct flow_cache **ret_cache)
{
	struct flow_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->len = (size_t)n_buckets * sizeof(c->buckets[0]);
	c->buckets = mmap(NULL, c->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->buckets == MAP_FAILED) {
		free(c);
		return -ENOMEM;
	}
	// Looked at anywhere: a page's walk would cost more than the line.  Without, it is slower.
	(void)madvise(c->buckets, c->len, MADV_HUGEPAGE);
	c->mask = n_buckets - 1;
	c->seed[0] = seed[0];
	c->seed[1] = seed[1];
	*ret_cache = c;
	return 0;
}

void
flow_cache_destroy(struct flow_cache *c)
{
	if (c == NULL)
		return;
	munmap(c->buckets, c->len);
	free(c);
}

bool
flow_cache_is_crowded(const struct flow_cache *c, uint64_t *n_before)
{
	uint64_t n = atomic_load_explicit(&c->n_pushed_out, memory_order_relaxed);
	uint64_t since = n - *n_before;

	*n_before = n;
	return since > 2 * ((uint64_t)c->mask + 1) / CROWDED;
}

static bool
is_in_use(const struct flow_cache *c, const struct flow_entry *e, uint64_t now_ns)
{
	return e->kind != FLOW_NONE && e->kind != FLOW_REST && flow_entry_holds(c, e, now_ns);
}

static void
count_pushed_out(struct flow_cache *c, uint64_t n)
{
	if (n > 0)
		atomic_store_explicit(&c->n_pushed_out,
			atomic_load_explicit(&c->n_pushed_out, memory_order_relaxed) + n,
			memory_order_relaxed);
}

// A place in the bucket: its own, one that is free, or the one used longer ago.
static struct flow_entry *
choose(struct flow_cache *c, union flow_bucket *b, const struct flow_key *key, uint64_t now_ns)
{
	bool is_v6 = (key->kind & FLOW_IS_V6) != 0;
	bool is_first_free = !flow_entry_holds(c, &b->entry[0], now_ns);
	struct flow_entry *e = flow_cache_find(c, key);
	uint64_t n;

	if (e != NULL)
		return e;
	if (is_v6 || is_first_free || b->entry[1].kind == FLOW_REST)
		e = &b->entry[0];
	else if (!flow_entry_holds(c, &b->entry[1], now_ns) ||
		 b->entry[1].until_ns < b->entry[0].until_ns)
		e = &b->entry[1];
	else
		e = &b->entry[0];
	n = is_in_use(c, e, now_ns);
	if (is_v6) // both lines
		n += is_in_use(c, &b->entry[1], now_ns);
	count_pushed_out(c, n);
	return e;
}

// What changed on the way, as differences of sums.
static void
set_rewriting(struct flow_entry *e, const struct flow_key *key, const uint8_t *p)
{
	bool is_v6 = (key->kind & FLOW_IS_V6) != 0;
	bool is_from_tunnel = (key->kind & ~FLOW_IS_V6) == FLOW_FROM_TUNNEL;
	uint8_t family = is_v6 ? ADDR_V6 : ADDR_V4;
	uint32_t addr_len = is_v6 ? IPV6_ADDR_LEN : IPV4_ADDR_LEN;
	uint32_t l4 = is_v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;
	const uint8_t *new_addr =
		p + (is_from_tunnel ? rewrite_src_at(family) : rewrite_dst_at(family));
	const uint8_t *new_port = p + l4 + (is_from_tunnel ? 0 : 2);
	const uint8_t *addr = (const uint8_t *)key->addr + (is_from_tunnel ? 0 : addr_len);
	const uint8_t *port = (const uint8_t *)&key->ports + (is_from_tunnel ? 0 : 2);
	uint16_t delta = rewrite_delta(addr, new_addr, addr_len);

	// A TTL less by one: the word that has it in its upper byte is less by 0x100.
	e->header_delta = rewrite_delta_add(delta, htobe16((uint16_t)~0x0100));
	e->transport_delta =
		rewrite_delta_add(delta, rewrite_delta_port(load_be16(port), load_be16(new_port)));
	e->port = load_be16(new_port);
	e->rewrites = memcmp(addr, new_addr, addr_len) != 0 || memcmp(port, new_port, 2) != 0;
	memcpy(is_v6 ? ((union flow_bucket *)e)->rest.new_addr : e->new_addr, new_addr, addr_len);
}

void
flow_cache_learn(struct flow_cache *c,
	const struct flow_key *key,
	const uint8_t *p,
	uint64_t now_ns,
	uint32_t to,
	uint32_t neighbour,
	uint32_t mtu)
{
	union flow_bucket *b = &c->buckets[key->bucket];
	bool is_v6 = (key->kind & FLOW_IS_V6) != 0;
	struct flow_entry *e = choose(c, b, key, now_ns);

	if (is_v6) {
		b->rest.kind = FLOW_REST;
		memcpy(b->rest.src, key->addr, sizeof(b->rest.src));
		memcpy(b->rest.dst, key->addr + 2, sizeof(b->rest.dst));
	} else if (e == &b->entry[0] && b->entry[1].kind == FLOW_REST) {
		b->entry[1] = (struct flow_entry){};
	}
	e->addr = is_v6 ? flow_digest_v6(key->addr) : key->addr[0];
	e->from = key->from;
	e->ports = key->ports;
	e->kind = key->kind;
	e->protocol = key->protocol;
	e->mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
	e->stamp = c->stamp;
	e->until_ns = now_ns + (uint64_t)FLOW_CACHE_LEASE_NS;
	e->to = to;
	e->neighbour = neighbour;
	set_rewriting(e, key, p);
}
