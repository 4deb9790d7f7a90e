/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is remembered of flows: whose entry is found by which key, who gives way to whom in a
 * bucket, and how long an entry holds.
 */

#include "dataplane/table/flow_cache.h"

#include <stdlib.h>

#include "lib/base/bytes.h"
#include "lib/nat/rewrite.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define NOW   (1000 * (uint64_t)NS_PER_S)
#define LEASE ((uint64_t)FLOW_CACHE_LEASE_NS)

static struct flow_cache *c;
static uint8_t packet[100]; // as it leaves: nobody looks at more than addresses and ports

static void
create(void)
{
	static const uint64_t seed[2] = { 0x243f6a8885a308d3, 0x13198a2e03707344 };

	if (flow_cache_create(FLOW_CACHE_MIN_BUCKETS, seed, &c) < 0)
		abort();
	flow_cache_look_at(c, 1, 1, 0);
}

static struct flow_key
key_v4(uint32_t n)
{
	struct flow_key key = {
		.addr = { UINT64_C(0x054da8c002004064) },
		.from = 3,
		.ports = n,
		.kind = FLOW_FROM_TUNNEL,
		.protocol = IP_PROTOCOL_UDP,
		.is_ordinary = true,
	};

	flow_cache_begin(c, &key);
	return key;
}

static struct flow_key
key_v6(uint32_t n)
{
	struct flow_key key = key_v4(n);

	key.addr[1] = 2;
	key.addr[2] = 3;
	key.addr[3] = 4;
	key.kind |= FLOW_IS_V6;
	flow_cache_begin(c, &key);
	return key;
}

// The n-th that shares a bucket with all others of these.
static struct flow_key
mate(bool is_v6, unsigned n)
{
	uint32_t bucket = key_v4(0).bucket;

	for (uint32_t i = 1;; i++) {
		struct flow_key key = is_v6 ? key_v6(i) : key_v4(i);

		if (key.bucket == bucket && n-- == 0)
			return key;
	}
}

// to: what is remembered of it.
static void
learn(const struct flow_key *key, uint64_t now_ns, uint32_t to)
{
	memset(packet, 0, sizeof(packet));
	flow_cache_learn(c, key, packet, now_ns, to, to + 1, 1500);
}

static bool
holds(const struct flow_key *key, uint64_t now_ns, uint32_t to)
{
	const struct flow_entry *e = flow_cache_find(c, key);

	return e != NULL && flow_entry_holds(c, e, now_ns) && e->to == to && e->neighbour == to + 1;
}

static bool
is_known(const struct flow_key *key)
{
	return flow_cache_find(c, key) != NULL;
}

static void
test_keys(void)
{
	for (unsigned family = 4; family <= 6; family += 2) {
		struct flow_key key, forged;

		create();
		key = family == 4 ? key_v4(77) : key_v6(77);
		learn(&key, NOW, 5);
		tap_ok(holds(&key, NOW, 5), "IPv%u: what was learnt is found", family);
		forged = key;
		forged.from++;
		tap_ok(!is_known(&forged), "IPv%u: not by another peer or port", family);
		forged = key;
		forged.ports ^= 1;
		tap_ok(!is_known(&forged), "IPv%u: not by another source port", family);
		forged = key;
		forged.ports ^= 1u << 31;
		tap_ok(!is_known(&forged), "IPv%u: not by another destination port", family);
		forged = key;
		forged.protocol = IP_PROTOCOL_TCP;
		tap_ok(!is_known(&forged), "IPv%u: not by another protocol", family);
		forged = key;
		forged.kind ^= FLOW_FROM_TUNNEL ^ FLOW_TO_TUNNEL;
		tap_ok(!is_known(&forged), "IPv%u: not by one that goes the other way", family);
		forged = key;
		forged.kind ^= FLOW_IS_V6;
		tap_ok(!is_known(&forged), "IPv%u: not by one of the other family", family);
		for (unsigned i = 0; i < (family == 4 ? 1 : 4); i++)
			for (unsigned bit = 0; bit < 64; bit += 63) {
				forged = key;
				forged.addr[i] ^= UINT64_C(1) << bit;
				tap_ok(!is_known(&forged),
					"IPv%u: not by another address (word %u, bit %u)", family,
					i, bit);
			}
		flow_cache_destroy(c);
	}
}

// The digest of IPv6 addresses spreads, and proves nothing.
static void
test_same_digest(void)
{
	struct flow_key key, src, dst;

	create();
	key = src = dst = key_v6(1);
	src.addr[0] -= 1;
	src.addr[1] = UINT64_C(1) << 41 | (key.addr[1] << 23 | key.addr[1] >> 41) >> 23;
	dst.addr[2] += 1;
	dst.addr[3] = (key.addr[3] << 32 | key.addr[3] >> 32) - UINT64_C(0x9e3779b97f4a7c15);
	dst.addr[3] = dst.addr[3] << 32 | dst.addr[3] >> 32;
	tap_ok(flow_digest_v6(src.addr) == flow_digest_v6(key.addr) &&
			flow_digest_v6(dst.addr) == flow_digest_v6(key.addr),
		"other addresses may have the same digest");
	learn(&key, NOW, 1);
	tap_ok(!is_known(&src), "another source of the same digest is not taken for it");
	tap_ok(!is_known(&dst), "nor is another destination");
	flow_cache_begin(c, &src);
	learn(&src, NOW, 2);
	tap_ok(holds(&src, NOW, 2) && !is_known(&key), "and takes its place if it comes");
	flow_cache_destroy(c);
}

static void
test_bucket_v4(void)
{
	struct flow_key a, b, d, e;

	create();
	a = mate(false, 0);
	b = mate(false, 1);
	d = mate(false, 2);
	e = mate(false, 3);
	learn(&a, NOW, 1);
	learn(&b, NOW + 1, 2);
	tap_ok(holds(&a, NOW + 2, 1) && holds(&b, NOW + 2, 2), "two flows share a bucket");
	tap_int((long long)c->n_pushed_out, 0, "nobody was pushed out");
	learn(&a, NOW + 2, 7);
	tap_ok(holds(&a, NOW + 2, 7) && holds(&b, NOW + 2, 2),
		"one that comes again keeps its place");
	learn(&d, NOW + 3, 3);
	tap_ok(holds(&a, NOW + 3, 7) && holds(&d, NOW + 3, 3) && !is_known(&b),
		"a third one takes that of the one learnt longer ago");
	learn(&e, NOW + 4, 4);
	tap_ok(holds(&d, NOW + 4, 3) && holds(&e, NOW + 4, 4) && !is_known(&a),
		"a fourth one, too, wherever that is");
	tap_int((long long)c->n_pushed_out, 2, "two were pushed out");
	flow_cache_find(c, &e)->until_ns = 0;
	learn(&a, NOW + 5, 1);
	tap_ok(holds(&a, NOW + 5, 1) && holds(&d, NOW + 5, 3), "before that, one that is over");
	learn(&b, NOW + 3 + LEASE, 2);
	tap_ok(holds(&b, NOW + 3 + LEASE, 2) && holds(&a, NOW + 3 + LEASE, 1),
		"... whose lease has ended");
	tap_int((long long)c->n_pushed_out, 2, "which is not to be pushed out");
	flow_cache_look_at(c, 2, 1, 0);
	learn(&d, NOW + 6, 3);
	learn(&e, NOW + 7, 4);
	tap_ok(holds(&d, NOW + 7, 3) && holds(&e, NOW + 7, 4) && c->n_pushed_out == 2,
		"nor are those of other tables");
	flow_cache_destroy(c);
}

static void
test_bucket_v6(void)
{
	struct flow_key a, b, s, u;

	create();
	a = mate(false, 0);
	b = mate(false, 1);
	s = mate(true, 0);
	u = mate(true, 1);
	learn(&a, NOW, 1);
	learn(&b, NOW, 2);
	learn(&s, NOW, 3);
	tap_ok(holds(&s, NOW, 3) && !is_known(&a) && !is_known(&b),
		"a flow of IPv6 takes a bucket of two of IPv4");
	tap_int((long long)c->n_pushed_out, 2, "both were pushed out");
	learn(&s, NOW, 4);
	tap_ok(holds(&s, NOW, 4) && c->n_pushed_out == 2, "comes again, it stays");
	learn(&u, NOW, 5);
	tap_ok(holds(&u, NOW, 5) && !is_known(&s) && c->n_pushed_out == 3,
		"gives way to another of IPv6");
	learn(&b, NOW, 6);
	tap_ok(holds(&b, NOW, 6) && !is_known(&u) && c->n_pushed_out == 4, "and to one of IPv4");
	learn(&a, NOW, 7);
	tap_ok(holds(&b, NOW, 6) && holds(&a, NOW, 7) && c->n_pushed_out == 4,
		"which leaves room for a second one");
	flow_cache_destroy(c);
}

// The second line of an IPv6 flow has its addresses where an IPv4 flow has what it is found by.
static void
test_second_line(void)
{
	struct flow_key v6, v4;

	create();
	v6 = key_v6(9);
	v4 = key_v4(0);
	memcpy(&v6.addr[1], &v4.from, sizeof(v4.from));
	v6.addr[0] = v4.addr[0];
	flow_cache_begin(c, &v6);
	learn(&v6, NOW, 1);
	v4.bucket = v6.bucket;
	memcpy(&v4.ports, (const uint8_t *)&v6.addr[1] + 4, sizeof(v4.ports));
	tap_ok(!is_known(&v4), "addresses of IPv6 are not taken for a flow of IPv4");
	flow_cache_destroy(c);
}

static void
test_tables(void)
{
	static const struct {
		uint32_t tables, net;
		uint64_t filter;
	} others[] = { { 2, 1, 0 }, { 1, 2, 0 }, { 1, 1, 1 } };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct flow_key v4, v6;

		create();
		v4 = key_v4(1);
		v6 = key_v6(2);
		learn(&v4, NOW, 1);
		learn(&v6, NOW, 2);
		flow_cache_look_at(c, 1, 1, 0);
		tap_ok(holds(&v4, NOW, 1) && holds(&v6, NOW, 2), "the same tables: they hold");
		flow_cache_look_at(c, others[i].tables, others[i].net, others[i].filter);
		tap_ok(!holds(&v4, NOW, 1) && !holds(&v6, NOW, 2),
			"other tables, network or filter: none holds (%zu)", i);
		flow_cache_look_at(c, 1, 1, 0);
		tap_ok(!holds(&v4, NOW, 1), "... nor when the old ones are back");
		learn(&v4, NOW, 3);
		tap_ok(holds(&v4, NOW, 3), "... until it is learnt anew");
		flow_cache_destroy(c);
	}
}

static void
test_lease(void)
{
	struct flow_key key;

	create();
	key = key_v4(1);
	learn(&key, NOW, 1);
	tap_ok(holds(&key, NOW + LEASE - 1, 1) && !holds(&key, NOW + LEASE, 1),
		"an entry holds for a lease");
	learn(&key, NOW + LEASE, 2);
	tap_ok(holds(&key, NOW + LEASE, 2) && flow_cache_find(c, &key)->mtu == 1500,
		"and another one");
	flow_cache_learn(c, &key, packet, NOW, 1, 1, UINT32_MAX);
	tap_int(flow_cache_find(c, &key)->mtu, UINT16_MAX, "without an MTU nothing is too long");
	flow_cache_destroy(c);
}

static void
test_crowded(void)
{
	const uint32_t least = 2 * FLOW_CACHE_MIN_BUCKETS / 32;
	uint64_t before = 0;

	create();
	tap_ok(!flow_cache_is_crowded(c, &before), "an empty one is not crowded");
	c->n_pushed_out += least;
	tap_ok(!flow_cache_is_crowded(c, &before), "one in 32 pushed out: not yet");
	c->n_pushed_out += least + 1;
	tap_ok(flow_cache_is_crowded(c, &before), "more since: it is");
	tap_ok(!flow_cache_is_crowded(c, &before), "none since: it is not");
	flow_cache_destroy(c);
}

static void
test_read(void)
{
	static const struct {
		const char *what;
		uint8_t protocol, flags;
		uint32_t l4_len;
		bool has_key, is_ordinary;
	} rows[] = {
		{ "UDP", IP_PROTOCOL_UDP, 0, 20, true, true },
		{ "UDP's header alone", IP_PROTOCOL_UDP, 0, 8, true, true },
		{ "less than that", IP_PROTOCOL_UDP, 0, 7, false, false },
		{ "ACK", IP_PROTOCOL_TCP, 0x10, 40, true, true },
		{ "all but FIN, SYN, RST", IP_PROTOCOL_TCP, 0xf8, 40, true, true },
		{ "FIN", IP_PROTOCOL_TCP, 0x11, 40, true, false },
		{ "SYN", IP_PROTOCOL_TCP, 0x02, 40, true, false },
		{ "RST", IP_PROTOCOL_TCP, 0x04, 40, true, false },
		{ "TCP's header alone", IP_PROTOCOL_TCP, 0x10, 20, true, true },
		{ "less than TCP's", IP_PROTOCOL_TCP, 0x10, 19, false, false },
		{ "ICMP", IP_PROTOCOL_ICMP, 0, 40, false, false },
		{ "TSMP", 99, 0, 40, false, false },
		{ "a fragment header", IP_PROTOCOL_IPV6_FRAG, 0, 40, false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned family = 4; family <= 6; family += 2) {
			uint32_t header = family == 4 ? 20 : 40;
			const struct packet_make what = { .src = family == 4 ? "10.1.2.3"
				                                             : "fd00::3",
				.dst = family == 4 ? "10.4.5.6" : "fd01::6",
				.protocol = rows[i].protocol };
			struct flow_key key = { .kind = 99 };
			uint8_t p[100] = {};
			struct ip_view v;
			bool fine;

			packet_make(p, header + rows[i].l4_len, &what);
			store_be32(p + header, 0x01020304);
			if (rows[i].protocol == IP_PROTOCOL_TCP)
				p[header + 13] = rows[i].flags;
			if (!ip_parse(p, header + rows[i].l4_len, &v))
				abort();
			flow_key_read(p, &v, 17, FLOW_TO_TUNNEL, &key);
			fine = (key.kind != FLOW_NONE) == rows[i].has_key;
			if (rows[i].has_key)
				fine &= key.is_ordinary == rows[i].is_ordinary && key.from == 17 &&
				        key.protocol == rows[i].protocol &&
				        memcmp(&key.ports, p + header, 4) == 0 &&
				        memcmp(key.addr, v.src, family == 4 ? 8 : 32) == 0 &&
				        key.kind == (family == 4 ? FLOW_TO_TUNNEL
								 : FLOW_TO_TUNNEL | FLOW_IS_V6);
			tap_ok(fine, "IPv%u: %s", family, rows[i].what);
		}
}

// What was changed in the packet that was learnt is what is to be changed in the next ones.
static void
test_rewriting(void)
{
	struct flow_key key = {};
	uint8_t p[60], as_it_came[60];
	const struct flow_entry *e;
	struct ip_view v;

	create();
	packet_make(
		p, sizeof(p), &(struct packet_make){ .src = "100.64.0.2", .dst = "192.168.77.5" });
	memcpy(as_it_came, p, sizeof(p));
	if (!ip_parse(p, sizeof(p), &v))
		abort();
	flow_key_read(p, &v, 1, FLOW_FROM_TUNNEL, &key);
	flow_cache_begin(c, &key);
	flow_cache_learn(c, &key, p, NOW, 1, 1, 1500);
	tap_ok(!flow_cache_find(c, &key)->rewrites,
		"the same address and port: nothing but the TTL");
	memcpy(p + 12, (const uint8_t[4]){ 192, 168, 77, 1 }, 4);
	flow_cache_learn(c, &key, p, NOW, 1, 1, 1500);
	tap_ok(flow_cache_find(c, &key)->rewrites, "another address");
	memcpy(p + 12, as_it_came + 12, 4);
	store_be16(p + 20, 61000);
	flow_cache_learn(c, &key, p, NOW, 1, 1, 1500);
	tap_ok(flow_cache_find(c, &key)->rewrites, "another port");
	memcpy(p + 12, (const uint8_t[4]){ 192, 168, 77, 1 }, 4);
	flow_cache_learn(c, &key, p, NOW, 1, 1, 1500);
	e = flow_cache_find(c, &key);
	memcpy(as_it_came + 12, flow_entry_addr(e), 4);
	as_it_came[8]--;
	rewrite_checksum(as_it_came + 10, e->header_delta);
	rewrite_transport(as_it_came + 20, IP_PROTOCOL_UDP, 0, e->port, e->transport_delta);
	tap_ok(e->rewrites && packet_is_sound(as_it_came, sizeof(as_it_came)) &&
			load_be16(as_it_came + 20) == 61000,
		"both: and all sums are right");
	flow_cache_destroy(c);
}

int
main(void)
{
	test_keys();
	test_same_digest();
	test_bucket_v4();
	test_bucket_v6();
	test_second_line();
	test_tables();
	test_lease();
	test_crowded();
	test_read();
	test_rewriting();
	return tap_done();
}
