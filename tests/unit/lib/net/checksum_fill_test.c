/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/checksum_fill.h"

#include <stdlib.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

enum state {
	RIGHT,
	MISSING, /* the pseudo-header's sum, as a local sender leaves it */
	WRONG,
	NONE, /* 0 */
};

static const struct {
	const char *what;
	const char *src, *dst;
	uint8_t protocol;
	uint32_t len;
	enum state before, after;
} rows[] = {
	{ "TCP, missing", "10.0.0.1", "10.0.0.2", 6, 100, MISSING, RIGHT },
	{ "UDP, missing", "10.0.0.1", "10.0.0.2", 17, 100, MISSING, RIGHT },
	{ "an odd length", "10.0.0.1", "10.0.0.2", 17, 101, MISSING, RIGHT },
	{ "TCP, right", "10.0.0.1", "10.0.0.2", 6, 100, RIGHT, RIGHT },
	{ "UDP, right", "10.0.0.1", "10.0.0.2", 17, 100, RIGHT, RIGHT },
	{ "TCP, wrong stays wrong", "10.0.0.1", "10.0.0.2", 6, 100, WRONG, WRONG },
	{ "UDP without one", "10.0.0.1", "10.0.0.2", 17, 100, NONE, NONE },
	{ "TCP over IPv6", "fd00::1", "fd00::2", 6, 100, MISSING, RIGHT },
	{ "UDP over IPv6", "fd00::1", "fd00::2", 17, 100, MISSING, RIGHT },
	{ "UDP over IPv6, wrong", "fd00::1", "fd00::2", 17, 100, WRONG, WRONG },
	{ "too short for TCP", "10.0.0.1", "10.0.0.2", 6, 19, MISSING, MISSING },
	{ "just long enough", "10.0.0.1", "10.0.0.2", 6, 20, MISSING, RIGHT },
	{ "too short for UDP", "10.0.0.1", "10.0.0.2", 17, 7, MISSING, MISSING },
	{ "another protocol", "10.0.0.1", "10.0.0.2", 47, 100, MISSING, MISSING },
};

static uint32_t
checksum_at(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_UDP ? 6 : 16;
}

static void
set(struct packet *k, uint32_t l4, uint8_t protocol, enum state state)
{
	uint32_t len = k->len - l4;
	uint8_t *field = k->bytes + l4 + checksum_at(protocol);

	if (len < checksum_at(protocol) + 2)
		return;
	(void)checksum_fill_transport((enum addr_family)k->view.family, k->view.src, k->view.dst,
		protocol, k->bytes + l4, len);
	if (state == WRONG)
		field[0] ^= 1;
	if (state == NONE)
		store_be16(field, 0);
	if (state == MISSING)
		checksum_store(field,
			checksum_fold(checksum_add_pseudo(0, (enum addr_family)k->view.family,
				k->view.src, k->view.dst, protocol, len)));
}

static void
build(size_t row, enum state state, struct packet *k)
{
	packet_begin(k, rows[row].src, rows[row].dst, rows[row].protocol, rows[row].len);
	for (uint32_t i = 0; i < rows[row].len; i++)
		k->bytes[k->view.header_len + i] = (uint8_t)(i * 13 + 5);
	if (rows[row].protocol == IP_PROTOCOL_UDP && rows[row].len >= 8)
		store_be16(k->bytes + k->view.header_len + 4, (uint16_t)rows[row].len);
	set(k, k->view.header_len, rows[row].protocol, state);
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool changes = rows[i].before != rows[i].after;
		struct packet k, wanted;

		build(i, rows[i].before, &k);
		build(i, rows[i].after, &wanted);
		tap_int(checksum_fill_missing(k.bytes, &k.view), changes, rows[i].what);
		tap_bytes(k.bytes, wanted.bytes, k.len, rows[i].what);
	}
}

// Behind extension headers, and not in fragments.
static void
test_extensions(void)
{
	struct packet k, before;

	packet_begin(&k, "fd00::1", "fd00::2", IP_PROTOCOL_IPV6_OPTS, 8 + 60);
	k.bytes[40] = IP_PROTOCOL_TCP;
	set(&k, 48, IP_PROTOCOL_TCP, MISSING);
	tap_ok(checksum_fill_missing(k.bytes, &k.view), "behind destination options");
	tap_ok(!checksum_fill_missing(k.bytes, &k.view), "once is enough");
	packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_TCP, 60);
	set(&k, 20, IP_PROTOCOL_TCP, MISSING);
	store_be16(k.bytes + 6, IPV4_MORE_FRAGMENTS);
	if (!packet_parse(&k))
		abort();
	before = k;
	tap_ok(!checksum_fill_missing(k.bytes, &k.view), "a fragment has none of its own");
	tap_bytes(k.bytes, before.bytes, k.len, "it is left alone");
}

// RFC 9260 appendix A has no vector; "123456789" is the usual one of CRC32c: e3069283.
static void
test_sctp(void)
{
	static const uint8_t sctp[12] = { 0x13, 0x88, 0x13, 0x89, 1, 2, 3, 4, 0, 0, 0, 0 };
	struct packet k;
	uint32_t crc = UINT32_MAX;

	packet_begin(&k, "10.0.0.1", "10.0.0.2", 132, sizeof(sctp));
	memcpy(k.bytes + 20, sctp, sizeof(sctp));
	for (size_t i = 0; i < sizeof(sctp); i++) {
		crc ^= sctp[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	tap_ok(checksum_fill_missing(k.bytes, &k.view), "SCTP: 0 is missing");
	tap_int(load_le32(k.bytes + 28), ~crc, "SCTP: its CRC32c");
	tap_ok(!checksum_fill_missing(k.bytes, &k.view), "SCTP: once is enough");
	packet_begin(&k, "10.0.0.1", "10.0.0.2", 132, 11);
	tap_ok(!checksum_fill_missing(k.bytes, &k.view), "SCTP: too short");
}

int
main(void)
{
	test_rows();
	test_extensions();
	test_sctp();
	return tap_done();
}
