/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/steer_rows.h"

#include <assert.h>
#include <string.h>

#define ANYBODY  "198.51.100.9"
#define ANYBODY6 "2001:db8:9::9"
#define US       "192.0.2.1" // a LAN's and the underlay's address: local, and flows leave from it
#define US6      "2001:db8::1"
#define ALSO_US  "192.0.2.2" // local, no translation
#define MEMBER   "100.64.0.5"
#define MEMBER6  "fd7a:115c:a1e0::5"
#define OURSELF  "100.64.0.1"
#define WIRE     .protocol = 17, .sport = 51820, .dport = STEER_ROW_PORT
#define TYPE(n)  ((uint32_t)(n) << 24)

const struct steer_row_address steer_row_addresses[] = {
	{ US, STEER_ADDRESS_LOCAL | STEER_ADDRESS_NAT },
	{ US6, STEER_ADDRESS_LOCAL | STEER_ADDRESS_NAT },
	{ ALSO_US, STEER_ADDRESS_LOCAL },
	{ OURSELF, STEER_ADDRESS_LOCAL },
};
const size_t n_steer_row_addresses = sizeof(steer_row_addresses) / sizeof(steer_row_addresses[0]);

const struct steer_row_prefix steer_row_prefixes[] = {
	{ "100.64.0.0/10", STEER_PREFIX_REDIRECT },
	{ "100.64.7.0/24", STEER_PREFIX_PASS },
	{ "100.64.7.7/32", STEER_PREFIX_REDIRECT },
	{ "100.64.8.8/32", STEER_PREFIX_PASS },
	{ "fd7a:115c:a1e0::/48", STEER_PREFIX_REDIRECT },
	{ "fd7a:115c:a1e0:7::/64", STEER_PREFIX_PASS },
	{ "fd7a:115c:a1e0:7::7/128", STEER_PREFIX_REDIRECT },
};
const size_t n_steer_row_prefixes = sizeof(steer_row_prefixes) / sizeof(steer_row_prefixes[0]);

static const struct steer_ip_row our_tcp = { .src = US,
	.dst = ANYBODY,
	.protocol = 6,
	.sport = 61000,
	.dport = 443 };
static const struct steer_ip_row box_tcp = { .src = US,
	.dst = ANYBODY,
	.protocol = 6,
	.sport = 40000,
	.dport = 443 };
static const struct steer_ip_row others_tcp = { .src = ALSO_US,
	.dst = ANYBODY,
	.protocol = 6,
	.sport = 61000,
	.dport = 443 };
static const struct steer_ip_row our_tcp_options = { .src = US,
	.dst = ANYBODY,
	.protocol = 6,
	.sport = 65535,
	.dport = 443,
	.options = 10 };
static const struct steer_ip_row our_echo = { .src = US,
	.dst = ANYBODY,
	.protocol = 1,
	.sport = 8,
	.dport = 62000 };
static const struct steer_ip_row our_later_piece = { .src = US,
	.dst = ANYBODY,
	.protocol = 17,
	.sport = 61000,
	.fragment = 185 };
static const struct steer_ip_row our_udp6 = { .src = US6,
	.dst = ANYBODY6,
	.protocol = 17,
	.sport = 61000,
	.dport = 53 };
static const struct steer_ip_row our_udp6_options = { .src = US6,
	.dst = ANYBODY6,
	.protocol = 17,
	.sport = 61000,
	.dport = 53,
	.extensions = { 255, 60, 43 } };
static const struct steer_ip_row our_echo6 = { .src = US6,
	.dst = ANYBODY6,
	.protocol = 58,
	.sport = 128,
	.dport = 62000 };

const struct steer_row_case steer_rows[] = {
	/* transport data */
	{ .what = "transport data for our port",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 128 },
	{ .what = "the same over IPv6",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE },
		.word = TYPE(4),
		.payload = 128 },
	{ .what = "a keepalive is the shortest",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 32 },
	{ .what = "and may be padded by the Ethernet",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 32,
		.padding = 4 },
	{ .what = "a byte less is no message",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 31 },
	{ .what = "a sender's MTU ends the padding to sixteen",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 1452 - 3 },
	{ .what = "IPv4 options before it",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE, .options = 10 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "IPv6 extension headers before it",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE, .extensions = { 255, 60, 43, 60 } },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "an authentication header too",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE, .extensions = { 51 } },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "an extension header longer than its packet",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE, .extensions = { 255 }, .lie = -105 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "more of them than anybody walks",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			WIRE,
			.extensions = { 255, 60, 60, 60, 60, 60, 60 } },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "an address that does no translation",
		.wanted = STEER_WIRE,
		.ip = { ANYBODY, ALSO_US, WIRE },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "another port is the kernel's",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 17, .sport = 51820, .dport = 51820 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "an address that is not ours",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = "192.0.2.3", WIRE },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "its first fragment is put together by the kernel",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE, .more = true, .id = 77, .lie = 1400 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "and so is a later one",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 17, .fragment = 185, .id = 77 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "IPv6's first fragment",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			WIRE,
			.extensions = { 44 },
			.more = true,
			.id = 77 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "an atomic fragment is whole",
		.wanted = STEER_WIRE,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE, .extensions = { 44 }, .id = 78 },
		.word = TYPE(4),
		.payload = 96 },
	{ .what = "a frame that ends too early",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 128,
		.cut = 1 },
	{ .what = "cut in the UDP header",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 128,
		.cut = 129 },
	{ .what = "cut in the IP header",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 128,
		.cut = 137 },
	{ .what = "cut in the IPv6 header",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE },
		.word = TYPE(4),
		.payload = 128,
		.cut = 137 },
	{ .what = "cut in the Ethernet header",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 128,
		.cut = 157 },
	{ .what = "the IP length says less than the UDP length",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, WIRE, .lie = -1 },
		.word = TYPE(4),
		.payload = 128 },

	/* the sieve, by length and type */
	{ .what = "an initiation",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(1),
		.payload = 148 },
	{ .what = "a response",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY6, .dst = US6, WIRE },
		.word = TYPE(2),
		.payload = 92 },
	{ .what = "a cookie reply",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(3),
		.payload = 64 },
	{ .what = "an initiation with a byte more",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(1),
		.payload = 149 },
	{ .what = "a response as long as an initiation",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(2),
		.payload = 148 },
	{ .what = "a cookie reply that is too short",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(3),
		.payload = 63 },
	{ .what = "nobody cuts an initiation",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE, .more = true, .id = 79 },
		.word = TYPE(1),
		.payload = 148 },
	{ .what = "three bytes are nothing",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.payload = 3 },
	{ .what = "nor are none",
		.wanted = STEER_DROP_LENGTH,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.payload = 0,
		.padding = 18 },
	{ .what = "a type with its reserved bytes set is something else",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(1) | 1,
		.payload = 148 },
	{ .what = "transport data with them set too",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4) | 1,
		.payload = 148 },
	{ .what = "disco",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = 0x5453f09f,
		.word2 = 0x92ac1122,
		.payload = 124 },
	{ .what = "an answer by STUN",
		.wanted = STEER_PASS_WIRE,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = 0x0101000c,
		.word2 = 0x2112a442,
		.payload = 32 },

	/* for the tunnel */
	{ .what = "for a member",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6, .dport = 22 } },
	{ .what = "for a member, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6, .dst = MEMBER6, .protocol = 6, .dport = 22 } },
	{ .what = "whatever the protocol",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 132 } },
	{ .what = "to our own port there",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = MEMBER, WIRE },
		.word = TYPE(1),
		.payload = 20 },
	{ .what = "a later fragment",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 17, .fragment = 9 } },
	{ .what = "with extension headers that nobody knows",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6,
			.dst = MEMBER6,
			.protocol = 135,
			.extensions = { 60, 60, 60, 60, 60, 60, 60, 60 } } },
	{ .what = "cut behind the addresses",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.cut = 8 },
	{ .what = "an exception inside the prefix",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = "100.64.7.1", .protocol = 6 } },
	{ .what = "an exception inside that",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = "100.64.7.7", .protocol = 6 } },
	{ .what = "a host that is one",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = "100.64.8.8", .protocol = 6 } },
	{ .what = "an exception, IPv6",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6, .dst = "fd7a:115c:a1e0:7::1", .protocol = 6 } },
	{ .what = "inside that, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6, .dst = "fd7a:115c:a1e0:7::7", .protocol = 6 } },
	{ .what = "our own address in the tailnet is the box's",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = OURSELF, .protocol = 6, .dport = 22 } },
	{ .what = "somebody else's network",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = "203.0.113.1", .protocol = 6 } },

	/* answers to translated flows */
	{ .what = "TCP to the range",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 6, .sport = 443, .dport = 61000 } },
	{ .what = "UDP to the range's end",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6, .dst = US6, .protocol = 17, .sport = 53, .dport = 65535 },
		.payload = 30 },
	{ .what = "below the range",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 6, .sport = 443, .dport = 60999 } },
	{ .what = "an address without translation",
		.wanted = STEER_PASS,
		.ip = { ANYBODY, ALSO_US, .protocol = 6, .sport = 443, .dport = 61000 } },
	{ .what = "another protocol",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY,
			.dst = US,
			.protocol = 132,
			.sport = 443,
			.dport = 61000 } },
	{ .what = "an echo reply from the range",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 1, .sport = 0, .dport = 61000 } },
	{ .what = "an echo reply for the box",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 1, .sport = 0, .dport = 1234 } },
	{ .what = "an echo request is for the box",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 1, .sport = 8, .dport = 61000 } },
	{ .what = "an echo reply, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			.protocol = 58,
			.sport = 129,
			.dport = 61000 } },
	{ .what = "IPv4's echo reply is none in IPv6",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6, .dst = US6, .protocol = 58, .sport = 0, .dport = 61000 } },
	{ .what = "an error that quotes such a flow",
		.wanted = STEER_INNER,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 3 },
		.quoted = &our_tcp },
	{ .what = "the quoted packet has options",
		.wanted = STEER_INNER,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 11 },
		.quoted = &our_tcp_options },
	{ .what = "an error that quotes the box's own flow",
		.wanted = STEER_PASS,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 3 },
		.quoted = &box_tcp },
	{ .what = "an error that quotes another address",
		.wanted = STEER_PASS,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 3 },
		.quoted = &others_tcp },
	{ .what = "an error that quotes our echo request",
		.wanted = STEER_INNER,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 11 },
		.quoted = &our_echo },
	{ .what = "an error about a later fragment says no port",
		.wanted = STEER_PASS,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 11 },
		.quoted = &our_later_piece },
	{ .what = "a redirect is the kernel's",
		.wanted = STEER_PASS,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 5 },
		.quoted = &our_tcp },
	{ .what = "an error that ends in the quoted header",
		.wanted = STEER_PASS,
		.ip = { .src = "203.0.113.7", .dst = US, .protocol = 1, .sport = 3 },
		.quoted = &our_tcp,
		.cut = 4 },
	{ .what = "an error, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = "2001:db8:7::7", .dst = US6, .protocol = 58, .sport = 2 },
		.quoted = &our_udp6 },
	{ .what = "the quoted packet has extension headers",
		.wanted = STEER_INNER,
		.ip = { .src = "2001:db8:7::7", .dst = US6, .protocol = 58, .sport = 1 },
		.quoted = &our_udp6_options },
	{ .what = "an error about our echo request, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = "2001:db8:7::7", .dst = US6, .protocol = 58, .sport = 3 },
		.quoted = &our_echo6 },
	{ .what = "a neighbour's question is the kernel's",
		.wanted = STEER_PASS,
		.ip = { .src = "2001:db8:7::7", .dst = US6, .protocol = 58, .sport = 135 },
		.quoted = &our_udp6 },

	/* fragments */
	{ .what = "a later fragment that comes first",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 17, .fragment = 100, .id = 5 } },
	{ .what = "the first fragment of an answer",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY,
			.dst = US,
			.protocol = 17,
			.sport = 53,
			.dport = 61000,
			.more = true,
			.id = 5 },
		.payload = 800 },
	{ .what = "takes the later ones along",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 17, .fragment = 101, .id = 5 } },
	{ .what = "but not those of another datagram",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 17, .fragment = 101, .id = 6 } },
	{ .what = "nor of another protocol",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = US, .protocol = 6, .fragment = 101, .id = 5 } },
	{ .what = "nor of another sender",
		.wanted = STEER_PASS,
		.ip = { .src = "198.51.100.10",
			.dst = US,
			.protocol = 17,
			.fragment = 101,
			.id = 5 } },
	{ .what = "the first fragment, IPv6",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			.protocol = 17,
			.sport = 53,
			.dport = 61000,
			.extensions = { 44 },
			.more = true,
			.id = 0x50005 },
		.payload = 800 },
	{ .what = "and the later one",
		.wanted = STEER_INNER,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			.protocol = 17,
			.extensions = { 44 },
			.fragment = 101,
			.id = 0x50005 } },
	{ .what = "not of another identification",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY6,
			.dst = US6,
			.protocol = 17,
			.extensions = { 44 },
			.fragment = 101,
			.id = 5 } },

	/* frames */
	{ .what = "transport data for another station",
		.wanted = STEER_PASS_OTHER_MAC,
		.ip = { .src = ANYBODY, .dst = US, WIRE },
		.word = TYPE(4),
		.payload = 96,
		.other_mac = true },
	{ .what = "for a member, to another station",
		.wanted = STEER_PASS_OTHER_MAC,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.other_mac = true },
	{ .what = "tagged for a VLAN",
		.wanted = STEER_PASS_VLAN,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.ethertype = 0x8100 },
	{ .what = "tagged twice",
		.wanted = STEER_PASS_VLAN,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.ethertype = 0x88a8 },
	{ .what = "ARP",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.ethertype = 0x0806 },
	{ .what = "an EtherType that its packet contradicts",
		.wanted = STEER_PASS,
		.ip = { .src = ANYBODY, .dst = MEMBER, .protocol = 6 },
		.ethertype = 0x86dd,
		.padding = 60 },
};
const size_t n_steer_rows = sizeof(steer_rows) / sizeof(steer_rows[0]);

/* --- building ----------------------------------------------------------------------------------
 */

static void
put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void
put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static struct addr
parse(const char *text)
{
	struct addr a = {};
	int err = addr_parse(text, &a);

	assert(err == 0);
	return a;
}

/* The headers, and the first eight bytes behind them unless it is a later fragment; their length.
 * `behind`: bytes that follow those eight. */
static size_t
put_ip4(uint8_t *p, const struct steer_ip_row *ip, size_t behind)
{
	const struct addr src = parse(ip->src), dst = parse(ip->dst);
	size_t header_len = 20 + 4u * ip->options;

	p[0] = (uint8_t)(0x40 | header_len / 4);
	put16(p + 2, (uint32_t)((int)(header_len + 8 + behind) + ip->lie));
	put16(p + 4, ip->id);
	put16(p + 6, (uint32_t)(ip->fragment | (ip->more ? 0x2000 : 0)));
	p[8] = 64;
	p[9] = ip->protocol;
	memcpy(p + 12, src.bytes, 4);
	memcpy(p + 16, dst.bytes, 4);
	memset(p + 20, 1, header_len - 20);
	return header_len;
}

/* A place for the next header's value is left open by the one before. */
static size_t
put_ip6(uint8_t *p, const struct steer_ip_row *ip, size_t behind)
{
	const struct addr src = parse(ip->src), dst = parse(ip->dst);
	uint8_t *next = p + 6;
	size_t at = 40;

	p[0] = 0x60;
	p[7] = 64;
	memcpy(p + 8, src.bytes, 16);
	memcpy(p + 24, dst.bytes, 16);
	for (size_t i = 0; i < sizeof(ip->extensions) && ip->extensions[i] != 0; i++) {
		uint8_t kind = ip->extensions[i];
		size_t len = kind == 51 ? 24 : kind == 60 ? 16 : 8;

		*next = kind == 255 ? 0 : kind;
		memset(p + at, 0, len);
		next = p + at;
		if (kind == 51)
			p[at + 1] = 4; // words less two
		else
			p[at + 1] = (uint8_t)(len / 8 - 1);
		if (kind == 44) {
			put16(p + at + 2, (uint32_t)(ip->fragment << 3 | ip->more));
			put32(p + at + 4, ip->id);
		}
		at += len;
	}
	*next = ip->protocol;
	put16(p + 4, (uint32_t)((int)(at - 40 + 8 + behind) + ip->lie));
	return at;
}

static size_t
put_ip(uint8_t *p, const struct steer_ip_row *ip, size_t behind)
{
	bool is_v4 = strchr(ip->src, ':') == NULL;
	size_t at = is_v4 ? put_ip4(p, ip, behind) : put_ip6(p, ip, behind);

	if (ip->protocol == 1 || ip->protocol == 58) {
		p[at] = (uint8_t)ip->sport;
		put16(p + at + 4, ip->dport);
	} else {
		put16(p + at, ip->sport);
		put16(p + at + 2, ip->dport);
		put16(p + at + 4, (uint32_t)(8 + behind));
	}
	return at + 8;
}

size_t
steer_row_frame(const struct steer_row_case *row, uint8_t frame[static STEER_FRAME])
{
	static const uint8_t mac[6] = STEER_ROW_MAC;
	bool is_v4 = strchr(row->ip.src, ':') == NULL;
	uint8_t quoted[256] = {};
	size_t quoted_len = 0, behind = row->payload, len;

	memset(frame, 0, STEER_FRAME);
	if (row->quoted != NULL) {
		quoted_len = put_ip(quoted, row->quoted, 0);
		behind += quoted_len;
	}
	memcpy(frame, mac, 6);
	if (row->other_mac)
		frame[5] ^= 0x40;
	memset(frame + 6, 0x0a, 6);
	put16(frame + 12, row->ethertype != 0 ? row->ethertype : is_v4 ? 0x0800 : 0x86dd);
	len = 14 + put_ip(frame + 14, &row->ip, behind);
	assert(len + behind + row->padding <= STEER_FRAME);
	memcpy(frame + len, quoted, quoted_len);
	if (row->payload >= 4)
		put32(frame + len, row->word);
	if (row->payload >= 8)
		put32(frame + len + 4, row->word2);
	len += behind;
	assert(row->cut <= len);
	return len - row->cut + row->padding;
}

size_t
steer_wire_frame(const char *src,
	uint16_t sport,
	const char *dst,
	uint32_t word,
	uint16_t len,
	uint8_t frame[static STEER_FRAME])
{
	const struct steer_row_case row = {
		.ip = { .src = src,
			.dst = dst,
			.protocol = 17,
			.sport = sport,
			.dport = STEER_ROW_PORT },
		.word = word,
		.payload = len,
	};

	return steer_row_frame(&row, frame);
}

struct steer_settings
steer_row_settings(struct steer_limit source, struct steer_limit total)
{
	struct steer_settings s = {
		.listen_port = STEER_ROW_PORT,
		.nat_first = 61000,
		.nat_last = 65535,
	};

	for (unsigned i = 0; i < STEER_N_CLASSES; i++) {
		s.source[i] = source;
		s.total[i] = total;
	}
	return s;
}
