/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/prefix_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/net/fixture.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NONE        PREFIX_TABLE_NONE

struct prefix_row {
	const char *prefix;
	uint32_t value;
};

struct lookup_row {
	const char *addr;
	uint32_t value;
};

static struct prefix
prefix_of_text(const char *text)
{
	struct prefix p;

	if (prefix_parse(text, &p) < 0)
		abort();
	return p;
}

static struct prefix_table *
build(const struct prefix_item *items, size_t n)
{
	struct prefix_table *t;

	if (prefix_table_create(items, n, &t, NULL) < 0)
		abort();
	return t;
}

// Rows without those of `left_out` ("removal by peer": tables are built anew).
static struct prefix_table *
build_rows(const struct prefix_row *rows, size_t n, uint32_t left_out)
{
	struct prefix_item items[64];
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		if (rows[i].value != left_out)
			items[used++] = (struct prefix_item){ prefix_of_text(rows[i].prefix),
				rows[i].value };
	return build(items, used);
}

static uint32_t
look_up_text(const struct prefix_table *t, const char *text)
{
	struct addr a = addr_of_text(text);

	return prefix_table_lookup(t, a.family, a.bytes);
}

static void
check_rows(const struct prefix_table *t, const struct lookup_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tap_int(look_up_text(t, rows[i].addr), rows[i].value, rows[i].addr);
}

// The well-known cases of allowed IPs, as in wireguard-go's device/allowedips_test.go (MIT):
// reliability.md V-20.  There the second of an equal prefix replaces the first; here a table with
// both is refused, so only the second is in these rows.
enum {
	A,
	B,
	C,
	D,
	E,
	F,
	G,
	H
};

static const struct prefix_row allowed_v4[] = {
	{ "192.168.4.0/24", A },
	{ "192.168.4.4/32", B },
	{ "192.168.0.0/16", C },
	{ "192.95.5.65/27", C }, // replaces 192.95.5.64/27 of D
	{ "0.0.0.0/0", E },
	{ "64.15.112.0/20", G },
	{ "64.15.123.211/25", H },
	{ "10.0.0.0/25", A },
	{ "10.0.0.128/25", B },
	{ "10.1.0.0/30", A },
	{ "10.1.0.4/30", B },
	{ "10.1.0.8/29", C },
	{ "10.1.0.16/29", D },
	{ "1.0.0.0/32", A },
	{ "64.0.0.0/32", A },
	{ "128.0.0.0/32", A },
	{ "192.0.0.0/32", A },
	{ "255.0.0.0/32", A },
};

static const struct lookup_row wanted_v4[] = {
	{ "192.168.4.20", A },
	{ "192.168.4.0", A },
	{ "192.168.4.4", B },
	{ "192.168.200.182", C },
	{ "192.95.5.68", C },
	{ "192.95.5.96", E },
	{ "64.15.116.26", G },
	{ "64.15.127.3", G },
	{ "64.15.123.128", H },
	{ "64.15.123.255", H },
	{ "64.15.123.127", G },
	{ "10.0.0.0", A },
	{ "10.0.0.127", A },
	{ "10.0.0.128", B },
	{ "10.0.0.255", B },
	{ "10.0.1.0", E },
	{ "10.1.0.3", A },
	{ "10.1.0.4", B },
	{ "10.1.0.7", B },
	{ "10.1.0.8", C },
	{ "10.1.0.15", C },
	{ "10.1.0.16", D },
	{ "10.1.0.23", D },
	{ "10.1.0.24", E },
	{ "1.0.0.0", A },
	{ "64.0.0.0", A },
	{ "128.0.0.0", A },
	{ "192.0.0.0", A },
	{ "255.0.0.0", A },
	{ "255.0.0.1", E },
	{ "0.0.0.0", E },
	{ "255.255.255.255", E },
};

static const struct lookup_row wanted_v4_without_a[] = {
	{ "192.168.4.20", C },
	{ "192.168.4.4", B },
	{ "10.0.0.5", E },
	{ "10.0.0.129", B },
	{ "1.0.0.0", E },
	{ "64.0.0.0", E },
	{ "128.0.0.0", E },
	{ "192.0.0.0", E },
	{ "255.0.0.0", E },
};

static const struct prefix_row allowed_v6[] = {
	{ "2607:5300:6000:6b00::c05f:543/128", D },
	{ "2607:5300:6000:6b00::/64", C },
	{ "::/0", F },
	{ "2404:6800::/32", G },
	{ "2404:6800:4004:800:dead:beef:dead:beef/64", H },
	{ "2404:6800:4004:800:dead:beef:dead:beef/128", A },
	{ "2444:6800:40e4:800:deae:beef:def:beef/128", C },
	{ "2444:6800:f0e4:800:eeae:beef::/98", B },
};

static const struct lookup_row wanted_v6[] = {
	{ "2607:5300:6000:6b00::c05f:543", D },
	{ "2607:5300:6000:6b00::c02e:1ee", C },
	{ "2607:5300:6000:6b00::", C },
	{ "2607:5300:6000:6b00:ffff:ffff:ffff:ffff", C },
	{ "2607:5300:6000:6b01::", F },
	{ "2404:6800:4004:806::1006", G },
	{ "2404:6800:4004:806:0:1234:0:5678", G },
	{ "2404:67ff:4004:806:0:1234:0:5678", F },
	{ "2404:6801:4004:806:0:1234:0:5678", F },
	{ "2404:6800:4004:800:0:1234:0:5678", H },
	{ "2404:6800:4004:800::", H },
	{ "2404:6800:4004:800:1010:1010:1010:1010", H },
	{ "2404:6800:4004:800:dead:beef:dead:beef", A },
	{ "2404:6800:4004:800:dead:beef:dead:beee", H },
	{ "2404:6800:4004:800:dead:beef:dead:bef0", H },
	{ "2444:6800:40e4:800:deae:beef:def:beef", C },
	{ "2444:6800:40e4:800:deae:beef:def:bef0", F },
	{ "2444:6800:f0e4:800:eeae:beef::", B },
	{ "2444:6800:f0e4:800:eeae:beef:3fff:ffff", B },
	{ "2444:6800:f0e4:800:eeae:beef:4000:0", F },
	{ "2444:6800:f0e4:801::", F },
	{ "::", F },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", F },
};

static const struct lookup_row wanted_v6_without_default[] = {
	{ "2607:5300:6000:6b01::", NONE },
	{ "2444:6800:40e4:800:deae:beef:def:bef0", NONE },
	{ "2444:6800:40e4:800:deae:beef:def:beef", C },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NONE },
};

static void
allowed_ips(void)
{
	struct prefix_table *t;

	t = build_rows(allowed_v4, COUNT(allowed_v4), NONE);
	check_rows(t, wanted_v4, COUNT(wanted_v4));
	tap_int(look_up_text(t, "::1"), NONE, "a default route of IPv4 is none of IPv6");
	prefix_table_destroy(t);
	t = build_rows(allowed_v4, COUNT(allowed_v4), A);
	check_rows(t, wanted_v4_without_a, COUNT(wanted_v4_without_a));
	prefix_table_destroy(t);
	t = build_rows(allowed_v6, COUNT(allowed_v6), NONE);
	check_rows(t, wanted_v6, COUNT(wanted_v6));
	prefix_table_destroy(t);
	t = build_rows(allowed_v6, COUNT(allowed_v6), F);
	check_rows(t, wanted_v6_without_default, COUNT(wanted_v6_without_default));
	prefix_table_destroy(t);
}

static void
edges(void)
{
	static const struct prefix_row rows[] = {
		{ "::/128", 1 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 2 },
		{ "0:0:0:1::/64", 3 },
		{ "::ffff:ffff:ffff:ffff/128",
			4 }, // the last of an upper half, and on into the next
		{ "0:0:0:2::8000:0/97", 5 },
		{ "0:0:0:3::/65", 5 },
		{ "0:0:0:10::5/128", 7 },
		{ "0:0:0:12::5/128", 8 }, // the upper half between has nothing
		{ "0.0.0.0/32", 6 },
		{ "255.255.255.255/32", PREFIX_TABLE_MAX_VALUE },
	};
	static const struct lookup_row wanted[] = {
		{ "::", 1 },
		{ "::1", NONE },
		{ "::ffff:ffff:ffff:fffe", NONE },
		{ "::ffff:ffff:ffff:ffff", 4 },
		{ "0:0:0:1::", 3 },
		{ "0:0:0:1:ffff:ffff:ffff:ffff", 3 },
		{ "0:0:0:2::", NONE },
		{ "0:0:0:2::7fff:ffff", NONE },
		{ "0:0:0:2::8000:0", 5 },
		{ "0:0:0:2::ffff:ffff", 5 },
		{ "0:0:0:2::1:0:0", NONE },
		{ "0:0:0:3::", 5 },
		{ "0:0:0:3:7fff:ffff:ffff:ffff", 5 },
		{ "0:0:0:3:8000::", NONE },
		{ "0:0:0:4::", NONE },
		{ "0:0:0:10::5", 7 },
		{ "0:0:0:11::5", NONE },
		{ "0:0:0:12::5", 8 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", NONE },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2 },
		{ "0.0.0.0", 6 },
		{ "0.0.0.1", NONE },
		{ "255.255.255.254", NONE },
		{ "255.255.255.255", PREFIX_TABLE_MAX_VALUE },
	};
	struct prefix_table *t = build_rows(rows, COUNT(rows), NONE);

	check_rows(t, wanted, COUNT(wanted));
	tap_int(t->count, COUNT(rows), "prefixes are counted");
	tap_int(prefix_table_lookup(t, ADDR_NONE, NULL), NONE, "no address has no prefix");
	prefix_table_destroy(t);
}

static void
empty(void)
{
	struct prefix_table *t = build(NULL, 0);

	tap_int(look_up_text(t, "10.0.0.1"), NONE, "a table of nothing has no IPv4");
	tap_int(look_up_text(t, "fd00::1"), NONE, "and no IPv6");
	tap_ok(t->size_bytes <= 1024, "and is small: %zu bytes", t->size_bytes);
	prefix_table_destroy(t);
}

static void
default_routes_alone(void)
{
	static const struct prefix_row rows[] = { { "0.0.0.0/0", 4 }, { "::/0", 6 } };
	static const struct lookup_row wanted[] = {
		{ "0.0.0.0", 4 },
		{ "10.0.0.1", 4 },
		{ "255.255.255.255", 4 },
		{ "::", 6 },
		{ "fd00::1", 6 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6 },
	};
	struct prefix_table *t = build_rows(rows, COUNT(rows), NONE);

	check_rows(t, wanted, COUNT(wanted));
	prefix_table_destroy(t);
}

static void
first_repetition(void)
{
	const struct prefix_item items[] = {
		{ prefix_of_text("30.0.0.0/8"), 1 },
		{ prefix_of_text("20.0.0.0/8"), 2 },
		{ prefix_of_text("20.0.0.0/8"), 3 },
		{ prefix_of_text("30.0.0.0/8"), 4 },
	};
	struct prefix_table *t = NULL;
	size_t bad = 99;

	tap_int(prefix_table_create(items, 4, &t, &bad), -EEXIST, "two prefixes twice");
	tap_int(bad, 2, "the first repetition in the caller's order is named");
}

static void
refused(void)
{
	struct prefix_item items[] = {
		{ prefix_of_text("10.0.0.0/8"), 1 },
		{ prefix_of_text("fd00::/8"), 1 },
		{ prefix_of_text("10.0.0.0/9"), 2 },
		{ prefix_of_text("fd77::/8"), 2 },
		{ prefix_of_text("10.9.9.9/8"), 3 },
	};
	struct prefix_table *t = NULL;
	size_t bad = 99;

	tap_int(prefix_table_create(items, 5, &t, &bad), -EEXIST, "the same prefix twice");
	tap_int(bad, 3, "the first repetition is named by its index");
	items[3].prefix.len = 9;
	tap_int(prefix_table_create(items, 5, &t, &bad), -EEXIST, "IPv4, other host bits");
	tap_int(bad, 4, "is named too");
	items[4].value = PREFIX_TABLE_MAX_VALUE + 1;
	tap_int(prefix_table_create(items, 5, &t, &bad), ERR_BAD_FORMAT, "a value too large");
	items[2].prefix.len = 33;
	tap_int(prefix_table_create(items, 5, &t, &bad), ERR_BAD_FORMAT, "33 bits of 32");
	tap_int(bad, 2, "is named by its index");
	items[1].prefix.addr.family = ADDR_NONE;
	tap_int(prefix_table_create(items, 5, &t, &bad), ERR_BAD_FORMAT, "no family");
	tap_int(bad, 1, "is named by its index");
	tap_int(prefix_table_create(items, 5, &t, NULL), ERR_BAD_FORMAT, "if somebody asks");
	tap_ok(t == NULL, "nothing was returned");
}

// The first of the longest that match.
static uint32_t
naive_lookup(const struct prefix_item *items, size_t n, const struct addr *a)
{
	uint32_t value = NONE;
	int longest = -1;

	for (size_t i = 0; i < n; i++)
		if (items[i].prefix.len > longest && prefix_contains(&items[i].prefix, a)) {
			longest = items[i].prefix.len;
			value = items[i].value;
		}
	return value;
}

static bool
has_prefix(const struct prefix_item *items, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(&items[i].prefix, p))
			return true;
	return false;
}

// An address near `base`: some of its bits turned around at random places, the rest kept, so that
// prefixes nest and touch.
static struct addr
random_addr(struct rng *r, enum addr_family family, const struct addr *base)
{
	unsigned bytes = addr_bits(family) / 8;
	unsigned from = rng_below(r, bytes);
	struct addr a = *base;

	a.family = (uint8_t)family;
	if (family == ADDR_V4)
		memset(a.bytes + 4, 0, 12);
	for (unsigned i = from; i < bytes; i++) {
		uint32_t kind = rng_below(r, 4);

		a.bytes[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)rng_next(r);
	}
	return a;
}

// Step to the address before or behind.
static struct addr
neighbour(struct addr a, int step)
{
	for (int i = (int)addr_bits(a.family) / 8 - 1; i >= 0; i--) {
		a.bytes[i] = (uint8_t)(a.bytes[i] + step);
		if (a.bytes[i] != (step > 0 ? 0 : 0xff))
			break;
	}
	return a;
}

static struct addr
last_of(const struct prefix *p)
{
	struct addr a = prefix_mask(*p).addr;

	for (unsigned bit = p->len; bit < addr_bits(a.family); bit++)
		a.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return a;
}

static uint32_t
compare_at(const struct prefix_table *t, const struct prefix_item *items, size_t n, struct addr a)
{
	return prefix_table_lookup(t, a.family, a.bytes) != naive_lookup(items, n, &a);
}

// At both borders of every prefix, one beyond, and anywhere.
static uint32_t
compare_all(struct rng *r, const struct prefix_table *t, const struct prefix_item *items, size_t n)
{
	struct addr any = addr_of_text("fd00::1");
	uint32_t wrong = 0;

	for (size_t i = 0; i < n; i++) {
		struct addr first = prefix_mask(items[i].prefix).addr;
		struct addr last = last_of(&items[i].prefix);

		wrong += compare_at(t, items, n, first);
		wrong += compare_at(t, items, n, last);
		wrong += compare_at(t, items, n, neighbour(first, -1));
		wrong += compare_at(t, items, n, neighbour(last, 1));
		wrong += compare_at(t, items, n, random_addr(r, first.family, &first));
	}
	for (int i = 0; i < 20; i++)
		wrong += compare_at(t, items, n, random_addr(r, i % 2 ? ADDR_V4 : ADDR_V6, &any));
	return wrong;
}

// Whether the lower halves behind the upper half of `a` are so many that their tree has nodes.
static bool
has_deep_nodes(const struct prefix_table *t, const struct addr *a)
{
	uint32_t value = t->v6.values[prefix_table_search_v6(
		t->v6.separators, t->v6.levels, t->v6.first_interval, load_be64(a->bytes))];

	return value != NONE && (value & PREFIX_DEEP) != 0 &&
	       t->deep[value & ~PREFIX_DEEP].shape >> 24 > 0;
}

static void
naive_twin(void)
{
	enum {
		MOST = 120
	};
	struct rng r = { 7 };
	uint32_t wrong = 0, levels = 0, deep_levels = 0;

	for (int n = 0; n < 400; n++) {
		struct prefix_item items[MOST];
		struct addr base = addr_of_text("fd00::1");
		size_t count = 0, tries = rng_below(&r, MOST);
		struct prefix_table *t;

		for (size_t i = 0; i < tries; i++) {
			enum addr_family family = rng_below(&r, 3) == 0 ? ADDR_V4 : ADDR_V6;
			struct prefix p = { .addr = random_addr(&r, family, &base) };

			p.len = (uint8_t)rng_below(&r, addr_bits(family) + 1);
			if (n % 3 == 0 && family == ADDR_V6)
				memcpy(p.addr.bytes, base.bytes, 8); // many lower halves of one
			if (has_prefix(items, count, &p))
				continue;
			items[count++] = (struct prefix_item){ p, rng_below(&r, 12) };
			if (family == ADDR_V6 && rng_below(&r, 2) == 0)
				base = p.addr;
		}
		t = build(items, count);
		wrong += compare_all(&r, t, items, count);
		levels += t->v6.levels >= 2;
		deep_levels += has_deep_nodes(t, &base);
		prefix_table_destroy(t);
	}
	tap_int(wrong, 0, "answers that differ from a walk along the list");
	tap_ok(levels > 20 && deep_levels > 20,
		"trees of several levels occurred: %u, for lower halves %u", levels, deep_levels);
}

// Every length of one address: nothing nests deeper.
static void
chain(const char *text)
{
	struct addr a = addr_of_text(text);
	unsigned bits = addr_bits(a.family);
	struct prefix_item items[129];
	struct prefix_table *t;
	struct rng r = { 8 };
	uint32_t wrong = 0;

	for (unsigned len = 0; len <= bits; len++)
		items[len] = (struct prefix_item){ { a, (uint8_t)len }, len };
	t = build(items, bits + 1);
	for (unsigned bit = 0; bit < bits; bit++) {
		struct addr other = a;

		other.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		wrong += prefix_table_lookup(t, other.family, other.bytes) != bit;
	}
	wrong += prefix_table_lookup(t, a.family, a.bytes) != bits;
	wrong += compare_all(&r, t, items, bits + 1);
	tap_ok(wrong == 0, "a chain of %u prefixes around %s", bits + 1, text);
	prefix_table_destroy(t);
}

struct kind {
	const char *what;
	enum addr_family family;
	uint8_t shortest, longest;
	uint8_t common; // bytes that all have in common
};

static const struct kind kinds[] = {
	{ "IPv4 /16 to /28 anywhere", ADDR_V4, 16, 28, 0 },
	{ "IPv4 hosts in 10/8", ADDR_V4, 32, 32, 1 },
	{ "IPv6 /48 to /64 anywhere", ADDR_V6, 48, 64, 0 },
	{ "IPv6 /96 to /128, each in a /64 of its own", ADDR_V6, 96, 128, 0 },
	{ "IPv6 hosts in one /64", ADDR_V6, 128, 128, 8 },
};

// 20,000 prefixes: memory, time to build, and every answer.
static void
many(const struct kind *kind)
{
	const size_t n = 20000;
	struct prefix_item *items = calloc(n, sizeof(*items));
	struct rng r = { 9 };
	struct prefix_table *t = NULL;
	struct mono begin, end;
	uint32_t wrong = 0;
	size_t bad;
	int err;

	if (items == NULL)
		abort();
	for (size_t i = 0; i < n; i++) {
		struct prefix *p = &items[i].prefix;

		p->addr.family = (uint8_t)kind->family;
		p->len = (uint8_t)(kind->shortest +
				   rng_below(&r, kind->longest - kind->shortest + 1U));
		memset(p->addr.bytes, 10, kind->common);
		for (unsigned b = kind->common; b < addr_bits(kind->family) / 8; b++)
			p->addr.bytes[b] = (uint8_t)rng_next(&r);
		items[i].value = (uint32_t)i;
	}
	// Chance makes a few equal ones: draw those again.
	do {
		begin = mono_now();
		err = prefix_table_create(items, n, &t, &bad);
		end = mono_now();
		if (err == -EEXIST)
			store_be32(items[bad].prefix.addr.bytes + kind->common % 4,
				(uint32_t)rng_next(&r));
	} while (err == -EEXIST);
	if (!tap_ok(err == 0, "20,000 prefixes: %s", kind->what))
		abort();
	tap_ok(t->size_bytes < 2 * 1024 * 1024, "%zu bytes, below 2 MiB", t->size_bytes);
	// The aim is 30 ms; a sanitizer or a busy machine may need ten times that.
	tap_ok(mono_diff_ns(end, begin) < 300 * NS_PER_MS, "built in %.1f ms",
		(double)mono_diff_ns(end, begin) / 1e6);
	for (size_t i = 0; i < n; i += 97)
		wrong += compare_at(t, items, n, last_of(&items[i].prefix));
	tap_int(wrong, 0, "answers that differ from a walk along the list");
	prefix_table_destroy(t);
	free(items);
}

int
main(void)
{
	allowed_ips();
	edges();
	empty();
	default_routes_alone();
	first_repetition();
	refused();
	naive_twin();
	chain("85.170.85.170");
	chain("0.0.0.0");
	chain("255.255.255.255");
	chain("5555:aaaa:5555:aaaa:5555:aaaa:5555:aaaa");
	chain("::");
	chain("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	for (size_t i = 0; i < COUNT(kinds); i++)
		many(&kinds[i]);
	return tap_done();
}
