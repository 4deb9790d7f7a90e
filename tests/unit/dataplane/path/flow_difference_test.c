/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway that remembers flows does what one does that judges every packet anew: random packets
 * of few addresses and ports, some of them broken, in bursts of any length, while filter, routes,
 * neighbours, peers, sessions and translation change.
 *
 *     FLOW_SEED=N    only the N-th run
 *     FLOW_BURSTS=N  so many bursts instead
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/path/twins.h"

#define N_RUNS   8u
#define N_BURSTS 1100u

#define LOCAL "192.168.0.0/16 fd77::/16 fd78::/16 fd87::/16"
// Some of what the packets below try.
#define RULES_FEW                                                                  \
	"[{\"SrcIPs\":[\"100.64.0.2\",\"fd7a::2\"],\"DstPorts\":[{\"IP\":\"*\","   \
	"\"Ports\":{\"First\":53,\"Last\":61001}}]},"                              \
	"{\"SrcIPs\":[\"10.3.0.0/16\"],\"DstPorts\":[{\"IP\":\"192.168.77.0/24\"," \
	"\"Ports\":{\"First\":0,\"Last\":65535}}]}]"
#define RULES_ALL                                                                        \
	"[{\"SrcIPs\":[\"*\"],\"IPProto\":[0,1,6,17,58,99],\"DstPorts\":[{\"IP\":\"*\"," \
	"\"Ports\":{\"First\":0,\"Last\":65535}}]}]"

static struct twins t;
static uint64_t random_state;
static uint32_t n_packets;
static bool has_odd; // fragments, options and extension headers are in this burst

static uint32_t
any(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 11) % below);
}

static bool
once_in(uint32_t n)
{
	return any(n) == 0;
}

/* ---- packets ---- */

// Ends of flows; the first of each family and side are the usual ones.
static const struct {
	uint32_t peer;
	const char *addr;
} inside[2][5] = {
	{ { 0, "100.64.0.2" }, { 1, "10.3.0.1" }, { 1, "10.3.0.2" }, { 2, "100.64.0.4" },
		{ 0, "10.3.0.1" } },
	{ { 0, "fd7a::2" }, { 1, "fd03::1" }, { 1, "fd03::2" }, { 2, "fd7a::4" },
		{ 2, "fd7a::2" } },
};
static const struct {
	unsigned link;
	const char *addr;
} outside[2][8] = {
	{ { 0, "192.168.77.5" }, { 0, "192.168.77.6" }, { 0, "192.168.78.9" },
		{ 0, "192.168.79.9" }, { 1, "192.168.87.5" }, { 1, "192.168.87.6" },
		{ 0, "192.168.77.77" }, { 1, "192.168.77.5" } },
	{ { 0, "fd77::5" }, { 0, "fd77::6" }, { 0, "fd78::9" }, { 0, "fd78::a" }, { 1, "fd87::5" },
		{ 1, "fd87::6" }, { 0, "fd77::77" }, { 1, "fd77::5" } },
};
static const char *const own[2][2] = { { "192.168.77.1", "192.168.87.1" },
	{ "fd77::1", "fd87::1" } };
/*
 * A LAN asks for other ports than peers ask from.  What it sends past a translation to the inside
 * endpoint itself uses up a row per packet, and sooner where each packet is judged (lib/nat).
 */
static const uint16_t inside_ports[2][4] = { { 22, 5000, 5001, 5002 }, { 61001, 61002, 4000, 0 } };
static const uint16_t outside_ports[4] = { 53, 443, 4000, 61001 };

// Outside endpoints of translated flows as they left last.
#define N_SEEN 16u
static struct seen {
	uint8_t family, protocol, place;
	uint8_t src[16], dst[16];
	uint8_t ports[4];
} seen[N_SEEN];
static uint32_t n_seen;

struct plan {
	bool is_from_peer, is_v6;
	uint32_t peer;
	unsigned link;
	uint8_t protocol;
	uint8_t src[16], dst[16];
	uint8_t ports[4];
	uint32_t len;
};

static uint32_t
skewed(uint32_t below)
{
	return any(1 + any(below));
}

static void
write_addr(uint8_t ret[16], const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		abort();
	memcpy(ret, a.bytes, 16);
}

static void
plan_answer(struct plan *p)
{
	const struct seen *s = &seen[any(n_seen < N_SEEN ? n_seen : N_SEEN)];

	p->is_from_peer = false;
	p->is_v6 = s->family == ADDR_V6;
	p->link = once_in(20) ? any(TWINS_LINKS) : s->place;
	p->protocol = s->protocol;
	memcpy(p->src, s->dst, 16);
	memcpy(p->dst, s->src, 16);
	memcpy(p->ports, s->ports + 2, 2);
	memcpy(p->ports + 2, s->ports, 2);
}

static void
plan_flow(struct plan *p)
{
	uint32_t in = skewed(5), out = skewed(8);

	if (n_seen > 0 && any(3) == 0) {
		plan_answer(p);
		return;
	}
	p->is_from_peer = any(2) == 0;
	p->is_v6 = once_in(3);
	p->peer = inside[p->is_v6][in].peer;
	p->link = outside[p->is_v6][out].link;
	p->protocol = once_in(20)  ? (once_in(2) ? (p->is_v6 ? 58 : 1) : (uint8_t)any(256))
	              : once_in(2) ? IP_PROTOCOL_TCP
	                           : IP_PROTOCOL_UDP;
	write_addr(p->is_from_peer ? p->src : p->dst, inside[p->is_v6][in].addr);
	write_addr(p->is_from_peer ? p->dst : p->src, outside[p->is_v6][out].addr);
	store_be16(p->ports + (p->is_from_peer ? 0 : 2), inside_ports[p->is_from_peer][skewed(4)]);
	store_be16(p->ports + (p->is_from_peer ? 2 : 0), outside_ports[skewed(4)]);
	if (once_in(30))
		write_addr(p->dst, own[p->is_v6][any(2)]);
}

static uint64_t
flow_of(const struct plan *p)
{
	struct plan flow = *p;
	const uint8_t *bytes = (const uint8_t *)&flow;
	uint64_t h = 1;

	flow.len = 0;
	for (size_t i = 0; i < sizeof(flow); i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void
write_l4(const struct plan *p, uint8_t *l4, uint32_t len, uint32_t *ret_payload_at)
{
	static const uint8_t flags[8] = { 0x02, 0x12, 0x11, 0x04, 0x14, 0x00, 0xff, 0x01 };

	for (uint32_t i = 0; i < len; i++)
		l4[i] = (uint8_t)(i * 5 + n_packets);
	*ret_payload_at = UINT32_MAX;
	if (p->protocol == IP_PROTOCOL_TCP && len >= TCP_HEADER_LEN) {
		memset(l4, 0, TCP_HEADER_LEN);
		l4[12] = 0x50;
		l4[13] = once_in(40) ? flags[any(8)] : once_in(2) ? 0x10 : 0x18;
		if (l4[13] == 0x02 && len >= 24 && once_in(2)) {
			memcpy(l4 + 20, (const uint8_t[4]){ 2, 4, 5, 0xb4 }, 4);
			l4[12] = 0x60;
		} else {
			*ret_payload_at = TCP_HEADER_LEN;
		}
		memcpy(l4, p->ports, 4);
	} else if (p->protocol == IP_PROTOCOL_UDP && len >= UDP_HEADER_LEN) {
		memset(l4, 0, UDP_HEADER_LEN);
		store_be16(l4 + 4, (uint16_t)len);
		memcpy(l4, p->ports, 4);
		*ret_payload_at = UDP_HEADER_LEN;
	} else if ((p->protocol == 1 || p->protocol == 58) && len >= 8) {
		l4[0] = p->is_v6 ? (uint8_t)(128 + any(2)) : (uint8_t)(8 * any(2));
		l4[1] = l4[2] = l4[3] = 0;
	}
}

static uint32_t
write_ip(const struct plan *p, uint8_t *buf)
{
	uint8_t ttl = once_in(60) ? (uint8_t)any(4) : 64, ecn = once_in(2) ? 0 : (uint8_t)any(4);

	memset(buf, 0, IPV6_HEADER_LEN + 16);
	if (p->is_v6) {
		buf[0] = 0x60;
		buf[1] = (uint8_t)(ecn << 4);
		store_be16(buf + 4, (uint16_t)(p->len - IPV6_HEADER_LEN));
		buf[6] = p->protocol;
		buf[7] = ttl;
		memcpy(buf + 8, p->src, 16);
		memcpy(buf + 24, p->dst, 16);
		return IPV6_HEADER_LEN;
	}
	buf[0] = 0x45;
	buf[1] = ecn;
	store_be16(buf + 2, (uint16_t)p->len);
	store_be16(buf + 4, (uint16_t)any(16));
	buf[6] = once_in(2) ? 0x40 : 0;
	buf[8] = ttl;
	buf[9] = p->protocol;
	memcpy(buf + 12, p->src, 4);
	memcpy(buf + 16, p->dst, 4);
	if (has_odd && once_in(10)) {
		buf[0] = 0x46; // one word of options, no operations
		memset(buf + 20, 1, 4);
		return 24;
	}
	if (has_odd && once_in(10))
		store_be16(buf + 6, (uint16_t)(once_in(2) ? IPV4_MORE_FRAGMENTS : 1 + any(200)));
	return 20;
}

static uint32_t
any_len(bool is_v6)
{
	uint32_t least = (is_v6 ? 40 : 20) + 20 + TWINS_MARK_LEN;

	if (once_in(100))
		return (is_v6 ? 40 : 20) + any(40);
	if (once_in(10))
		return 900 + any(560);
	return least + any(80);
}

// An extension header of eight bytes behind the first header.
static void
insert_extension(uint8_t *buf, uint32_t *len)
{
	static const uint8_t kinds[6] = { IP_PROTOCOL_HOPOPT, IP_PROTOCOL_IPV6_ROUTE,
		IP_PROTOCOL_IPV6_OPTS, IP_PROTOCOL_IPV6_FRAG, IP_PROTOCOL_IPV6_FRAG,
		IP_PROTOCOL_AH };
	uint8_t kind = kinds[any(6)];

	memmove(buf + 48, buf + 40, *len - 40);
	memset(buf + 40, 0, 8);
	buf[40] = buf[6];
	buf[6] = kind;
	if (kind == IP_PROTOCOL_IPV6_FRAG)
		store_be16(buf + 42, (uint16_t)(any(3) * 8 + any(2)));
	*len += 8;
	store_be16(buf + 4, (uint16_t)(*len - 40));
}

static void
push_one(struct plan *p)
{
	uint8_t buf[TWINS_MAX_LEN];
	uint32_t payload_at, l4, len;
	bool is_broken = once_in(50);
	struct ip_view v;

	p->len = any_len(p->is_v6);
	l4 = write_ip(p, buf);
	if (l4 > p->len)
		return;
	write_l4(p, buf + l4, p->len - l4, &payload_at);
	if (payload_at != UINT32_MAX && p->len >= l4 + payload_at + TWINS_MARK_LEN)
		twins_mark(
			buf + l4 + payload_at, flow_of(p) + (is_broken ? n_packets : 0), n_packets);
	len = p->len;
	if (!p->is_v6)
		checksum_fill_ipv4(buf, l4);
	if (ip_parse(buf, len, &v) && !ip_is_fragment(&v) && !once_in(50))
		(void)checksum_fill_packet(buf, &v);
	if (p->protocol == IP_PROTOCOL_UDP && len >= l4 + 8 && once_in(6))
		store_be16(buf + l4 + 6, once_in(2) ? 0 : 0xffff);
	if (p->is_v6 && has_odd && once_in(10))
		insert_extension(buf, &len);
	if (is_broken) // perhaps of another flow
		buf[any(l4 + 24 < len ? l4 + 24 : len)] ^= (uint8_t)(1u << any(8));
	if (!p->is_v6 && once_in(2))
		checksum_fill_ipv4(buf, 20);
	n_packets++;
	if (p->is_from_peer)
		twins_from_peer(&t, p->peer, buf, len, once_in(3) ? (uint8_t)any(4) : 0);
	else
		twins_from_link(&t, p->link, buf, len);
}

// What left by a link has an answer.
static void
remember(void)
{
	for (uint32_t i = 0; i < t.n_out[UNCACHED]; i++) {
		const struct twins_out *o = &t.out[UNCACHED][i];
		struct seen *s = &seen[n_seen % N_SEEN];
		struct ip_view v;

		if (o->place >= TWINS_LINKS || !ip_parse(o->data, o->len, &v) ||
			(v.protocol != IP_PROTOCOL_TCP && v.protocol != IP_PROTOCOL_UDP) ||
			v.total_len < v.header_len + 8u || !once_in(8))
			continue;
		memset(s, 0, sizeof(*s));
		s->family = v.family;
		s->protocol = v.protocol;
		s->place = o->place;
		memcpy(s->src, v.src, v.family == ADDR_V4 ? 4 : 16);
		memcpy(s->dst, v.dst, v.family == ADDR_V4 ? 4 : 16);
		memcpy(s->ports, o->data + v.header_len, 4);
		n_seen++;
	}
}

// Of flows under way, some of which give way to others.
#define N_PLANS 12u
static struct plan plans[N_PLANS];

static void
plan_all(void)
{
	memset(plans, 0, sizeof(plans));
	for (uint32_t i = 0; i < N_PLANS; i++)
		plan_flow(&plans[i]);
}

static void
push_burst(uint32_t n)
{
	uint32_t first = any(N_PLANS), n_plans = 1 + any(6);

	if (once_in(3)) {
		memset(&plans[first], 0, sizeof(plans[first]));
		plan_flow(&plans[first]);
	}
	has_odd = once_in(6);
	for (uint32_t i = 0; i < n; i++)
		push_one(&plans[(first + any(n_plans)) % N_PLANS]);
}

/* ---- what changes in between ---- */

static void
change_neighbour(void)
{
	static const char *const hosts[6] = { "192.168.77.5", "192.168.77.6", "192.168.77.254",
		"fd77::5", "fd77::fe", "192.168.87.5" };
	uint32_t i = any(6);

	twins_neighbour(&t, i == 5, hosts[i], (uint8_t)any(256),
		once_in(3) ? (enum shm_neighbour_state)any(4) : SHM_NEIGHBOUR_REACHABLE);
}

static void
change_route(void)
{
	switch (any(5)) {
	case 0:
		twins_route(&t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 1, "192.168.87.254",
			"192.168.87.1");
		break;
	case 1:
		twins_route(&t, "192.168.78.0/24", SHM_ROUTE_REFUSE, 9, NULL, NULL);
		break;
	case 2:
		twins_route(&t, "192.168.77.0/24", SHM_ROUTE_CONNECTED, 0, NULL,
			once_in(2) ? "192.168.77.1" : "192.168.87.1");
		break;
	case 3:
		twins_route(&t, "fd78::/64", SHM_ROUTE_GATEWAY, once_in(2),
			once_in(2) ? "fd77::fe" : "fd77::5", "fd77::1");
		break;
	default:
		twins_route(&t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 0, "192.168.77.254",
			"192.168.77.1");
		break;
	}
	twins_say(&t);
}

static void
change_net(void)
{
	switch (any(4)) {
	case 0:
	case 1:
		t.net->nat = any(4);
		n_seen = 0; // answers to what was not translated
		plan_all();
		break;
	case 2:
		t.net->ports[any(2)].flags =
			(once_in(3) ? 0 : SHM_PORT_UP) | (once_in(2) ? SHM_PORT_FILL_CHECKSUM : 0);
		break;
	default:
		t.net->ports[any(2)].mtu = once_in(2) ? 1500 : 1000;
		break;
	}
	twins_say(&t);
}

static void
change_filter(void)
{
	switch (any(6)) {
	case 0:
		twins_filter(&t, SHM_FILTER_ENFORCED, RULES_FEW, LOCAL);
		break;
	case 1:
	case 2:
		twins_filter(&t, SHM_FILTER_ENFORCED, RULES_ALL, LOCAL);
		break;
	case 3:
		twins_filter(&t, SHM_FILTER_SHIELDS_UP, RULES_FEW, LOCAL);
		break;
	case 4:
		if (once_in(4)) {
			twins_filter(&t, SHM_FILTER_ENFORCED, NULL, NULL);
			break;
		}
		[[fallthrough]];
	default:
		twins_filter(&t, SHM_FILTER_NONE, NULL, NULL);
		break;
	}
}

// Peer 1 and what it owns.
static void
change_peers(void)
{
	static bool is_moved, is_gone;

	if (is_gone) {
		twins_peer_back(&t, 1);
		is_gone = false;
	} else if (is_moved) {
		twins_prefix_gone(&t, "10.3.0.1/32");
		is_moved = false;
	} else if (once_in(2)) {
		twins_prefix(&t, "10.3.0.1/32", 0);
		is_moved = true;
	} else {
		twins_peer_gone(&t, 1);
		is_gone = true;
	}
}

static void
change_time(void)
{
	if (once_in(20))
		twins_advance(&t, 8000 * NS_PER_S); // every flow is over
	else if (once_in(2))
		twins_advance(&t, 5 * NS_PER_S); // a lease is
	else
		twins_advance(&t, 10 * NS_PER_MS + any(1000) * NS_PER_MS);
}

// One burst waits for a session.
static void
change_session(void)
{
	uint32_t peer = any(TWINS_PEERS);

	if (once_in(2)) {
		twins_session_gone(&t, peer);
		push_burst(1 + any(40));
		twins_run(&t);
	}
	twins_rekey(&t, peer);
	twins_run(&t);
}

static void
change(void)
{
	switch (any(8)) {
	case 0:
	case 1:
		change_neighbour();
		break;
	case 2:
		change_route();
		break;
	case 3:
		change_net();
		break;
	case 4:
		change_filter();
		break;
	case 5:
		change_peers();
		break;
	case 6:
		change_session();
		break;
	default:
		if (once_in(4))
			twins_mtu(&t, once_in(2) ? 1280 : 1000);
		else
			change_time();
		break;
	}
}

static void
run(uint32_t seed, uint32_t n_bursts)
{
	uint32_t first = n_packets, i;
	uint64_t n_known;
	bool same = true;

	random_state = UINT64_C(0x9e3779b97f4a7c15) * (seed + 1);
	n_seen = 0;
	plan_all();
	twins_create(&t);
	t.net->nat = seed % 2 == 0 ? SHM_NAT_V4 | SHM_NAT_V6 : 0;
	twins_say(&t);
	for (i = 0; same && i < n_bursts; i++) {
		if (once_in(25))
			change();
		for (uint32_t n = 1 + any(3); n > 0; n--)
			push_burst(1 + any(64));
		twins_run(&t);
		remember();
		same = twins_agree(&t);
		twins_advance(&t, NS_PER_MS);
	}
	n_known = twins_known(&t);
	tap_ok(same, "seed %u: %u packets in %u rounds: the same ones leave, in the same order",
		seed, n_packets - first, i);
	printf("# %llu took the short way\n", (unsigned long long)n_known);
	tap_ok(!same || n_known > (n_packets - first) / 10, "seed %u: many take the short way",
		seed);
	twins_destroy(&t);
}

int
main(void)
{
	const char *seed = getenv("FLOW_SEED"), *bursts = getenv("FLOW_BURSTS");
	uint32_t n_bursts = bursts != NULL ? (uint32_t)strtoul(bursts, NULL, 10) : N_BURSTS;

	if (seed != NULL)
		run((uint32_t)strtoul(seed, NULL, 10), n_bursts);
	for (uint32_t i = 0; seed == NULL && i < N_RUNS; i++)
		run(i, n_bursts);
	return tap_done();
}
