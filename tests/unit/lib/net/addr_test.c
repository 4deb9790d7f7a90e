/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/addr.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

// Text in, canonical text out; NULL: refused.
struct text_row {
	const char *what;
	const char *in;
	const char *out;
};

static const struct text_row addresses[] = {
	{ "IPv4", "192.0.2.7", "192.0.2.7" },
	{ "all zeros, IPv4", "0.0.0.0", "0.0.0.0" },
	{ "all ones, IPv4", "255.255.255.255", "255.255.255.255" },
	{ "an octet too large", "192.0.2.256", NULL },
	{ "an octet too few", "192.0.2", NULL },
	{ "an octet too many", "192.0.2.7.1", NULL },
	{ "a leading zero is octal to some", "192.0.2.07", NULL },
	{ "hexadecimal octet", "0xc0.0.2.7", NULL },
	{ "white space before", " 192.0.2.7", NULL },
	{ "white space behind", "192.0.2.7 ", NULL },
	{ "line end behind", "192.0.2.7\n", NULL },
	{ "nothing", "", NULL },
	{ "a name", "localhost", NULL },
	{ "a sign", "+1.2.3.4", NULL },

	// RFC 5952 section 1 and 2: one address, many texts
	{ "RFC 5952 section 1", "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 1, padded", "2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 1, first run", "2001:db8::1:0:0:1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 1, doubled", "2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 1, last run", "2001:db8:0:0:1::1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 1, capitals", "2001:DB8:0:0:1::1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 2.1", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001",
		"2001:db8:aaaa:bbbb:cccc:dddd:eeee:1" },
	{ "RFC 5952 section 2.2", "2001:db8:0:0:0::1", "2001:db8::1" },
	{ "RFC 5952 4.2.1: as short as possible", "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
	{ "RFC 5952 4.2.2: not for one group", "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "RFC 5952 4.2.2: but it is read", "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "RFC 5952 4.2.3: the longest run", "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
	{ "RFC 5952 4.2.3: the first of equals", "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "RFC 5952 section 5: mapped", "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
	{ "mapped in hexadecimal", "::ffff:c000:201", "::ffff:192.0.2.1" },
	{ "not mapped", "::fffe:c000:201", "::fffe:c000:201" },
	{ "unspecified", "::", "::" },
	{ "unspecified in full", "0:0:0:0:0:0:0:0", "::" },
	{ "loopback", "::1", "::1" },
	{ "a low address is no IPv4", "::1:2", "::1:2" },
	{ "zeros at the end", "fe80::", "fe80::" },
	{ "zeros in front", "::1:2:3:4:5:6", "::1:2:3:4:5:6" },
	{ "none to shorten", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
	{ "two runs marked", "2001::1::1", NULL },
	{ "nine groups", "1:2:3:4:5:6:7:8:9", NULL },
	{ "seven groups", "1:2:3:4:5:6:7", NULL },
	{ "eight groups and a run", "1:2:3:4::5:6:7:8", NULL },
	{ "five digits", "2001:0db80::1", NULL },
	{ "a colon in front", ":1:2:3:4:5:6:7", NULL },
	{ "three colons", ":::", NULL },
	{ "a zone", "fe80::1%1", NULL },
	{ "brackets", "[::1]", NULL },
	{ "dots too early", "::192.0.2.1:1", NULL },
};

static const struct text_row prefixes[] = {
	{ "IPv4", "10.7.0.0/16", "10.7.0.0/16" },
	{ "host bits are kept", "10.99.0.1/24", "10.99.0.1/24" },
	{ "a host, IPv4", "10.99.0.2", "10.99.0.2/32" },
	{ "a host, IPv6", "fd99::2", "fd99::2/128" },
	{ "default, IPv4", "0.0.0.0/0", "0.0.0.0/0" },
	{ "default, IPv6", "::/0", "::/0" },
	{ "IPv6", "fd99::1/64", "fd99::1/64" },
	{ "33 of 32", "10.0.0.0/33", NULL },
	{ "129 of 128", "::/129", NULL },
	{ "length missing", "10.0.0.0/", NULL },
	{ "length negative", "10.0.0.0/-1", NULL },
	{ "length signed", "10.0.0.0/+8", NULL },
	{ "length with a leading zero", "10.0.0.0/08", NULL },
	{ "length that wraps", "10.0.0.0/4294967304", NULL },
	{ "length longer than any number", "10.0.0.0/99999999999999999999999999", NULL },
	{ "a mask", "10.0.0.0/255.0.0.0", NULL },
	{ "two lengths", "10.0.0.0/8/8", NULL },
	{ "white space", "10.0.0.0 /8", NULL },
	{ "white space behind", "10.0.0.0/8 ", NULL },
	{ "no address", "/8", NULL },
	{ "nothing", "", NULL },
	{ "text longer than any address",
		"0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"/8",
		NULL },
};

static const struct text_row endpoints[] = {
	{ "IPv4", "192.0.2.7:51820", "192.0.2.7:51820" },
	{ "IPv6", "[2001:DB8::7]:51820", "[2001:db8::7]:51820" },
	{ "the lowest port", "192.0.2.7:1", "192.0.2.7:1" },
	{ "the highest port", "192.0.2.7:65535", "192.0.2.7:65535" },
	{ "a zone by number", "[fe80::1%2]:5", "[fe80::1%2]:5" },
	{ "a zone by name, lo is 1 everywhere", "[fe80::1%lo]:5", "[fe80::1%1]:5" },
	{ "the largest zone", "[fe80::1%4294967295]:5", "[fe80::1%4294967295]:5" },
	{ "the longest text", "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535",
		"[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535" },
	{ "link-local without a zone", "[fe80::1]:5", "[fe80::1]:5" },
	{ "zone 0 is none", "[fe80::1%0]:5", NULL },
	{ "zone too large", "[fe80::1%4294967296]:5", NULL },
	{ "zone missing", "[fe80::1%]:5", NULL },
	{ "no such interface", "[fe80::1%nosuchthing]:5", NULL },
	{ "a zone where none belongs", "[2001:db8::7%1]:5", NULL },
	{ "just outside link-local", "[fec0::1%1]:5", NULL },
	{ "two zones", "[fe80::1%1%1]:5", NULL },
	{ "port 0", "192.0.2.7:0", NULL },
	{ "port too large", "192.0.2.7:65536", NULL },
	{ "port with a leading zero", "192.0.2.7:080", NULL },
	{ "port missing", "192.0.2.7:", NULL },
	{ "port and its colon missing", "192.0.2.7", NULL },
	{ "port by name", "192.0.2.7:http", NULL },
	{ "a sign", "192.0.2.7:+5", NULL },
	{ "white space", "192.0.2.7: 5", NULL },
	{ "IPv6 without brackets", "2001:db8::7:51820", NULL },
	{ "IPv4 in brackets", "[192.0.2.7]:5", NULL },
	{ "bracket not closed", "[::1:5", NULL },
	{ "bracket not opened", "::1]:5", NULL },
	{ "empty brackets", "[]:5", NULL },
	{ "only a bracket", "[:5", NULL },
	{ "text behind the bracket", "[::1]x:5", NULL },
	{ "a name", "example.com:51820", NULL },
	{ "nothing", "", NULL },
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void
check_text(const struct text_row *row, int err, const char *out)
{
	if (row->out == NULL)
		tap_int(err, ERR_BAD_FORMAT, row->what);
	else if (tap_ok(err == 0, "%s: \"%s\" is read", row->what, row->in))
		tap_text(out, row->out, row->what);
}

static void
texts(void)
{
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < COUNT(addresses); i++) {
		struct addr a = {};
		int err = addr_parse(addresses[i].in, &a);

		check_text(&addresses[i], err, addr_format(&a, text));
	}
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		struct prefix p = {};
		int err = prefix_parse(prefixes[i].in, &p);

		check_text(&prefixes[i], err, prefix_format(&p, text));
	}
	for (size_t i = 0; i < COUNT(endpoints); i++) {
		struct endpoint e = {};
		int err = endpoint_parse(endpoints[i].in, &e);

		check_text(&endpoints[i], err, endpoint_format(&e, text));
	}
}

// Groups from a small set, so that runs of zeros of every length and place occur.
static void
random_round_trip(void)
{
	struct rng r = { 1 };
	char text[ADDR_TEXT_LEN];
	int wrong = 0;

	for (int n = 0; n < 20000; n++) {
		struct addr a = { .family = ADDR_V6 }, b = {};

		for (int i = 0; i < 16; i += 2)
			if (rng_below(&r, 2) == 0)
				store_be16(a.bytes + i, (uint16_t)rng_next(&r));
		if (addr_parse(addr_format(&a, text), &b) < 0 || !addr_equal(&a, &b))
			wrong++;
	}
	tap_int(wrong, 0, "IPv6 addresses that did not survive text and back");
}

static const struct {
	const char *what;
	const char *outer, *inner;
	bool covers;   // outer the inner
	bool contains; // outer the address of inner
} pairs[] = {
	{ "itself", "10.0.0.0/8", "10.0.0.0/8", true, true },
	{ "a longer one", "10.0.0.0/8", "10.255.0.0/16", true, true },
	{ "a shorter one", "10.0.0.0/8", "10.0.0.0/7", false, true },
	{ "the next one", "10.0.0.0/8", "11.0.0.0/8", false, false },
	{ "the other half", "10.0.0.0/25", "10.0.0.128/25", false, false },
	{ "the last address", "10.0.0.0/25", "10.0.0.127/32", true, true },
	{ "host bits do not count", "10.0.0.77/25", "10.0.0.99/25", true, true },
	{ "everything, IPv4", "0.0.0.0/0", "255.255.255.255/32", true, true },
	{ "everything, but the other family", "0.0.0.0/0", "::/0", false, false },
	{ "everything, IPv6", "::/0", "ffff::/16", true, true },
	{ "a bit in the middle of a byte", "fd00::/9", "fd7f::/16", true, true },
	{ "beyond that bit", "fd00::/9", "fd80::/16", false, false },
	{ "the last bit differs", "fd00::1/128", "fd00::/128", false, false },
	{ "127 bits", "fd00::1/127", "fd00::/128", true, true },
};

static void
relations(void)
{
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct prefix outer, inner;

		if (prefix_parse(pairs[i].outer, &outer) < 0 ||
			prefix_parse(pairs[i].inner, &inner) < 0)
			abort();
		tap_ok(prefix_covers(&outer, &inner) == pairs[i].covers, "%s: covered: %d",
			pairs[i].what, pairs[i].covers);
		tap_ok(prefix_contains(&outer, &inner.addr) == pairs[i].contains,
			"%s: address contained: %d", pairs[i].what, pairs[i].contains);
	}
}

static void
prefix_of_none(void)
{
	struct prefix none = {}, any;
	struct addr a = addr_of_text("10.0.0.1");

	tap_ok(prefix_parse("0.0.0.0/0", &any) == 0, "a default route");
	tap_ok(!prefix_contains(&none, &a), "no prefix contains nothing");
	tap_ok(!prefix_contains(&any, &none.addr), "no address is in nothing");
	tap_int(prefix_mask((struct prefix){ a, 200 }).len, 32, "an impossible length is cut");
	tap_ok(prefix_contains(&(struct prefix){ a, 200 }, &a), "and means a host");
}

static void
comparisons(void)
{
	struct addr low = addr_of_text("10.0.0.1"), high = addr_of_text("10.0.0.2");
	struct addr six = addr_of_text("::1");
	char text[ADDR_TEXT_LEN];
	struct prefix p, q;
	struct endpoint e, f;

	tap_ok(addr_compare(&low, &high) < 0, "bytes order addresses");
	tap_ok(addr_compare(&high, &low) > 0, "both ways");
	tap_ok(addr_compare(&high, &six) < 0, "IPv4 comes before IPv6");
	tap_ok(addr_equal(&low, &low) && !addr_equal(&low, &high), "equality");

	if (prefix_parse("10.0.0.1/24", &p) < 0 || prefix_parse("10.0.0.2/24", &q) < 0)
		abort();
	tap_ok(prefix_equal(&p, &q), "prefixes that differ in host bits are equal");
	p = prefix_mask(p);
	tap_text(prefix_format(&p, text), "10.0.0.0/24", "mask clears the host bits");
	q.len = 25;
	tap_ok(!prefix_equal(&p, &q), "prefixes of other length are not");

	if (endpoint_parse("[fe80::1%2]:5", &e) < 0)
		abort();
	f = e;
	tap_ok(endpoint_equal(&e, &f), "an endpoint equals its copy");
	f.scope_id = 3;
	tap_ok(!endpoint_equal(&e, &f), "the zone counts");
	f = e;
	f.port = 6;
	tap_ok(!endpoint_equal(&e, &f), "the port counts");
	f = e;
	f.addr.bytes[15] = 2;
	tap_ok(!endpoint_equal(&e, &f), "the address counts");
}

int
main(void)
{
	texts();
	random_round_trip();
	relations();
	prefix_of_none();
	comparisons();
	return tap_done();
}
