/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rules of ../shared/protocol/peer.md 2.6 to 2.8, row by row; then random paths against a naive
 * twin that is written as 2.6 lists them.
 */

#include "lib/traversal/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

#define MS NS_PER_MS

static struct path
path_of(const char *endpoint, int64_t latency_ns, uint32_t vni)
{
	struct path p = { .latency_ns = latency_ns,
		.relayed = vni != 0,
		.vni = vni,
		.wire_mtu = PATH_SAFE_WIRE_MTU };

	if (*endpoint != '\0' && endpoint_parse(endpoint, &p.endpoint) != 0) {
		printf("Bail out! no endpoint: %s\n", endpoint);
		exit(1);
	}
	return p;
}

static const struct {
	const char *what;
	const char *a;
	int64_t a_ns;
	uint32_t a_vni;
	const char *b;
	int64_t b_ns;
	uint32_t b_vni;
	bool better;
} rows[] = {
	{ "any path is better than none", "192.0.2.1:1", 900 * MS, 0, "", 0, 0, true },
	{ "none is better than no path", "", 0, 0, "192.0.2.1:1", 900 * MS, 0, false },
	{ "none is not better than none", "", 0, 0, "", 0, 0, false },
	{ "a path is not better than itself", "192.0.2.1:1", 1 * MS, 0, "192.0.2.1:1", 9 * MS, 0,
		false },
	{ "slow and direct beats fast and relayed", "192.0.2.1:1", 900 * MS, 0, "192.0.2.2:1",
		1 * MS, 7, true },
	{ "not the other way round", "192.0.2.2:1", 1 * MS, 7, "192.0.2.1:1", 900 * MS, 0, false },
	{ "two relayed ones compare by latency", "192.0.2.2:1", 1 * MS, 7, "192.0.2.1:1", 9 * MS, 8,
		true },
	{ "another VNI of the same relay is another way", "192.0.2.2:1", 1 * MS, 7, "192.0.2.2:1",
		9 * MS, 8, true },
	{ "half the latency", "192.0.2.1:1", 5 * MS, 0, "192.0.2.2:1", 10 * MS, 0, true },
	{ "twice the latency", "192.0.2.1:1", 10 * MS, 0, "192.0.2.2:1", 5 * MS, 0, false },
	{ "the same latency", "192.0.2.1:1", 10 * MS, 0, "192.0.2.2:1", 10 * MS, 0, false },
	{ "one percent is noise", "192.0.2.1:1", 99 * MS, 0, "192.0.2.2:1", 100 * MS, 0, false },
	{ "two percent are not", "192.0.2.1:1", 98 * MS, 0, "192.0.2.2:1", 100 * MS, 0, true },
	{ "nor is a bit more than one, as percents are rounded up", "192.0.2.1:1", 98999999, 0,
		"192.0.2.2:1", 100 * MS, 0, true },
	{ "IPv6 at the same latency", "[2001:db8::1]:1", 10 * MS, 0, "192.0.2.1:1", 10 * MS, 0,
		true },
	{ "IPv6 may be 9 % slower", "[2001:db8::1]:1", 100 * MS, 0, "192.0.2.1:1", 91 * MS, 0,
		true },
	{ "but not 10 %", "[2001:db8::1]:1", 100 * MS, 0, "192.0.2.1:1", 90 * MS, 0, false },
	{ "IPv4 must be faster than that", "192.0.2.1:1", 90 * MS, 0, "[2001:db8::1]:1", 100 * MS,
		0, false },
	{ "by more", "192.0.2.1:1", 89 * MS, 0, "[2001:db8::1]:1", 100 * MS, 0, true },
	{ "private at the same latency", "10.1.2.3:1", 10 * MS, 0, "192.0.2.1:1", 10 * MS, 0,
		true },
	{ "private may be 19 % slower", "10.1.2.3:1", 100 * MS, 0, "192.0.2.1:1", 81 * MS, 0,
		true },
	{ "but not 20 %", "10.1.2.3:1", 100 * MS, 0, "192.0.2.1:1", 80 * MS, 0, false },
	{ "what lies below 172.16/12 is public", "172.16.0.1:1", 10 * MS, 0, "172.15.0.1:1",
		10 * MS, 0, true },
	{ "172.16/12 is private", "172.31.0.1:1", 10 * MS, 0, "172.32.0.1:1", 10 * MS, 0, true },
	{ "192.168/16 is private", "192.168.0.1:1", 10 * MS, 0, "192.169.0.1:1", 10 * MS, 0, true },
	{ "fc00::/7 is private", "[fdff::1]:1", 10 * MS, 0, "[fe00::1]:1", 10 * MS, 0, true },
	{ "100.64/10 is not", "100.64.0.1:1", 10 * MS, 0, "192.0.2.1:1", 10 * MS, 0, false },
	{ "private IPv6 over private IPv4", "[fd00::1]:1", 10 * MS, 0, "10.0.0.1:1", 10 * MS, 0,
		true },
	{ "link-local over private", "169.254.0.1:1", 10 * MS, 0, "10.0.0.1:1", 10 * MS, 0, true },
	{ "fe80::/10 is link-local", "[febf::1]:1", 10 * MS, 0, "[fd00::1]:1", 10 * MS, 0, true },
	{ "loopback over link-local", "127.9.9.9:1", 10 * MS, 0, "169.254.0.1:1", 10 * MS, 0,
		true },
	{ "::1 is loopback", "[::1]:1", 10 * MS, 0, "[fe80::1]:1", 10 * MS, 0, true },
	{ "no latency known yet of b", "192.0.2.1:1", 10 * MS, 0, "192.0.2.2:1", 0, 0, false },
	{ "no latency known of either, IPv6", "[2001:db8::1]:1", 0, 0, "192.0.2.2:1", 0, 0, true },
	{ "absurd latencies do not overflow", "192.0.2.1:1", INT64_MAX / 2, 0, "192.0.2.2:1",
		INT64_MAX, 0, false },
	{ "nor do negative ones", "192.0.2.1:1", INT64_MIN, 0, "192.0.2.2:1", 10 * MS, 0, true },
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path a = path_of(rows[i].a, rows[i].a_ns, rows[i].a_vni);
		struct path b = path_of(rows[i].b, rows[i].b_ns, rows[i].b_vni);

		tap_int(path_is_better(&a, &b), rows[i].better, rows[i].what);
	}
}

static void
test_mtu(void)
{
	struct path a = path_of("192.0.2.1:1", 10 * MS, 0), b = a;

	a.wire_mtu = 1400;
	tap_ok(path_is_better(&a, &b), "the same way with a larger MTU");
	tap_ok(!path_is_better(&b, &a), "not with a smaller one");
	a.endpoint.port = 2;
	tap_ok(!path_is_better(&a, &b), "on another way the MTU does not count");
}

// --- the twin: points by place, percents in wide integers ---

static const struct {
	const char *endpoint;
	int points;
} places[] = {
	{ "127.0.0.1:1", 50 },
	{ "[::1]:1", 60 },
	{ "169.254.3.4:1", 30 },
	{ "[fe80::7]:1", 40 },
	{ "10.0.0.1:1", 20 },
	{ "172.20.0.1:1", 20 },
	{ "192.168.7.7:1", 20 },
	{ "[fd7a:115c::1]:1", 30 },
	{ "192.0.2.1:1", 0 },
	{ "8.8.8.8:1", 0 },
	{ "[2001:db8::1]:1", 10 },
	{ "", 0 },
};

#define N_PLACES (sizeof(places) / sizeof(places[0]))

struct twin {
	size_t place;
	struct path path;
};

static uint64_t seed = 1;

static uint64_t
next_random(uint64_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % below;
}

static struct twin
random_twin(void)
{
	static const int64_t latencies[] = { 0, 1, 99 * MS, 100 * MS, 101 * MS };
	struct twin t = { .place = next_random(N_PLACES) };
	int64_t latency =
		next_random(2) ? (int64_t)next_random(200 * MS) : latencies[next_random(5)];

	t.path = path_of(places[t.place].endpoint, latency, next_random(4) == 0 ? 1 : 0);
	t.path.wire_mtu += (uint32_t)next_random(2);
	return t;
}

static bool
twin_is_better(const struct twin *a, const struct twin *b)
{
	bool a_set = a->place != N_PLACES - 1, b_set = b->place != N_PLACES - 1;
	__int128 a_ns = a->path.latency_ns, b_ns = b->path.latency_ns;
	int a_points = 0, b_points = 0;

	if (a->place == b->place && a->path.vni == b->path.vni)
		return a->path.wire_mtu > b->path.wire_mtu;
	if (!b_set || !a_set)
		return !b_set;
	if (a->path.vni == 0 && b->path.vni != 0)
		return true;
	if (a->path.vni != 0 && b->path.vni == 0)
		return false;
	if (a_ns > b_ns && a_ns > 0)
		b_points = (int)(100 - b_ns * 100 / a_ns);
	else if (b_ns > 0)
		a_points = (int)(100 - a_ns * 100 / b_ns);
	a_points += places[a->place].points;
	b_points += places[b->place].points;
	return !(a_points <= 1 && b_points == 0) && a_points > b_points;
}

static void
test_twin(void)
{
	size_t wrong = 0, mutual = 0, better = 0;

	for (int i = 0; i < 200000; i++) {
		struct twin a = random_twin(), b = random_twin();
		bool is_better = path_is_better(&a.path, &b.path);

		better += is_better;
		wrong += is_better != twin_is_better(&a, &b);
		mutual += is_better && path_is_better(&b.path, &a.path) &&
		          (path_exists(&a.path) || path_exists(&b.path));
	}
	tap_int((long long)wrong, 0, "the twin agrees on 200,000 pairs");
	tap_int((long long)mutual, 0, "no two paths are better than each other");
	tap_ok(better > 20000 && better < 180000, "and neither answer is rare (%zu)", better);
}

// --- time ---

static const struct mono now = { 1000 * NS_PER_S };
static const struct mono never = { 0 };

static struct mono
ago(int64_t ns)
{
	return mono_add_ns(now, -ns);
}

static void
test_trust(void)
{
	tap_ok(path_is_trusted(ago(0), now), "the last moment of trust");
	tap_ok(!path_is_trusted(ago(1), now), "is over a nanosecond later");
	tap_ok(path_is_trusted(ago(-PATH_TRUST_NS), now), "trusted for 6.5 s");
	tap_ok(!path_is_trusted(never, now), "never trusted");
}

static void
test_replaces(void)
{
	struct path fast = path_of("192.0.2.1:1", 1 * MS, 0),
		    slow = path_of("192.0.2.2:1", 90 * MS, 0);
	struct path none = {}, relay = path_of("192.0.2.3:1", 1 * MS, 5);
	struct path relay_too = path_of("192.0.2.4:1", 90 * MS, 6), other;

	tap_ok(path_replaces(&fast, &slow, ago(0), now), "a better one");
	tap_ok(!path_replaces(&slow, &fast, ago(0), now), "not a worse one");
	tap_ok(path_replaces(&slow, &fast, ago(1), now), "unless the best is not trusted any more");
	tap_ok(path_replaces(&slow, &none, never, now), "the first one");
	tap_ok(!path_replaces(&none, &slow, never, now), "but never none");
	tap_ok(path_replaces(&relay_too, &relay, ago(0), now),
		"another way through the same relay");
	other = relay_too;
	other.server_disco.bytes[31] = 1;
	tap_ok(!path_replaces(&other, &relay, ago(0), now),
		"through another one it must be better");
	tap_ok(!path_replaces(&relay, &slow, ago(0), now),
		"a relay does not replace a direct path");
	tap_ok(path_replaces(&slow, &relay, ago(0), now), "a direct path replaces a relay");
}

static void
test_needs_relay(void)
{
	struct path none = {}, best = path_of("192.0.2.1:1", 1 * MS, 0);

	tap_ok(path_needs_relay(&none, ago(0), now), "no path: DERP only");
	tap_ok(path_needs_relay(&best, ago(1), now), "not trusted: DERP too");
	tap_ok(!path_needs_relay(&best, ago(0), now), "trusted: UDP only");
}

static void
test_wants_ping_all(void)
{
	struct path good = path_of("192.0.2.1:1", 5 * MS, 0);
	struct path slow = path_of("192.0.2.1:1", 5 * MS + 1, 0);
	struct path relayed = path_of("192.0.2.1:1", 1 * MS, 3), none = {};
	struct mono minute = ago(60 * NS_PER_S), less = ago(60 * NS_PER_S - 1);

	tap_ok(path_wants_ping_all(&none, never, ago(1), now), "no path");
	tap_ok(path_wants_ping_all(&relayed, ago(0), ago(1), now), "a relay");
	tap_ok(path_wants_ping_all(&good, ago(1), ago(1), now), "not trusted");
	tap_ok(path_wants_ping_all(&good, ago(0), never, now), "never done");
	tap_ok(!path_wants_ping_all(&good, ago(0), minute, now), "5 ms are good enough");
	tap_ok(path_wants_ping_all(&slow, ago(0), minute, now), "more: once a minute");
	tap_ok(!path_wants_ping_all(&slow, ago(0), less, now), "not sooner");
}

static void
test_wants_relay_discovery(void)
{
	struct path direct = path_of("192.0.2.1:1", 5 * MS, 0), none = {};
	struct path relayed = path_of("192.0.2.1:1", 1 * MS, 3);
	struct mono half = ago(30 * NS_PER_S), minute = ago(60 * NS_PER_S);

	tap_ok(path_wants_relay_discovery(&none, never, true, true, never, now),
		"no path, never done");
	tap_ok(!path_wants_relay_discovery(&none, never, false, true, never, now), "no relays");
	tap_ok(!path_wants_relay_discovery(&none, never, true, false, never, now), "an old peer");
	tap_ok(!path_wants_relay_discovery(&direct, ago(0), true, true, never, now), "direct");
	tap_ok(path_wants_relay_discovery(&direct, ago(1), true, true, half, now),
		"not trusted: 30 s");
	tap_ok(!path_wants_relay_discovery(
		       &direct, ago(1), true, true, ago(30 * NS_PER_S - 1), now),
		"not sooner");
	tap_ok(!path_wants_relay_discovery(&relayed, ago(0), true, true, half, now),
		"a trusted relay: not yet");
	tap_ok(path_wants_relay_discovery(&relayed, ago(0), true, true, minute, now), "after 60 s");
}

static void
test_lengths(void)
{
	struct path v4 = path_of("192.0.2.1:1", 0, 0), v6 = path_of("[2001:db8::1]:1", 0, 0);
	struct path relayed = path_of("192.0.2.1:1", 0, 9);

	// A ping is 124 bytes without padding; 1,128 bytes of padding fill 1,280 (disco.json).
	tap_int(path_wire_len(&v4, 124 + 1128), 1280, "IPv4");
	tap_int(path_payload_len(&v4, 1280), 124 + 1128, "and back");
	tap_int(path_wire_len(&v6, 1000), 1048, "IPv6");
	tap_int(path_wire_len(&relayed, 1000), 1036, "in Geneve");
	tap_int(path_payload_len(&relayed, 1036), 1000, "and back");
	tap_int(path_payload_len(&v4, 28), 0, "headers and nothing");
	tap_int(path_payload_len(&v6, 5), 0, "not even the headers");
}

int
main(void)
{
	test_rows();
	test_mtu();
	test_twin();
	test_trust();
	test_replaces();
	test_needs_relay();
	test_wants_ping_all();
	test_wants_relay_discovery();
	test_lengths();
	return tap_done();
}
