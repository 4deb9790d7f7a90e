/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/checksum.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

// RFC 1071 section 3.
static void
published_sum(void)
{
	static const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	static const uint8_t sum[] = { 0xdd, 0xf2 }, checksum[] = { 0x22, 0x0d };
	uint8_t field[2];

	checksum_store(field, checksum_fold(checksum_add(0, data, sizeof(data))));
	tap_bytes(field, sum, 2, "the sum of RFC 1071 section 3");
	checksum_store(field, checksum_finish(checksum_add(0, data, sizeof(data))));
	tap_bytes(field, checksum, 2, "its complement");
}

// RFC 1624 section 4: the case in which the older equation of RFC 1141 gives 0xffff.
static void
published_update(void)
{
	uint8_t field[2] = { 0xdd, 0x2f };

	checksum_update16(field, 0x5555, 0x3285);
	tap_int(load_be16(field), 0x0000, "the update of RFC 1624 section 4");
	checksum_update16(field, 0x0000, 0x0001); // 0xffff + 0xffff + 1 has to be folded twice
	tap_int(load_be16(field), 0xfffe, "an update with two carries");
}

// The worked example of Wikipedia's article "Internet checksum".
static void
known_header(void)
{
	uint8_t header[] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xff, 0xff,
		0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	tap_ok(!checksum_is_valid_ipv4(header, sizeof(header)), "a wrong header checksum is seen");
	checksum_fill_ipv4(header, sizeof(header));
	tap_int(load_be16(header + 10), 0xb861, "header checksum");
	tap_ok(checksum_is_valid_ipv4(header, sizeof(header)), "and it is valid");
}

// Sixteen bits at a time, as RFC 1071 section 4.1 has it.
static uint16_t
naive_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void
naive_twin(void)
{
	struct rng r = { 2 };
	uint8_t data[600], field[2];
	int wrong = 0, wrong_in_pieces = 0;

	for (int n = 0; n < 5000; n++) {
		size_t len = rng_below(&r, sizeof(data) - 8), at = rng_below(&r, 8);
		size_t cut = len == 0 ? 0 : rng_below(&r, (uint32_t)len) & ~1U;
		uint64_t sum;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = n % 5 == 0 ? 0xff : (uint8_t)rng_next(&r);
		checksum_store(field, checksum_fold(checksum_add(0, data + at, len)));
		wrong += load_be16(field) != naive_sum(data + at, len);
		sum = checksum_add(checksum_add(0, data + at, cut), data + at + cut, len - cut);
		checksum_store(field, checksum_fold(sum));
		wrong_in_pieces += load_be16(field) != naive_sum(data + at, len);
	}
	tap_int(wrong, 0, "sums that differ from the naive one");
	tap_int(wrong_in_pieces, 0, "sums in two pieces that differ");
}

static void
large_sums(void)
{
	tap_int(checksum_fold(UINT64_C(0xffffffffffffffff)), 0xffff, "all ones fold to all ones");
	tap_int(checksum_fold(UINT64_C(0x0001000100010001)), 4, "all four words are added");
	tap_int(checksum_fold(UINT64_C(0xfffffffffffffffe)), 0xfffe, "the last carry is added");
	tap_int(checksum_fold(0), 0, "nothing folds to nothing");
}

// An update leaves the checksum that a new computation gives, for every word of a header.
static void
updates_against_full(void)
{
	struct rng r = { 3 };
	struct packet k;
	int wrong = 0;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 8);
	for (int n = 0; n < 20000; n++) {
		uint32_t at = 2 * rng_below(&r, 10);
		uint16_t old_word = load_be16(k.bytes + at);
		uint16_t new_word = n % 3 == 0 ? (uint16_t)(0 - (n & 1)) : (uint16_t)rng_next(&r);

		if (at == 10)
			continue;
		store_be16(k.bytes + at, new_word);
		checksum_update16(k.bytes + 10, old_word, new_word);
		wrong += !checksum_is_valid_ipv4(k.bytes, IPV4_HEADER_LEN);
	}
	tap_int(wrong, 0, "headers invalid after an update");
}

// Random payloads: pseudo-header and payload with the stored checksum sum up to all ones.
static void
transport(void)
{
	static const struct {
		const char *what;
		const char *src, *dst;
		uint8_t protocol;
		uint32_t len;
		bool done;
	} rows[] = {
		{ "TCP, IPv4", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_TCP, 20, true },
		{ "TCP, IPv4, odd length", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_TCP, 33, true },
		{ "TCP, IPv6", "2001:db8::1", "2001:db8::2", IP_PROTOCOL_TCP, 60, true },
		{ "TCP, one byte short", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_TCP, 19, false },
		{ "UDP, IPv4", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_UDP, 8, true },
		{ "UDP, IPv6, odd length", "2001:db8::1", "2001:db8::2", IP_PROTOCOL_UDP, 1201,
			true },
		{ "UDP, one byte short", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_UDP, 7, false },
		{ "ICMP", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_ICMP, 64, true },
		{ "ICMPv6", "2001:db8::1", "2001:db8::2", IP_PROTOCOL_IPV6_ICMP, 64, true },
		{ "ICMP in IPv6", "2001:db8::1", "2001:db8::2", IP_PROTOCOL_ICMP, 64, false },
		{ "ICMPv6 in IPv4", "192.0.2.1", "198.51.100.2", IP_PROTOCOL_IPV6_ICMP, 64, false },
		{ "another protocol", "192.0.2.1", "198.51.100.2", 132, 64, false },
	};
	struct rng r = { 4 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t pseudo[40], before[2048];
		struct packet k;
		uint32_t pseudo_len = 0;
		uint64_t sum;

		packet_begin(&k, rows[i].src, rows[i].dst, rows[i].protocol, rows[i].len);
		for (uint32_t at = k.view.header_len; at < k.len; at++)
			k.bytes[at] = (uint8_t)rng_next(&r);
		memcpy(before, k.bytes, sizeof(before));
		tap_ok(checksum_fill_packet(k.bytes, &k.view) == rows[i].done, "%s: filled: %d",
			rows[i].what, rows[i].done);
		if (!rows[i].done) {
			tap_bytes(k.bytes, before, sizeof(before), "nothing was changed");
			continue;
		}

		// The pseudo-header as it is drawn in RFC 9293 3.1 and RFC 8200 8.1.
		if (k.view.family == ADDR_V4 && rows[i].protocol != IP_PROTOCOL_ICMP) {
			memcpy(pseudo, k.bytes + 12, 8);
			pseudo[8] = 0;
			pseudo[9] = rows[i].protocol;
			store_be16(pseudo + 10, (uint16_t)rows[i].len);
			pseudo_len = 12;
		} else if (k.view.family == ADDR_V6) {
			memcpy(pseudo, k.bytes + 8, 32);
			store_be32(pseudo + 32, rows[i].len);
			store_be32(pseudo + 36, rows[i].protocol);
			pseudo_len = 40;
		}
		sum = (uint64_t)naive_sum(pseudo, pseudo_len) +
		      naive_sum(k.bytes + k.view.header_len, rows[i].len);
		tap_int(checksum_fold(sum), 0xffff, rows[i].what);
	}
}

// A payload chosen so that the sum is 0xffff: the field has to become 0xffff, not 0.
static void
udp_never_zero(void)
{
	struct packet k;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 10);
	store_be16(k.bytes + 24, 10);
	(void)checksum_fill_packet(k.bytes, &k.view);
	memcpy(k.bytes + 28, k.bytes + 26, 2); // adds just what was missing
	tap_ok(checksum_fill_packet(k.bytes, &k.view), "filled");
	tap_int(load_be16(k.bytes + 26), 0xffff, "a UDP checksum of 0 is sent as");

	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_TCP, 22);
	(void)checksum_fill_packet(k.bytes, &k.view);
	memcpy(k.bytes + 40, k.bytes + 36, 2);
	(void)checksum_fill_packet(k.bytes, &k.view);
	tap_int(load_be16(k.bytes + 36), 0, "a TCP checksum of 0 stays");
}

static void
fragments_have_none(void)
{
	struct packet k;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 64);
	store_be16(k.bytes + 6, 0x2000);
	tap_ok(packet_parse(&k) && !checksum_fill_packet(k.bytes, &k.view),
		"a fragment does not hold what its checksum covers");
}

int
main(void)
{
	published_sum();
	published_update();
	known_header();
	naive_twin();
	large_sums();
	updates_against_full();
	transport();
	udp_never_zero();
	fragments_have_none();
	return tap_done();
}
