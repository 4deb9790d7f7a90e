/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is read of packets, row by row, and the verdicts that need no rule.  Each packet is a block
 * of its own, so that a sanitizer sees a byte too far.
 */

#include "lib/policy/acl_packet.h"

#include <stdlib.h>

#include "lib/policy/acl_verdict.h"
#include "lib/policy/rule_walk.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

#define V4 "100.64.0.9", "100.64.0.1"
#define V6 "fd7a::9", "fd7a::1"

enum {
	OTHER = N_ACL_REASONS
}; // no verdict before the rules

/* What is set in a packet after it was made: 16 bits at an offset; 0: nothing. */
static const struct {
	const char *what, *src, *dst;
	uint8_t protocol;
	uint8_t payload;
	uint8_t at;
	uint16_t word;
	uint8_t kind;
	int reason;
} rows[] = {
	{ "UDP", V4, 17, 8, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "UDP, a byte short", V4, 17, 7, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "TCP", V4, 6, 20, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "TCP, a byte short", V4, 6, 19, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "SCTP", V4, 132, 12, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "SCTP, a byte short", V4, 132, 11, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "TSMP", V4, 99, 7, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "TSMP, a byte short", V4, 99, 6, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "TSMP with more fragments", V4, 99, 32, 6, 0x2000, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "ICMP of four bytes", V4, 1, 4, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "ICMP, a byte short", V4, 1, 3, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "ICMPv6 in IPv4 is any other protocol", V4, 58, 0, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "IGMP, a byte short", V4, 2, 7, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "GRE", V4, 47, 0, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "protocol 0", V4, 0, 20, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "protocol 255", V4, 255, 20, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "a first fragment with its header", V4, 17, 8, 6, 0x2000, ACL_KIND_WHOLE, OTHER },
	{ "a first fragment without", V4, 17, 7, 6, 0x2000, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "a later fragment at block 9", V4, 17, 8, 6, 9, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "a later fragment at block 10", V4, 17, 0, 6, 10, ACL_KIND_FRAGMENT, ACL_FRAGMENT },
	{ "of any protocol", V4, 255, 0, 6, 0x2400, ACL_KIND_FRAGMENT, ACL_FRAGMENT },
	{ "a header of 16 bytes", V4, 17, 20, 0, 0x4400, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "a header beyond the end", V4, 17, 8, 0, 0x4800, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "longer than it is", V4, 17, 8, 2, 29, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "shorter than it is: what is behind counts", V4, 17, 8, 2, 20, ACL_KIND_WHOLE, OTHER },
	{ "of no version", V4, 17, 8, 0, 0x5500, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "multicast", "100.64.0.9", "239.1.2.3", 17, 8, 0, 0, ACL_KIND_WHOLE, ACL_MULTICAST },
	{ "not yet multicast", "100.64.0.9", "223.255.255.255", 17, 8, 0, 0, ACL_KIND_WHOLE,
		OTHER },
	{ "no longer multicast", "100.64.0.9", "240.0.0.0", 17, 8, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "a multicast fragment", "100.64.0.9", "224.0.0.0", 17, 8, 6, 10, ACL_KIND_FRAGMENT,
		ACL_MULTICAST },
	{ "unknown goes before multicast", "100.64.0.9", "224.0.0.0", 0, 8, 0, 0, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "link-local", "100.64.0.9", "169.254.0.1", 17, 8, 0, 0, ACL_KIND_WHOLE, ACL_LINK_LOCAL },
	{ "but for the clouds' name server", "100.64.0.9", "169.254.169.254", 17, 8, 0, 0,
		ACL_KIND_WHOLE, OTHER },
	{ "not link-local", "100.64.0.9", "169.255.0.0", 17, 8, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "UDP in IPv6", V6, 17, 8, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "UDP in IPv6, a byte short", V6, 17, 7, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "ICMPv6", V6, 58, 4, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "ICMPv6, a byte short", V6, 58, 3, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "ICMP in IPv6 is any other protocol", V6, 1, 0, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "hop-by-hop options", V6, 0, 16, 0, 0, ACL_KIND_UNKNOWN, ACL_UNKNOWN_PROTOCOL },
	{ "destination options are a protocol", V6, 60, 16, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "a fragment header that is cut", V6, 44, 7, 0, 0, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "a first fragment of UDP", V6, 44, 16, 40, 0x1100, ACL_KIND_WHOLE, OTHER },
	{ "a first fragment of UDP, a byte short", V6, 44, 15, 40, 0x1100, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "a first fragment of nothing", V6, 44, 16, 40, 0, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "a fragment header in one is a protocol", V6, 44, 8, 40, 0x2c00, ACL_KIND_WHOLE, OTHER },
	{ "a later fragment at block 9", V6, 44, 8, 42, 9 << 3, ACL_KIND_UNKNOWN,
		ACL_UNKNOWN_PROTOCOL },
	{ "a later fragment at block 10", V6, 44, 8, 42, 10 << 3 | 1, ACL_KIND_FRAGMENT,
		ACL_FRAGMENT },
	{ "multicast in IPv6", "fd7a::9", "ff02::1", 17, 8, 0, 0, ACL_KIND_WHOLE, ACL_MULTICAST },
	{ "link-local in IPv6", "fd7a::9", "febf::1", 17, 8, 0, 0, ACL_KIND_WHOLE, ACL_LINK_LOCAL },
	{ "no longer link-local", "fd7a::9", "fec0::1", 17, 8, 0, 0, ACL_KIND_WHOLE, OTHER },
	{ "IPv4's multicast in IPv6", "fd7a::9", "::ffff:224.0.0.1", 17, 8, 0, 0, ACL_KIND_WHOLE,
		ACL_MULTICAST },
	{ "IPv4's link-local in IPv6", "fd7a::9", "::ffff:169.254.169.254", 17, 8, 0, 0,
		ACL_KIND_WHOLE, ACL_LINK_LOCAL },
};

static void
read_copy(const uint8_t *bytes, uint32_t len, struct acl_packet *ret)
{
	uint8_t *copy = malloc(len + (len == 0));

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	acl_packet_read(copy, len, ret);
	free(copy);
}

static void
packets(void)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		enum acl_reason reason = N_ACL_REASONS;
		struct acl_packet k;
		struct packet p;

		packet_begin(&p, rows[i].src, rows[i].dst, rows[i].protocol, rows[i].payload);
		if (rows[i].word != 0 || rows[i].at == 40)
			store_be16(p.bytes + rows[i].at, rows[i].word);
		read_copy(p.bytes, p.len, &k);
		(void)acl_precheck(&k, &reason);
		tap_ok(k.kind == rows[i].kind && (int)reason == rows[i].reason, "%s", rows[i].what);
		tap_int(rule_walk_outbound(&k), reason == N_ACL_REASONS ? ACL_OUTBOUND : reason,
			rows[i].what);
	}
}

static void
lengths(void)
{
	static const uint8_t bytes[40] = { 0x60 };
	struct acl_packet k;

	read_copy(bytes, 0, &k);
	tap_int(rule_walk_outbound(&k), ACL_KEEPALIVE, "no bytes are a keepalive");
	read_copy(bytes, 19, &k);
	tap_int(rule_walk_outbound(&k), ACL_TOO_SHORT, "19 bytes are too short");
	read_copy(bytes, 20, &k);
	tap_int(rule_walk_outbound(&k), ACL_UNKNOWN_PROTOCOL, "20 bytes are no IPv6");
}

static void
transport_headers(void)
{
	struct packet p;
	struct acl_packet k;

	packet_begin(&p, V4, 6, 20);
	store_be32(p.bytes + 20, 0x12345678);
	for (unsigned flags = 0; flags < 256; flags++) {
		p.bytes[33] = (uint8_t)flags;
		acl_packet_read(p.bytes, p.len, &k);
		if (k.opens_tcp != ((flags & 2) != 0 && (flags & 16) == 0))
			tap_ok(false, "flags %u", flags);
	}
	tap_ok(k.src_port == 0x1234 && k.dst_port == 0x5678, "ports of TCP");
	tap_ok(k.src.low == 0x64400009 && k.dst.low == 0x64400001 && k.src.high == 0,
		"addresses of IPv4");
	packet_begin(&p, V6, 17, 8);
	acl_packet_read(p.bytes, p.len, &k);
	tap_ok(k.src.high >> 48 == 0xfd7a && k.src.low == 9 && k.dst.low == 1, "addresses of IPv6");
}

static void
icmp_answers(void)
{
	static const uint8_t v4[] = { 3, 11, 18 }, v6[] = { 1, 2, 3, 4 };
	unsigned wrong = 0;

	for (unsigned n = 0; n < 4 * 256; n++) {
		bool is_v4 = n % 2 == 0;
		unsigned type = n / 4, code = n / 2 % 2;
		bool wanted = type == (is_v4 ? 0 : 129) && code == 0;
		struct acl_packet k;
		struct packet p;

		for (size_t i = 0; i < (is_v4 ? sizeof(v4) : sizeof(v6)); i++)
			wanted = wanted || type == (is_v4 ? v4[i] : v6[i]);
		packet_begin(&p, is_v4 ? "10.0.0.1" : "fd7a::1", is_v4 ? "10.0.0.2" : "fd7a::2",
			is_v4 ? 1 : 58, 8);
		p.bytes[p.len - 8] = (uint8_t)type;
		p.bytes[p.len - 7] = (uint8_t)code;
		read_copy(p.bytes, p.len, &k);
		wrong += k.is_icmp_answer != wanted;
		p.bytes[is_v4 ? 3 : 5]--; // seven bytes are too few to tell
		read_copy(p.bytes, p.len - 1, &k);
		wrong += k.is_icmp_answer;
	}
	tap_int(wrong, 0, "types and codes of ICMP that are answers");
}

int
main(void)
{
	packets();
	lengths();
	transport_headers();
	icmp_answers();
	return tap_done();
}
