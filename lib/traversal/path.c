/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/path.h"

#include <string.h>

#include "lib/traversal/geneve.h"

#define UDP_LEN         8
#define IPV4_LEN        20
#define IPV6_LEN        40
#define LATENCY_MAX_NS  (INT64_MAX / 100) /* so that percentages do not overflow */
#define POINTS_LOOPBACK 50
#define POINTS_LINK     30 /* link-local: the same segment, most likely */
#define POINTS_PRIVATE  20 /* nobody pays for these bytes */
#define POINTS_IPV6     10 /* a bit more robust: less NAT */

bool
path_exists(const struct path *path)
{
	return path->endpoint.addr.family != ADDR_NONE;
}

bool
path_is_same_way(const struct path *a, const struct path *b)
{
	return endpoint_equal(&a->endpoint, &b->endpoint) && a->relayed == b->relayed &&
	       (!a->relayed || a->vni == b->vni);
}

bool
path_is_direct(const struct path *path)
{
	return path_exists(path) && !path->relayed;
}

static bool
is_within(const struct addr *addr,
	enum addr_family family,
	uint8_t first,
	uint8_t second,
	uint8_t len)
{
	struct prefix prefix = { .addr = { family, { first, second } }, .len = len };

	return prefix_contains(&prefix, addr);
}

static bool
is_loopback(const struct addr *addr)
{
	static const struct addr v6 = { ADDR_V6, { [15] = 1 } };

	return is_within(addr, ADDR_V4, 127, 0, 8) || addr_equal(addr, &v6);
}

static bool
is_link_local(const struct addr *addr)
{
	return is_within(addr, ADDR_V4, 169, 254, 16) || is_within(addr, ADDR_V6, 0xfe, 0x80, 10);
}

static bool
is_private(const struct addr *addr)
{
	return is_within(addr, ADDR_V4, 10, 0, 8) || is_within(addr, ADDR_V4, 172, 16, 12) ||
	       is_within(addr, ADDR_V4, 192, 168, 16) || is_within(addr, ADDR_V6, 0xfc, 0, 7);
}

static int64_t
points_of_addr(const struct addr *addr)
{
	int64_t points = addr->family == ADDR_V6 ? POINTS_IPV6 : 0;

	if (is_loopback(addr))
		points += POINTS_LOOPBACK;
	else if (is_link_local(addr))
		points += POINTS_LINK;
	else if (is_private(addr))
		points += POINTS_PRIVATE;
	return points;
}

static int64_t
bounded(int64_t latency_ns)
{
	if (latency_ns < 0)
		return 0;
	return latency_ns < LATENCY_MAX_NS ? latency_ns : LATENCY_MAX_NS;
}

// By how many percent of slow_ns is fast_ns less; 0 < slow_ns, fast_ns <= slow_ns.
static int64_t
percent_faster(int64_t fast_ns, int64_t slow_ns)
{
	return 100 - fast_ns * 100 / slow_ns;
}

static bool
has_more_points(const struct path *a, const struct path *b)
{
	int64_t a_ns = bounded(a->latency_ns), b_ns = bounded(b->latency_ns);
	int64_t a_points = 0, b_points = 0;

	if (a_ns > b_ns)
		b_points = percent_faster(b_ns, a_ns);
	else if (b_ns > 0)
		a_points = percent_faster(a_ns, b_ns);
	a_points += points_of_addr(&a->endpoint.addr);
	b_points += points_of_addr(&b->endpoint.addr);
	// One percent is noise: two equal paths would be exchanged for ever.
	if (a_points <= 1 && b_points == 0)
		return false;
	return a_points > b_points;
}

bool
path_is_better(const struct path *a, const struct path *b)
{
	if (path_is_same_way(a, b))
		return a->wire_mtu > b->wire_mtu;
	if (!path_exists(b))
		return true;
	if (!path_exists(a))
		return false;
	if (a->relayed != b->relayed)
		return b->relayed;
	return has_more_points(a, b);
}

bool
path_is_trusted(struct mono trusted_until, struct mono now)
{
	return !mono_is_never(trusted_until) && mono_diff_ns(trusted_until, now) >= 0;
}

static bool
is_of_same_relay(const struct path *a, const struct path *b)
{
	return a->relayed && b->relayed &&
	       memcmp(&a->server_disco, &b->server_disco, sizeof(a->server_disco)) == 0;
}

bool
path_replaces(const struct path *candidate,
	const struct path *best,
	struct mono trusted_until,
	struct mono now)
{
	if (!path_exists(candidate))
		return false;
	return !path_is_trusted(trusted_until, now) || is_of_same_relay(candidate, best) ||
	       path_is_better(candidate, best);
}

bool
path_needs_relay(const struct path *best, struct mono trusted_until, struct mono now)
{
	return !path_exists(best) || !path_is_trusted(trusted_until, now);
}

// "Never" is longer ago than anything.
static bool
is_due(struct mono last, int64_t interval_ns, struct mono now)
{
	return mono_is_never(last) || mono_diff_ns(now, last) >= interval_ns;
}

bool
path_wants_ping_all(const struct path *best,
	struct mono trusted_until,
	struct mono last_ping_all,
	struct mono now)
{
	if (!path_is_direct(best) || mono_is_never(last_ping_all) ||
		!path_is_trusted(trusted_until, now))
		return true;
	if (best->latency_ns <= PATH_GOOD_ENOUGH_NS)
		return false;
	return is_due(last_ping_all, PATH_UPGRADE_INTERVAL_NS, now);
}

bool
path_wants_relay_discovery(const struct path *best,
	struct mono trusted_until,
	bool relays_known,
	bool peer_can,
	struct mono last_discovery,
	struct mono now)
{
	bool trusted = path_is_trusted(trusted_until, now);

	if (!relays_known || !peer_can || (path_is_direct(best) && trusted))
		return false;
	return is_due(
		last_discovery, trusted ? PATH_UPGRADE_INTERVAL_NS : PATH_RELAY_INTERVAL_NS, now);
}

static uint32_t
headers_len(const struct path *path)
{
	uint32_t ip = path->endpoint.addr.family == ADDR_V6 ? IPV6_LEN : IPV4_LEN;

	return ip + UDP_LEN + (path->relayed ? GENEVE_LEN : 0);
}

uint32_t
path_wire_len(const struct path *path, uint32_t payload_len)
{
	return payload_len + headers_len(path);
}

uint32_t
path_payload_len(const struct path *path, uint32_t wire_mtu)
{
	uint32_t headers = headers_len(path);

	return wire_mtu > headers ? wire_mtu - headers : 0;
}
