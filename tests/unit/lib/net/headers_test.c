/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/headers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

// What a receiver refuses: peer.md section 3.5.  A byte or 16-bit field of a good packet is
// changed.
static const struct {
	const char *what;
	bool v6;
	uint32_t buffer_len; // of a packet of 84 (IPv4) or 104 (IPv6) bytes
	uint8_t first_byte;
	uint16_t length_field;
	bool accepted;
	uint32_t total_len;
} bounds[] = {
	{ "IPv4 as it is", false, 84, 0x45, 84, true, 84 },
	{ "IPv4 with padding behind", false, 96, 0x45, 84, true, 84 },
	{ "IPv4 longer than the buffer", false, 83, 0x45, 84, false, 0 },
	{ "IPv4 of 65,535 bytes in a short buffer", false, 84, 0x45, 65535, false, 0 },
	{ "IPv4 of just a header", false, 84, 0x45, 20, true, 20 },
	{ "IPv4 total below 20", false, 84, 0x45, 19, false, 0 },
	{ "IPv4 total 0", false, 84, 0x45, 0, false, 0 },
	{ "IPv4 with all options", false, 84, 0x4f, 84, true, 84 },
	{ "IPv4 of just header and options", false, 84, 0x4f, 60, true, 60 },
	{ "IPv4 header beyond the total", false, 84, 0x4f, 59, false, 0 },
	{ "IPv4 header of 16 bytes", false, 84, 0x44, 84, false, 0 },
	{ "IPv4 header of 0 bytes", false, 84, 0x40, 84, false, 0 },
	{ "IPv4 in 19 bytes", false, 19, 0x45, 19, false, 0 },
	{ "IPv4 in one byte", false, 1, 0x45, 84, false, 0 },
	{ "no byte", false, 0, 0x45, 84, false, 0 },
	{ "version 0, as of padding", false, 84, 0x05, 84, false, 0 },
	{ "version 5", false, 84, 0x55, 84, false, 0 },
	{ "version 15", false, 84, 0xf5, 84, false, 0 },
	{ "IPv6 as it is", true, 104, 0x60, 64, true, 104 },
	{ "IPv6 with padding behind", true, 112, 0x60, 64, true, 104 },
	{ "IPv6 longer than the buffer", true, 103, 0x60, 64, false, 0 },
	{ "IPv6 of 65,575 bytes in a short buffer", true, 104, 0x60, 65535, false, 0 },
	{ "IPv6 without payload", true, 104, 0x60, 0, true, 40 },
	{ "IPv6 in 40 bytes", true, 40, 0x60, 0, true, 40 },
	{ "IPv6 in 39 bytes", true, 39, 0x60, 0, false, 0 },
	{ "IPv6 in one byte", true, 1, 0x60, 0, false, 0 },
};

static void
first_header(void)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct ip_view v = { .total_len = 77 };
		struct packet k;
		uint8_t *exact;
		bool accepted;

		if (bounds[i].v6)
			packet_begin(&k, "fd00::1", "fd00::2", IP_PROTOCOL_UDP, 64);
		else
			packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 64);
		k.bytes[0] = bounds[i].first_byte;
		store_be16(k.bytes + (bounds[i].v6 ? 4 : 2), bounds[i].length_field);

		// In a block of just that size, so that a sanitizer sees a read past it.
		exact = malloc(bounds[i].buffer_len + 1);
		if (exact == NULL)
			abort();
		memcpy(exact + 1, k.bytes, bounds[i].buffer_len);
		accepted = ip_parse(exact + 1, bounds[i].buffer_len, &v);
		tap_ok(accepted == bounds[i].accepted, "%s: %s", bounds[i].what,
			bounds[i].accepted ? "accepted" : "refused");
		tap_int(v.total_len, accepted ? bounds[i].total_len : 77, bounds[i].what);
		free(exact);
	}
}

static void
fields_v4(void)
{
	struct packet k;
	struct addr src, dst;
	char text[ADDR_TEXT_LEN];

	packet_begin(&k, "10.0.0.1", "192.168.3.4", IP_PROTOCOL_UDP, 64);
	k.bytes[0] = 0x46;
	k.bytes[1] = 0xb9;
	tap_ok(packet_parse(&k), "an IPv4 packet with options");
	src = ip_src(&k.view);
	dst = ip_dst(&k.view);
	tap_text(addr_format(&src, text), "10.0.0.1", "source");
	tap_text(addr_format(&dst, text), "192.168.3.4", "destination");
	tap_int(k.view.family, ADDR_V4, "family");
	tap_int(k.view.header_len, 24, "header length with options");
	tap_int(k.view.protocol, IP_PROTOCOL_UDP, "protocol");
	tap_int(k.view.ttl, 64, "TTL");
	tap_int(k.view.ecn, 1, "ECN without the DSCP");
	tap_ok(!ip_is_fragment(&k.view) && !ip_is_later_fragment(&k.view) &&
			!ip_dont_fragment(&k.view),
		"no fragment, and may be cut");
}

static void
fields_v6(void)
{
	struct packet k;
	struct addr src, dst;
	char text[ADDR_TEXT_LEN];

	packet_begin(&k, "fd00::1", "fd00::2", IP_PROTOCOL_TCP, 64);
	store_be32(k.bytes, 0x6bbfffff);
	tap_ok(packet_parse(&k), "an IPv6 packet");
	src = ip_src(&k.view);
	dst = ip_dst(&k.view);
	tap_text(addr_format(&src, text), "fd00::1", "source");
	tap_text(addr_format(&dst, text), "fd00::2", "destination");
	tap_int(k.view.family, ADDR_V6, "family");
	tap_int(k.view.header_len, 40, "header length");
	tap_int(k.view.protocol, IP_PROTOCOL_TCP, "protocol");
	tap_int(k.view.ttl, 64, "hop limit");
	tap_int(k.view.ecn, 3, "ECN of traffic class bb");
	tap_ok(ip_dont_fragment(&k.view), "nobody on the way may cut it");
}

static const struct {
	const char *what;
	uint16_t word;
	bool is_fragment, is_later, dont_fragment;
	uint16_t offset;
} fragments[] = {
	{ "whole", 0x0000, false, false, false, 0 },
	{ "whole, not to be cut", 0x4000, false, false, true, 0 },
	{ "the first piece", 0x2000, true, false, false, 0 },
	{ "a middle piece", 0x20b9, true, true, false, 1480 },
	{ "the last piece", 0x0172, true, true, false, 2960 },
	{ "the last possible offset", 0x1fff, true, true, false, 65528 },
	{ "the reserved bit means nothing", 0x8000, false, false, false, 0 },
};

static void
fragments_v4(void)
{
	for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
		struct packet k;
		struct ip_transport t;

		packet_begin(&k, "10.0.0.1", "10.0.0.2", IP_PROTOCOL_UDP, 64);
		store_be16(k.bytes + 6, fragments[i].word);
		tap_ok(packet_parse(&k) && ip_is_fragment(&k.view) == fragments[i].is_fragment &&
				ip_is_later_fragment(&k.view) == fragments[i].is_later &&
				ip_dont_fragment(&k.view) == fragments[i].dont_fragment,
			"IPv4, %s", fragments[i].what);
		tap_int(ip_fragment_offset(&k.view), fragments[i].offset, fragments[i].what);
		tap_ok(ip_find_transport(k.bytes, &k.view, &t) == 0 && t.offset == 20 &&
				t.protocol == IP_PROTOCOL_UDP &&
				t.is_later_fragment == fragments[i].is_later,
			"the same behind the walk: %s", fragments[i].what);
	}
}

// Chains of extension headers: kind, then length field, then (fragment header) its second word.
struct link {
	uint8_t kind;
	uint8_t len_field;
	uint16_t word;
};

#define HOP(n)                           \
	{                                \
		IP_PROTOCOL_HOPOPT, n, 0 \
	}
#define DST(n)                              \
	{                                   \
		IP_PROTOCOL_IPV6_OPTS, n, 0 \
	}
#define FRAG(w)                             \
	{                                   \
		IP_PROTOCOL_IPV6_FRAG, 0, w \
	}
#define AH(n)                        \
	{                            \
		IP_PROTOCOL_AH, n, 0 \
	}

static const struct {
	const char *what;
	struct link links[10];
	uint8_t n;
	uint8_t last;     // protocol behind them
	uint32_t payload; // bytes behind them, may be cut below
	int cut;          // bytes taken away from the end
	int err;
	uint32_t offset;
	uint8_t protocol;
	bool is_fragment, is_later;
} chains[] = {
	{ "no extension header", {}, 0, 17, 8, 0, 0, 40, 17, false, false },
	{ "hop-by-hop", { HOP(0) }, 1, 17, 8, 0, 0, 48, 17, false, false },
	{ "a longer one", { DST(3) }, 1, 6, 20, 0, 0, 72, 6, false, false },
	{ "the usual order", { HOP(0), DST(1), { 43, 2, 0x0300 }, AH(4), DST(0) }, 5, 6, 20, 0, 0,
		40 + 8 + 16 + 24 + 24 + 8, 6, false, false },
	{ "any order", { DST(0), HOP(0) }, 2, 17, 8, 0, 0, 56, 17, false, false },
	{ "authentication header counts in fours", { AH(4) }, 1, 17, 8, 0, 0, 64, 17, false,
		false },
	{ "mobility, HIP and shim6", { { 135, 0, 0 }, { 139, 0, 0 }, { 140, 0, 0 } }, 3, 17, 8, 0,
		0, 64, 17, false, false },
	{ "no next header", { HOP(0) }, 1, 59, 8, 0, 0, 48, 59, false, false },
	{ "nothing behind the last", { HOP(0) }, 1, 17, 0, 0, 0, 48, 17, false, false },
	{ "an unknown protocol ends the walk", { HOP(0) }, 1, 200, 8, 0, 0, 48, 200, false, false },
	{ "ESP ends the walk", { HOP(0) }, 1, 50, 8, 0, 0, 48, 50, false, false },
	{ "the first fragment", { FRAG(0x0001) }, 1, 17, 8, 0, 0, 48, 17, true, false },
	{ "a later fragment", { FRAG(0x05c9) }, 1, 17, 8, 0, 0, 48, 17, true, true },
	{ "the last fragment", { FRAG(0x05c8) }, 1, 17, 8, 0, 0, 48, 17, true, true },
	{ "an atomic fragment is none", { FRAG(0x0000) }, 1, 17, 8, 0, 0, 48, 17, false, false },
	{ "reserved bits mean nothing", { FRAG(0x0006) }, 1, 17, 8, 0, 0, 48, 17, false, false },
	{ "nothing is read behind a later fragment's header", { FRAG(0x0010), DST(255) }, 2, 17, 0,
		2040, 0, 48, 60, true, true },
	{ "options behind the first fragment's header", { FRAG(0x0001), DST(0) }, 2, 17, 8, 0, 0,
		56, 17, true, false },
	{ "a fragment in a fragment", { FRAG(0x0000), FRAG(0x0000) }, 2, 17, 8, 0, ERR_BAD_FORMAT,
		0, 0, false, false },
	{ "eight headers", { DST(0), DST(0), DST(0), DST(0), DST(0), DST(0), DST(0), DST(0) }, 8,
		17, 8, 0, 0, 104, 17, false, false },
	{ "nine headers",
		{ DST(0), DST(0), DST(0), DST(0), DST(0), DST(0), DST(0), DST(0), DST(0) }, 9, 17,
		8, 0, ERR_BAD_FORMAT, 0, 0, false, false },
	{ "256 bytes", { DST(31) }, 1, 17, 8, 0, 0, 296, 17, false, false },
	{ "264 bytes", { DST(31), DST(0) }, 2, 17, 8, 0, ERR_BAD_FORMAT, 0, 0, false, false },
	{ "routing header of type 0", { { 43, 2, 0x0000 } }, 1, 17, 8, 0, ERR_BAD_FORMAT, 0, 0,
		false, false },
	{ "routing header of type 2", { { 43, 2, 0x0200 } }, 1, 17, 8, 0, 0, 64, 17, false, false },
	{ "longer than the packet", { DST(1) }, 1, 17, 0, 1, ERR_TRUNCATED, 0, 0, false, false },
	{ "seven bytes of eight", { HOP(0) }, 1, 17, 0, 1, ERR_TRUNCATED, 0, 0, false, false },
	{ "none of eight", { HOP(0) }, 1, 17, 0, 8, ERR_TRUNCATED, 0, 0, false, false },
	{ "a fragment header cut", { FRAG(0x0001) }, 1, 17, 0, 4, ERR_TRUNCATED, 0, 0, false,
		false },
	{ "the second cut", { HOP(0), DST(0) }, 2, 17, 0, 2, ERR_TRUNCATED, 0, 0, false, false },
};

static uint32_t
link_len(const struct link *l)
{
	if (l->kind == IP_PROTOCOL_IPV6_FRAG)
		return 8;
	return l->kind == IP_PROTOCOL_AH ? (l->len_field + 2U) * 4 : (l->len_field + 1U) * 8;
}

// The packet's length; its bytes in a block of just that size.
static uint32_t
build_chain(size_t row, uint8_t **ret_bytes)
{
	const struct link *links = chains[row].links;
	uint8_t n = chains[row].n;
	uint32_t at = IPV6_HEADER_LEN, len;
	struct packet k;
	uint8_t *bytes;

	packet_begin(&k, "fd00::1", "fd00::2", n > 0 ? links[0].kind : chains[row].last, 0);
	memset(k.bytes + at, 0xee, sizeof(k.bytes) - at);
	bytes = calloc(1, 4096);
	if (bytes == NULL)
		abort();
	memcpy(bytes, k.bytes, at);
	for (uint8_t i = 0; i < n; i++) {
		bytes[at] = i + 1 < n ? links[i + 1].kind : chains[row].last;
		bytes[at + 1] = links[i].len_field;
		store_be16(bytes + at + 2, links[i].word);
		at += link_len(&links[i]);
	}
	len = at + chains[row].payload - (uint32_t)chains[row].cut;
	store_be16(bytes + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	*ret_bytes = realloc(bytes, len);
	if (*ret_bytes == NULL)
		abort();
	return len;
}

static void
walks_v6(void)
{
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		struct ip_transport t = {};
		struct ip_view v;
		uint8_t *bytes;
		uint32_t len = build_chain(i, &bytes);
		bool parsed = ip_parse(bytes, len, &v);

		if (tap_ok(parsed, "%s: the first header is fine", chains[i].what))
			tap_int(ip_find_transport(bytes, &v, &t), chains[i].err, chains[i].what);
		tap_int(t.offset, chains[i].offset, chains[i].what);
		tap_int(t.protocol, chains[i].protocol, chains[i].what);
		tap_ok(t.is_fragment == chains[i].is_fragment &&
				t.is_later_fragment == chains[i].is_later,
			"%s: what kind of fragment", chains[i].what);
		free(bytes);
	}
}

int
main(void)
{
	first_header();
	fields_v4();
	fields_v6();
	fragments_v4();
	walks_v6();
	return tap_done();
}
