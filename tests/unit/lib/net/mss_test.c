/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/mss.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

#define SYN     0x02
#define SYN_ACK 0x12
#define ACK     0x10

// A TCP header of data_offset words; its first option bytes; what becomes of them.
static const struct {
	const char *what;
	uint8_t flags;
	uint8_t data_offset;
	uint32_t payload_len;
	uint32_t mtu;
	uint8_t options[12];
	uint8_t after[12];
} rows[] = {
	{ "lowered", SYN, 6, 0, 1420, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0x64 } },
	{ "lowered in the answer too", SYN_ACK, 6, 0, 1420, { 2, 4, 0x05, 0xb4 },
		{ 2, 4, 0x05, 0x64 } },
	{ "just right", SYN, 6, 0, 1420, { 2, 4, 0x05, 0x64 }, { 2, 4, 0x05, 0x64 } },
	{ "one too many", SYN, 6, 0, 1420, { 2, 4, 0x05, 0x65 }, { 2, 4, 0x05, 0x64 } },
	{ "never raised", SYN, 6, 0, 9000, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0xb4 } },
	{ "the largest MSS", SYN, 6, 0, 1420, { 2, 4, 0xff, 0xff }, { 2, 4, 0x05, 0x64 } },
	{ "only in a SYN", ACK, 6, 0, 1420, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0xb4 } },
	{ "behind one NOP, across two words", SYN, 7, 0, 1420, { 1, 2, 4, 0x05, 0xb4 },
		{ 1, 2, 4, 0x05, 0x64 } },
	{ "behind other options", SYN, 8, 0, 1420, { 3, 3, 7, 4, 2, 2, 4, 0x23, 0x00 },
		{ 3, 3, 7, 4, 2, 2, 4, 0x05, 0x64 } },
	{ "both of two", SYN, 7, 0, 1420, { 2, 4, 0x05, 0xb4, 2, 4, 0x06, 0x00 },
		{ 2, 4, 0x05, 0x64, 2, 4, 0x05, 0x64 } },
	{ "behind the end of options nothing is read", SYN, 7, 0, 1420, { 0, 2, 2, 4, 0x05, 0xb4 },
		{ 0, 2, 2, 4, 0x05, 0xb4 } },
	{ "no option: none is added", SYN, 5, 4, 1420, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0xb4 } },
	{ "an MSS of wrong length", SYN, 7, 0, 1420, { 2, 3, 0xff, 2, 4, 0x05, 0xb4 },
		{ 2, 3, 0xff, 2, 4, 0x05, 0x64 } },
	{ "an option of length 0 ends it", SYN, 7, 0, 1420, { 8, 0, 2, 4, 0x05, 0xb4 },
		{ 8, 0, 2, 4, 0x05, 0xb4 } },
	{ "an option of length 1 ends it", SYN, 7, 0, 1420, { 8, 1, 2, 4, 0x05, 0xb4 },
		{ 8, 1, 2, 4, 0x05, 0xb4 } },
	{ "an option beyond the header ends it", SYN, 6, 4, 1420, { 1, 1, 2, 4, 0x05, 0xb4 },
		{ 1, 1, 2, 4, 0x05, 0xb4 } },
	{ "an option without its length", SYN, 6, 4, 1420, { 1, 1, 1, 2, 4, 0x05, 0xb4 },
		{ 1, 1, 1, 2, 4, 0x05, 0xb4 } },
	{ "a header shorter than 20", SYN, 4, 4, 1420, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0xb4 } },
	{ "an MTU that leaves nothing", SYN, 6, 0, 40, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0xb4 } },
	{ "an MTU larger than any MSS", SYN, 6, 0, 100000, { 2, 4, 0xff, 0xff },
		{ 2, 4, 0xff, 0xff } },
	{ "a SYN with data", SYN, 6, 7, 1420, { 2, 4, 0x05, 0xb4 }, { 2, 4, 0x05, 0x64 } },
};

static void
build(struct packet *k, size_t row, const char *src, const char *dst)
{
	uint32_t header_len = rows[row].data_offset < 5 ? 20 : rows[row].data_offset * 4U;
	uint8_t *tcp;

	packet_begin(k, src, dst, IP_PROTOCOL_TCP, header_len + rows[row].payload_len);
	tcp = k->bytes + k->view.header_len;
	store_be16(tcp, 40000);
	store_be16(tcp + 2, 443);
	tcp[12] = (uint8_t)(rows[row].data_offset << 4);
	tcp[13] = rows[row].flags;
	memcpy(tcp + 20, rows[row].options,
		k->len - k->view.header_len - 20 < 12 ? k->len - k->view.header_len - 20 : 12);
	(void)checksum_fill_packet(k->bytes, &k->view);
}

static bool
checksum_is_right(const struct packet *k)
{
	struct packet copy = *k;

	copy.view.src = copy.bytes + (k->view.src - k->bytes);
	copy.view.dst = copy.bytes + (k->view.dst - k->bytes);
	return checksum_fill_packet(copy.bytes, &copy.view) &&
	       memcmp(copy.bytes, k->bytes, k->len) == 0;
}

// IPv6 has 20 bytes more of header, so the same MSS comes out of an MTU larger by that.
static void
run(const char *src, const char *dst, uint32_t more_mtu)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool changes = memcmp(rows[i].options, rows[i].after, 12) != 0;
		uint32_t options_len;
		struct packet k;

		build(&k, i, src, dst);
		options_len = k.len - k.view.header_len - 20;
		tap_ok(tcp_clamp_mss(k.bytes, &k.view, rows[i].mtu + more_mtu) == changes,
			"%s, MTU %u: changed: %d", rows[i].what, rows[i].mtu + more_mtu, changes);
		tap_bytes(k.bytes + k.view.header_len + 20, rows[i].after,
			options_len < 12 ? options_len : 12, rows[i].what);
		tap_ok(checksum_is_right(&k), "%s: the checksum is right", rows[i].what);
	}
}

// A SYN with a large MSS, at any length that the IP header may claim: nothing past it is read.
static void
every_length(void)
{
	struct packet k;
	uint32_t changed_from = 0;

	for (uint32_t len = IPV4_HEADER_LEN; len <= 44; len++) {
		uint8_t exact[44];

		build(&k, 0, "10.0.0.1", "10.0.0.2");
		store_be16(k.bytes + 2, (uint16_t)len);
		memcpy(exact, k.bytes, len);
		if (ip_parse(exact, len, &k.view) && tcp_clamp_mss(exact, &k.view, 1420) &&
			changed_from == 0)
			changed_from = len;
	}
	tap_int(changed_from, 44, "the first length at which the header is whole");
}

// The last byte of the packet is the kind of an option: its length is not looked for behind it.
static void
no_length_behind(void)
{
	struct packet k;
	uint8_t *exact;

	build(&k, 0, "10.0.0.1", "10.0.0.2");
	memcpy(k.bytes + 40, (uint8_t[]){ 1, 1, 1, 2 }, 4);
	exact = malloc(44); // a block of its own: a sanitizer sees a byte too far
	if (exact == NULL)
		abort();
	memcpy(exact, k.bytes, 44);
	tap_ok(ip_parse(exact, 44, &k.view) && !tcp_clamp_mss(exact, &k.view, 1420),
		"an option without its length at the end of the packet");
	free(exact);
}

static void
not_for(void)
{
	struct packet k;

	build(&k, 0, "10.0.0.1", "10.0.0.2");
	k.bytes[9] = IP_PROTOCOL_UDP;
	tap_ok(packet_parse(&k) && !tcp_clamp_mss(k.bytes, &k.view, 1420), "another protocol");
	build(&k, 0, "10.0.0.1", "10.0.0.2");
	store_be16(k.bytes + 6, 0x0001);
	tap_ok(packet_parse(&k) && !tcp_clamp_mss(k.bytes, &k.view, 1420), "a later fragment");
	build(&k, 0, "fd00::1", "fd00::2");
	tap_ok(!tcp_clamp_mss(k.bytes, &k.view, 60), "an IPv6 MTU that leaves nothing");
	tap_ok(tcp_clamp_mss(k.bytes, &k.view, 61), "and one that leaves a byte");
	tap_int(load_be16(k.bytes + 62), 1, "which is the MSS then");
}

static void
behind_extension_headers(void)
{
	struct packet plain, k;
	uint8_t *tcp;

	build(&plain, 0, "fd00::1", "fd00::2");
	packet_begin(&k, "fd00::1", "fd00::2", IP_PROTOCOL_IPV6_OPTS, 8 + 24);
	k.bytes[40] = IP_PROTOCOL_TCP;
	tcp = k.bytes + 48;
	memcpy(tcp, plain.bytes + 40, 24);
	tap_ok(tcp_clamp_mss(k.bytes, &k.view, 1440), "a SYN behind destination options");
	tap_int(load_be16(tcp + 22), 1380, "its MSS");
	tap_ok(checksum_is_right(&k), "its checksum");
}

int
main(void)
{
	run("10.0.0.1", "10.0.0.2", 0);
	run("fd00::1", "fd00::2", 20);
	every_length();
	no_length_behind();
	not_for();
	behind_extension_headers();
	return tap_done();
}
