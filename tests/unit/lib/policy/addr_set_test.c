/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/addr_set.h"

#include <errno.h>

#include "lib/base/err.h"
#include "lib/policy/local_nets.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// The 24 addresses before the end of the family, or after its beginning.
static struct addr
numbered(uint8_t family, uint32_t number)
{
	struct addr a = { .family = family };

	if (number >= 24) {
		memset(a.bytes, 0xff, addr_bits(family) / 8);
		number += 256 - 48;
	}
	a.bytes[addr_bits(family) / 8 - 1] = (uint8_t)number;
	return a;
}

static bool
is_in_order(const struct addr_set *s)
{
	for (size_t i = 1; i < s->n; i++)
		if (addr_compare(&s->ranges[i - 1].last, &s->ranges[i].first) >= 0)
			return false;
	return true;
}

static uint32_t
differences(const struct addr_set *s, uint8_t family, const bool *twin)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < 48; i++) {
		struct addr a = numbered(family, i);
		struct filter_range one = { a, a };

		wrong += addr_set_contains(s, &a) != twin[i];
		wrong += addr_set_overlaps(s, &one) != twin[i];
	}
	return wrong;
}

static void
naive_twin(uint8_t family)
{
	uint32_t wrong = 0, disorder = 0;
	struct rng r = { family };
	struct addr_set s = {};
	bool twin[48] = {};

	for (int n = 0; n < 20000; n++) {
		// Both ends in the same half: what lies between the halves is not looked at.
		uint32_t half = rng_below(&r, 2) * 24, a = half + rng_below(&r, 24),
			 b = half + rng_below(&r, 24);
		struct filter_range range = { numbered(family, a < b ? a : b),
			numbered(family, a < b ? b : a) };
		bool adds = rng_below(&r, 2) == 0;

		if ((adds ? addr_set_add(&s, &range) : addr_set_remove(&s, &range)) < 0)
			abort();
		for (uint32_t i = a < b ? a : b; i <= (a < b ? b : a); i++)
			twin[i] = adds;
		wrong += differences(&s, family, twin);
		disorder += !is_in_order(&s);
	}
	tap_ok(wrong == 0 && disorder == 0, "IPv%u: %u addresses differ, %u sets out of order",
		family, wrong, disorder);
	addr_set_fini(&s);
}

static void
merging(void)
{
	static const char *const prefixes[] = { "10.0.0.0/25", "10.0.0.128/25", "fd7a::/64",
		"10.0.1.0/24", "0.0.0.0/8", "9.0.0.0/8" };
	struct addr_set s = {}, copy = {};
	struct prefix p;

	for (size_t i = 0; i < COUNT(prefixes); i++)
		if (prefix_parse(prefixes[i], &p) < 0 || addr_set_add_prefix(&s, &p) < 0)
			abort();
	tap_int(s.n, 3, "what touches becomes one");
	tap_int(addr_set_add_set(&copy, &s), 0, "a set of a set");
	tap_int(copy.n, 3, "is the same");
	p = (struct prefix){ .addr.family = ADDR_V4 };
	tap_int(addr_set_remove_prefix(&s, &p), 0, "a family goes");
	tap_int(s.n, 1, "the other stays");
	addr_set_fini(&s);
	addr_set_fini(&copy);
	addr_set_fini(NULL);
}

static void
refused(void)
{
	struct addr four = addr_of_text("10.0.0.1"), six = addr_of_text("fd7a::1"), none = {};
	struct filter_range mixed = { four, six }, empty = { none, none },
			    turned = { addr_of_text("10.0.0.2"), four };
	struct addr_set s = {};
	int err = 0;

	tap_int(addr_set_add(&s, &mixed), ERR_BAD_FORMAT, "ends of two families");
	tap_int(addr_set_remove(&s, &turned), ERR_BAD_FORMAT, "ends the wrong way round");
	tap_int(addr_set_add(&s, &empty), ERR_BAD_FORMAT, "no family");
	for (uint32_t i = 0; err == 0 && i <= ADDR_SET_MAX_RANGES; i++) {
		struct filter_range one = { { ADDR_V4, {} }, { ADDR_V4, {} } };

		store_be32(one.first.bytes, 2 * i);
		one.last = one.first;
		err = addr_set_add(&s, &one);
	}
	tap_int(err, -E2BIG, "too many ranges");
	tap_int(s.n, ADDR_SET_MAX_RANGES, "are refused, the others kept");
	addr_set_fini(&s);
}

// An exit node in its own networks, section 9.6 of peer.md.
static const struct {
	const char *addr;
	bool local;
	const char *why;
} exit_node[] = {
	{ "100.64.0.1", true, "own address" },
	{ "100.64.0.2", false, "another in the tailnet" },
	{ "fd7a:115c:a1e0::1", true, "own address of IPv6" },
	{ "fd7a:115c:a1e0::2", false, "another of IPv6" },
	{ "192.168.7.9", true, "an advertised route, though private" },
	{ "192.168.8.9", false, "a private address" },
	{ "10.1.2.3", false, "the host's address in a private network" },
	{ "10.1.2.4", false, "its neighbour" },
	{ "172.31.255.255", false, "private to the end" },
	{ "172.32.0.0", true, "the internet" },
	{ "203.0.113.5", true, "the host's public address" },
	{ "203.0.113.6", false, "its neighbour on the link" },
	{ "203.0.114.0", true, "the internet behind" },
	{ "169.254.1.1", false, "link-local" },
	{ "224.0.0.1", false, "multicast" },
	{ "8.8.8.8", true, "the internet" },
	{ "2001:db8::1", false, "IPv6, where no default route is offered" },
	{ "100.100.1.1", true, "a service" },
	{ "0.0.0.0", true, "what an app connector is asked by" },
	{ "::", true, "and in IPv6" },
};

static void
local_nets(void)
{
	struct prefix own[2], routes[2];
	struct host_addr host[] = {
		{ addr_of_text("10.1.2.3"), 24 },
		{ addr_of_text("203.0.113.5"), 24 },
		{ addr_of_text("2001:db8::1"), 64 },
	};
	struct addr service = addr_of_text("100.100.1.1");
	struct local_nets_input in = {
		.own = own,
		.n_own = 2,
		.routes = routes,
		.n_routes = 2,
		.host = host,
		.n_host = COUNT(host),
		.services = &service,
		.n_services = 1,
		.is_app_connector = true,
	};
	struct addr_set s;

	if (prefix_parse("100.64.0.1/32", &own[0]) < 0 ||
		prefix_parse("fd7a:115c:a1e0::1/128", &own[1]) < 0 ||
		prefix_parse("0.0.0.0/0", &routes[0]) < 0 ||
		prefix_parse("192.168.7.0/24", &routes[1]) < 0)
		abort();
	tap_int(local_nets_make(&in, &s), 0, "an exit node's local nets");
	for (size_t i = 0; i < COUNT(exit_node); i++) {
		struct addr a = addr_of_text(exit_node[i].addr);

		tap_ok(addr_set_contains(&s, &a) == exit_node[i].local, "%s: %s", exit_node[i].addr,
			exit_node[i].why);
	}
	addr_set_fini(&s);
	own[0].addr.family = ADDR_NONE;
	tap_int(local_nets_make(&in, &s), ERR_BAD_FORMAT, "an address of no family");
}

int
main(void)
{
	naive_twin(ADDR_V4);
	naive_twin(ADDR_V6);
	merging();
	refused();
	local_nets();
	return tap_done();
}
