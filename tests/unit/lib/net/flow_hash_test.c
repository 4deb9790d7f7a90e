/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/flow_hash.h"

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

#define SEED UINT64_C(0x1122334455667788)

// A packet of a flow: everything that may differ inside one is taken from r.
static uint32_t
hash_of(struct rng *r,
	const char *src,
	const char *dst,
	uint8_t protocol,
	uint16_t sport,
	uint16_t dport,
	uint16_t fragment)
{
	struct packet k;

	packet_begin(&k, src, dst, protocol, 20 + rng_below(r, 100));
	for (uint32_t i = k.view.header_len; i < k.len; i++)
		k.bytes[i] = (uint8_t)rng_next(r);
	store_be16(k.bytes + k.view.header_len, sport);
	store_be16(k.bytes + k.view.header_len + 2, dport);
	if (k.view.family == ADDR_V4) {
		store_be16(k.bytes + 4, (uint16_t)rng_next(r));
		store_be16(k.bytes + 6, fragment);
		k.bytes[8] = (uint8_t)rng_next(r);
	} else {
		k.bytes[7] = (uint8_t)rng_next(r);
	}
	if (!packet_parse(&k))
		return 0;
	return flow_hash_inner(k.bytes, &k.view, SEED);
}

static void
same_flow(const char *src, const char *dst, const char *what)
{
	struct rng r = { 10 };
	uint32_t tcp = hash_of(&r, src, dst, 6, 1000, 2000, 0);
	uint32_t esp = hash_of(&r, src, dst, 50, 1000, 2000, 0);
	int wrong = 0;

	for (int n = 0; n < 100; n++) {
		wrong += hash_of(&r, src, dst, 6, 1000, 2000, 0) != tcp;
		wrong += hash_of(&r, src, dst, 50, (uint16_t)n, 2000, 0) != esp;
	}
	tap_ok(wrong == 0, "%s: all packets of a flow hash alike", what);
	tap_ok(tcp != hash_of(&r, src, dst, 6, 1001, 2000, 0), "%s: source port", what);
	tap_ok(tcp != hash_of(&r, src, dst, 6, 1000, 2001, 0), "%s: destination port", what);
	tap_ok(tcp != hash_of(&r, src, dst, 17, 1000, 2000, 0), "%s: protocol", what);
	tap_ok(tcp != hash_of(&r, dst, src, 6, 1000, 2000, 0), "%s: direction", what);
}

static void
fragments(void)
{
	struct rng r = { 11 };
	uint32_t first = hash_of(&r, "10.0.0.1", "10.0.0.2", 17, 1000, 2000, 0x2000);

	tap_ok(first == hash_of(&r, "10.0.0.1", "10.0.0.2", 17, 0xaaaa, 0xbbbb, 0x20b9) &&
			first == hash_of(&r, "10.0.0.1", "10.0.0.2", 17, 0xcccc, 0xdddd, 0x0172),
		"all fragments between two hosts hash alike, whatever is at the ports' place");
}

// A packet too short for ports, at the very end of its buffer: a sanitizer sees a read past it.
static void
short_packet(void)
{
	struct packet k;
	uint8_t exact[IPV4_HEADER_LEN + 3];
	struct ip_view v;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", 17, 3);
	memcpy(exact, k.bytes, sizeof(exact));
	tap_ok(ip_parse(exact, sizeof(exact), &v), "a packet without whole ports");
	tap_ok(flow_hash_inner(exact, &v, SEED) == flow_hash_inner(k.bytes, &k.view, SEED),
		"hashes without them");
}

#define WORKERS 8
#define FLOWS   8000

static bool
is_even(const uint32_t count[WORKERS])
{
	for (int i = 0; i < WORKERS; i++)
		if (count[i] < FLOWS / WORKERS * 8 / 10 || count[i] > FLOWS / WORKERS * 12 / 10)
			return false;
	return true;
}

// Flows that differ in one thing, in a row; taken by remainder and by multiplication.
static void
spread(void)
{
	for (int kind = 0; kind < 4; kind++) {
		static const char *const what[] = { "source port", "destination port",
			"IPv4 address", "IPv6 address" };
		uint32_t by_remainder[WORKERS] = {}, by_product[WORKERS] = {};

		for (uint32_t i = 0; i < FLOWS; i++) {
			struct packet k;
			uint32_t h;

			packet_begin(&k, kind == 3 ? "fd00::1" : "10.0.0.1",
				kind == 3 ? "fd00::2" : "10.0.0.2", 17, 8);
			if (kind < 2)
				store_be16(k.bytes + 20 + 2 * kind, (uint16_t)(1024 + i));
			else
				store_be16(k.bytes + (kind == 2 ? 14 : 22), (uint16_t)i);
			h = flow_hash_inner(k.bytes, &k.view, SEED);
			by_remainder[h % WORKERS]++;
			by_product[(uint64_t)h * WORKERS >> 32]++;
		}
		tap_ok(is_even(by_remainder), "by %s, workers by remainder", what[kind]);
		tap_ok(is_even(by_product), "by %s, workers by product", what[kind]);
	}
}

static void
outer(void)
{
	struct endpoint e = { .addr = addr_of_text("192.0.2.7"), .port = 51820 }, f = e;
	uint32_t count[WORKERS] = {};

	f.scope_id = 3;
	tap_ok(flow_hash_outer(&e, SEED) == flow_hash_outer(&f, SEED), "the zone does not count");
	f.port++;
	tap_ok(flow_hash_outer(&e, SEED) != flow_hash_outer(&f, SEED), "the port does");
	f = e;
	f.addr.bytes[3]++;
	tap_ok(flow_hash_outer(&e, SEED) != flow_hash_outer(&f, SEED), "the address does");
	tap_ok(flow_hash_outer(&e, SEED) != flow_hash_outer(&e, SEED + 1), "so does the seed");
	for (uint32_t i = 0; i < FLOWS; i++) {
		store_be16(f.addr.bytes + 2, (uint16_t)i);
		count[flow_hash_outer(&f, SEED) % WORKERS]++;
	}
	tap_ok(is_even(count), "endpoints in a row spread over workers");
}

int
main(void)
{
	same_flow("10.0.0.1", "10.0.0.2", "IPv4");
	same_flow("fd00::1", "fd00::2", "IPv6");
	fragments();
	short_packet();
	spread();
	outer();
	return tap_done();
}
