/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/icmp.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

#define HOST4 "198.51.100.2"
#define HOST6 "2001:db8::2"

// Never about these: reliability.md section 2.8, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4(e).
static const struct {
	const char *what;
	const char *src, *dst;
	uint8_t protocol;
	uint8_t first_byte; // of the payload: an ICMP type
	bool allowed;
} rules[] = {
	{ "UDP, IPv4", "192.0.2.1", HOST4, 17, 0, true },
	{ "UDP, IPv6", "2001:db8::1", HOST6, 17, 0, true },
	{ "TCP", "192.0.2.1", HOST4, 6, 0, true },
	{ "an unknown protocol", "192.0.2.1", HOST4, 253, 0, true },
	{ "echo", "192.0.2.1", HOST4, 1, 8, true },
	{ "echo reply", "192.0.2.1", HOST4, 1, 0, true },
	{ "timestamp", "192.0.2.1", HOST4, 1, 13, true },
	{ "destination unreachable", "192.0.2.1", HOST4, 1, 3, false },
	{ "source quench", "192.0.2.1", HOST4, 1, 4, false },
	{ "redirect", "192.0.2.1", HOST4, 1, 5, false },
	{ "time exceeded", "192.0.2.1", HOST4, 1, 11, false },
	{ "parameter problem", "192.0.2.1", HOST4, 1, 12, false },
	{ "an ICMP type not known", "192.0.2.1", HOST4, 1, 99, false },
	{ "echo, IPv6", "2001:db8::1", HOST6, 58, 128, true },
	{ "echo reply, IPv6", "2001:db8::1", HOST6, 58, 129, true },
	{ "destination unreachable, IPv6", "2001:db8::1", HOST6, 58, 1, false },
	{ "packet too big, IPv6", "2001:db8::1", HOST6, 58, 2, false },
	{ "time exceeded, IPv6", "2001:db8::1", HOST6, 58, 3, false },
	{ "parameter problem, IPv6", "2001:db8::1", HOST6, 58, 4, false },
	{ "an unknown ICMPv6 error", "2001:db8::1", HOST6, 58, 127, false },
	{ "redirect, IPv6", "2001:db8::1", HOST6, 58, 137, false },
	{ "ICMPv6 error in IPv4", "192.0.2.1", HOST4, 58, 1, false },
	{ "ICMP error in IPv6", "2001:db8::1", HOST6, 1, 3, false },
	{ "to multicast", "192.0.2.1", "224.0.0.1", 17, 0, false },
	{ "to the last multicast", "192.0.2.1", "239.255.255.255", 17, 0, false },
	{ "to broadcast", "192.0.2.1", "255.255.255.255", 17, 0, false },
	{ "to 0.0.0.0", "192.0.2.1", "0.0.0.0", 17, 0, false },
	{ "to multicast, IPv6", "2001:db8::1", "ff02::1", 17, 0, false },
	{ "to the unspecified, IPv6", "2001:db8::1", "::", 17, 0, false },
	{ "from 0.0.0.0", "0.0.0.0", HOST4, 17, 0, false },
	{ "from 0/8", "0.1.2.3", HOST4, 17, 0, false },
	{ "from loopback", "127.0.0.1", HOST4, 17, 0, false },
	{ "from multicast", "224.0.0.1", HOST4, 17, 0, false },
	{ "from class E", "240.0.0.1", HOST4, 17, 0, false },
	{ "from broadcast", "255.255.255.255", HOST4, 17, 0, false },
	{ "from the last unicast", "223.255.255.255", HOST4, 17, 0, true },
	{ "from 1/8", "1.0.0.0", HOST4, 17, 0, true },
	{ "from 126/8", "126.255.255.255", HOST4, 17, 0, true },
	{ "from the unspecified", "::", HOST6, 17, 0, false },
	{ "from loopback, IPv6", "::1", HOST6, 17, 0, false },
	{ "from multicast, IPv6", "ff05::1", HOST6, 17, 0, false },
	{ "from a mapped address", "::ffff:192.0.2.1", HOST6, 17, 0, false },
	{ "from ::2", "::2", HOST6, 17, 0, true },
};

static void
never_about(void)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct packet k;
		struct addr source;
		uint8_t buf[ICMP_ERROR_MAX];
		uint32_t len;

		packet_begin(&k, rules[i].src, rules[i].dst, rules[i].protocol, 64);
		source = addr_of_text(k.view.family == ADDR_V4 ? "10.99.0.1" : "fd99::1");
		k.bytes[k.view.header_len] = rules[i].first_byte;
		tap_ok(icmp_error_is_allowed(k.bytes, &k.view) == rules[i].allowed, "%s: %s",
			rules[i].what, rules[i].allowed ? "may be answered" : "never answered");
		len = icmp_error_build(
			ICMP_ERROR_TTL_EXCEEDED, k.bytes, &k.view, &source, 0, buf, sizeof(buf));
		tap_ok((len > 0) == rules[i].allowed, "%s: and built so", rules[i].what);
	}
}

static void
never_about_fragments(void)
{
	struct packet k;

	packet_begin(&k, "192.0.2.1", HOST4, 17, 64);
	store_be16(k.bytes + 6, 0x2000);
	tap_ok(packet_parse(&k) && icmp_error_is_allowed(k.bytes, &k.view), "a first fragment");
	store_be16(k.bytes + 6, 0x2001);
	tap_ok(packet_parse(&k) && !icmp_error_is_allowed(k.bytes, &k.view), "a later fragment");
	packet_begin(&k, "2001:db8::1", HOST6, IP_PROTOCOL_IPV6_FRAG, 64);
	k.bytes[40] = IP_PROTOCOL_UDP;
	store_be16(k.bytes + 42, 0x0001);
	tap_ok(icmp_error_is_allowed(k.bytes, &k.view), "a first fragment, IPv6");
	store_be16(k.bytes + 42, 0x0009);
	tap_ok(!icmp_error_is_allowed(k.bytes, &k.view), "a later fragment, IPv6");
	k.bytes[40] = IP_PROTOCOL_IPV6_ICMP;
	k.bytes[48] = 1;
	store_be16(k.bytes + 42, 0x0001);
	tap_ok(!icmp_error_is_allowed(k.bytes, &k.view), "an ICMPv6 error behind a header");
	packet_begin(&k, "2001:db8::1", HOST6, IP_PROTOCOL_IPV6_OPTS, 4);
	tap_ok(!icmp_error_is_allowed(k.bytes, &k.view), "a chain that cannot be followed");
	packet_begin(&k, "192.0.2.1", HOST4, IP_PROTOCOL_ICMP, 0);
	tap_ok(!icmp_error_is_allowed(k.bytes, &k.view), "ICMP without a type");
}

static const struct {
	const char *what;
	enum icmp_error error;
	uint32_t mtu;
	uint8_t type_v4, code_v4;
	uint32_t word_v4;
	uint8_t type_v6, code_v6;
	uint32_t word_v6;
} shapes[] = {
	{ "too big", ICMP_ERROR_TOO_BIG, 1420, 3, 4, 1420, 2, 0, 1420 },
	{ "too big, IPv6 never below 1280", ICMP_ERROR_TOO_BIG, 1000, 3, 4, 1000, 2, 0, 1280 },
	{ "too big, 16 bits in IPv4", ICMP_ERROR_TOO_BIG, 70000, 3, 4, 65535, 2, 0, 70000 },
	{ "time exceeded", ICMP_ERROR_TTL_EXCEEDED, 0, 11, 0, 0, 3, 0, 0 },
	{ "time exceeded has no MTU", ICMP_ERROR_TTL_EXCEEDED, 1420, 11, 0, 0, 3, 0, 0 },
	{ "no route", ICMP_ERROR_NO_ROUTE, 0, 3, 0, 0, 1, 0, 0 },
	{ "host unreachable", ICMP_ERROR_HOST_UNREACHABLE, 0, 3, 1, 0, 1, 3, 0 },
	{ "prohibited", ICMP_ERROR_PROHIBITED, 0, 3, 13, 0, 1, 1, 0 },
};

static bool
checksums_are_right(uint8_t *buf, const struct ip_view *v)
{
	uint8_t before[ICMP_ERROR_MAX];

	memcpy(before, buf, v->total_len);
	if (v->family == ADDR_V4 && !checksum_is_valid_ipv4(buf, v->header_len))
		return false;
	return checksum_fill_packet(buf, v) && memcmp(before, buf, v->total_len) == 0;
}

// One error about one packet, of payload_len bytes behind its IP header and padding behind that.
static void
check_shape(size_t row, bool v6, uint32_t payload_len, uint32_t wanted_len)
{
	struct addr source = addr_of_text(v6 ? "fd99::1" : "10.99.0.1"), src, dst;
	uint32_t header_len = v6 ? 48 : 28, len;
	uint8_t buf[2048];
	struct packet k;
	struct ip_view v;

	packet_begin(&k, v6 ? "2001:db8::1" : "192.0.2.1", v6 ? HOST6 : HOST4, 17, payload_len);
	for (uint32_t i = k.view.header_len; i < sizeof(k.bytes); i++)
		k.bytes[i] = (uint8_t)i;
	memset(buf, 0xee, sizeof(buf));
	len = icmp_error_build(
		shapes[row].error, k.bytes, &k.view, &source, shapes[row].mtu, buf, sizeof(buf));
	tap_int(len, wanted_len, shapes[row].what);
	if (!tap_ok(ip_parse(buf, len, &v) && v.total_len == len, "%s: an IP packet of its length",
		    shapes[row].what))
		return;

	src = ip_src(&v);
	dst = ip_dst(&v);
	tap_ok(addr_equal(&src, &source), "%s: from the given source", shapes[row].what);
	tap_bytes(dst.bytes, k.view.src, v6 ? 16 : 4, "to the source of the packet");
	tap_int(buf[header_len - 8], v6 ? shapes[row].type_v6 : shapes[row].type_v4, "type");
	tap_int(buf[header_len - 7], v6 ? shapes[row].code_v6 : shapes[row].code_v4, "code");
	tap_int(load_be32(buf + header_len - 4), v6 ? shapes[row].word_v6 : shapes[row].word_v4,
		"second word");
	tap_bytes(buf + header_len, k.bytes, len - header_len, "the original bytes");
	tap_int(buf[len], 0xee, "and not one more");
	tap_ok(checksums_are_right(buf, &v), "%s: checksums", shapes[row].what);
	tap_ok(!icmp_error_is_allowed(buf, &v), "%s: is not answered itself", shapes[row].what);
}

static void
all_shapes(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		check_shape(i, false, 1480, ICMP_ERROR_MAX_V4);
		check_shape(i, false, 101, 28 + 121);
		check_shape(i, true, 1460, ICMP_ERROR_MAX_V6);
		check_shape(i, true, 101, 48 + 141);
	}
	check_shape(0, false, 0, 48);
	check_shape(0, false, 528, ICMP_ERROR_MAX_V4);
	check_shape(0, false, 529, ICMP_ERROR_MAX_V4);
	check_shape(0, true, 0, 88);
	check_shape(0, true, 1192, ICMP_ERROR_MAX_V6);
	check_shape(0, true, 1193, ICMP_ERROR_MAX_V6);
}

static void
refused_by_builder(void)
{
	struct addr four = addr_of_text("10.99.0.1"), six = addr_of_text("fd99::1");
	uint8_t buf[ICMP_ERROR_MAX];
	struct packet k;

	packet_begin(&k, "192.0.2.1", HOST4, 17, 64);
	tap_int(icmp_error_build(ICMP_ERROR_NO_ROUTE, k.bytes, &k.view, &six, 0, buf, sizeof(buf)),
		0, "a source of the other family");
	tap_int(icmp_error_build(ICMP_ERROR_NO_ROUTE, k.bytes, &k.view, &four, 0, buf, 55), 0,
		"no room for headers and 8 bytes");
	memset(buf, 0xee, sizeof(buf));
	tap_int(icmp_error_build(ICMP_ERROR_NO_ROUTE, k.bytes, &k.view, &four, 0, buf, 56), 56,
		"just that room");
	tap_int(buf[56], 0xee, "and nothing behind it was written");
}

static struct mono
at_ms(int64_t ms)
{
	return (struct mono){ (uint64_t)(1000 * NS_PER_S + ms * NS_PER_MS) };
}

static int
take_many(struct icmp_limiter *l, struct mono now, int tries)
{
	int taken = 0;

	for (int i = 0; i < tries; i++)
		taken += icmp_limiter_allow(l, now);
	return taken;
}

static void
limiter(void)
{
	struct icmp_limiter l;

	icmp_limiter_init(&l, 100, 10);
	tap_int(take_many(&l, at_ms(0), 50), 10, "a new bucket is full: the burst");
	tap_int(take_many(&l, at_ms(9), 5), 0, "no token before its time");
	tap_int(take_many(&l, at_ms(10), 5), 1, "one token in 10 ms at 100/s");
	tap_int(take_many(&l, at_ms(35), 5), 2, "two in the next 25 ms");
	tap_int(take_many(&l, at_ms(40), 5), 1, "and the half one was not lost");
	tap_int(take_many(&l, at_ms(20), 5), 0, "time going back fills nothing");
	tap_int(take_many(&l, at_ms(100000), 50), 10, "never more than the burst");
	tap_int(take_many(&l, at_ms(100000), 50), 0, "at one time");

	icmp_limiter_init(&l, 0, 10);
	tap_int(take_many(&l, at_ms(0), 50), 0, "rate 0 allows nothing");
	icmp_limiter_init(&l, 1, 0);
	tap_int(take_many(&l, at_ms(0), 50), 1, "burst 0 is one token");
	icmp_limiter_init(&l, 1, UINT32_MAX);
	tap_int(take_many(&l, at_ms(0), 1000), 1000, "the largest burst at the lowest rate");
	icmp_limiter_init(&l, UINT32_MAX, UINT32_MAX);
	tap_int(take_many(&l, at_ms(0), 1000), 1000, "the highest rate");
}

int
main(void)
{
	never_about();
	never_about_fragments();
	all_shapes();
	refused_by_builder();
	limiter();
	return tap_done();
}
