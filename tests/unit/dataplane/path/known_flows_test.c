/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The short way of known flows, in rows: who takes it, who does not, what ends it at once, that
 * nobody is overtaken on it, and that nothing that times out is held up or kept alive by it.  What
 * leaves is judged by a gateway without it, byte for byte.
 */

#include <stdlib.h>
#include <string.h>

#include "dataplane/table/flow_cache.h"
#include "dataplane/table/nat_worker.h"
#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"
#include "tests/unit/dataplane/path/twins.h"

#define LOCAL "192.168.0.0/16 fd77::/16 fd78::/16 fd87::/16"
#define RULES(source4, source6)                                                   \
	"[{\"SrcIPs\":[\"" source4 "\",\"" source6 "\"],\"IPProto\":[1,6,17,58]," \
	"\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]"
#define ALLOWS RULES("100.64.0.2", "fd7a::2")
#define DENIES RULES("100.64.0.99", "fd7a::99")

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static struct twins t;
static uint32_t number; // of the last packet made

struct flow {
	bool is_from_peer;
	uint32_t peer; // from the tunnel
	unsigned link; // to it
	uint8_t protocol;
	const char *src, *dst;
	uint16_t src_port, dst_port;
};

struct packet {
	uint32_t len, l4;
	uint8_t data[TWINS_MAX_LEN];
};

/* ---- packets ---- */

static uint8_t *
payload_of(struct packet *p, const struct flow *f)
{
	return p->data + p->l4 + (f->protocol == IP_PROTOCOL_TCP ? TCP_HEADER_LEN : UDP_HEADER_LEN);
}

static void
fill_checksums(struct packet *p)
{
	struct ip_view v;

	if (p->data[0] >> 4 == 4)
		checksum_fill_ipv4(p->data, (p->data[0] & 15) * 4u);
	if (ip_parse(p->data, p->len, &v))
		(void)checksum_fill_packet(p->data, &v);
}

static void
write_header(struct packet *p, const struct flow *f, uint8_t ttl)
{
	struct addr src, dst;

	if (addr_parse(f->src, &src) < 0 || addr_parse(f->dst, &dst) < 0)
		abort();
	if (src.family == ADDR_V6) {
		p->l4 = 40;
		p->data[0] = 0x60;
		store_be16(p->data + 4, (uint16_t)(p->len - 40));
		p->data[6] = f->protocol;
		p->data[7] = ttl;
		memcpy(p->data + 8, src.bytes, 16);
		memcpy(p->data + 24, dst.bytes, 16);
		return;
	}
	p->l4 = 20;
	p->data[0] = 0x45;
	store_be16(p->data + 2, (uint16_t)p->len);
	store_be16(p->data + 4, (uint16_t)number);
	p->data[8] = ttl;
	p->data[9] = f->protocol;
	memcpy(p->data + 12, src.bytes, 4);
	memcpy(p->data + 16, dst.bytes, 4);
}

static void
make(struct packet *p, const struct flow *f, uint32_t len, uint8_t ttl)
{
	memset(p, 0, sizeof(*p));
	p->len = len;
	number++;
	write_header(p, f, ttl);
	for (uint32_t i = p->l4; i < len; i++)
		p->data[i] = (uint8_t)(i + number);
	memset(p->data + p->l4, 0, 20);
	store_be16(p->data + p->l4, f->src_port);
	store_be16(p->data + p->l4 + 2, f->dst_port);
	if (f->protocol == IP_PROTOCOL_TCP) {
		p->data[p->l4 + 12] = 0x50;
		p->data[p->l4 + 13] = ACK;
	} else {
		store_be16(p->data + p->l4 + 4, (uint16_t)(len - p->l4));
	}
	twins_mark(payload_of(p, f), (uintptr_t)f, number);
	fill_checksums(p);
}

static void
push(const struct packet *p, const struct flow *f, uint8_t outer_ecn)
{
	if (f->is_from_peer)
		twins_from_peer(&t, f->peer, p->data, p->len, outer_ecn);
	else
		twins_from_link(&t, f->link, p->data, p->len);
}

static void
push_plain(const struct flow *f)
{
	struct packet p;

	make(&p, f, 200, 64);
	push(&p, f, 0);
}

// How many left, and how many of them the short way; and the other gateway did the same.
static bool
come_out(uint32_t n_out, uint64_t n_known)
{
	uint64_t known;
	uint32_t out;

	twins_run(&t);
	known = twins_known(&t);
	out = t.n_out[CACHED];
	if (known != n_known || out != n_out)
		tap_int((long long)known * 1000 + out, (long long)n_known * 1000 + n_out,
			"1000 * known + out");
	return twins_agree(&t) && known == n_known && out == n_out;
}

// From here on its packets take the short way.
static bool
is_learnt(const struct flow *f)
{
	push_plain(f);
	twins_run(&t);
	(void)twins_known(&t);
	if (!twins_agree(&t))
		return false;
	push_plain(f);
	return come_out(1, 1);
}

// There are so many a second, and no time passes.
static void
allow_errors(void)
{
	for (unsigned i = 0; i < 2; i++)
		t.both[i]->workers[0]->w.icmp_limit.empty_until_ns = 0;
}

/* ---- every kind of flow ---- */

static const struct flow flows[] = {
	{ true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2", "192.168.77.5", 61001, 53 },
	{ true, 0, 0, IP_PROTOCOL_TCP, "100.64.0.2", "192.168.77.5", 61002, 443 },
	{ true, 0, 0, IP_PROTOCOL_UDP, "fd7a::2", "fd77::5", 61001, 53 },
	{ true, 0, 0, IP_PROTOCOL_TCP, "fd7a::2", "fd77::5", 61002, 443 },
	{ true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2", "192.168.78.9", 4000, 53 },
	{ true, 0, 0, IP_PROTOCOL_TCP, "fd7a::2", "fd87::6", 4001, 443 },
	{ false, 0, 0, IP_PROTOCOL_UDP, "192.168.77.6", "100.64.0.2", 53, 5000 },
	{ false, 0, 0, IP_PROTOCOL_TCP, "192.168.77.6", "100.64.0.2", 443, 5001 },
	{ false, 0, 0, IP_PROTOCOL_UDP, "fd77::6", "fd7a::2", 53, 5000 },
	{ false, 0, 1, IP_PROTOCOL_TCP, "fd87::5", "fd03::1", 443, 5001 },
};
#define N_FLOWS (sizeof(flows) / sizeof(flows[0]))

// Answers to the first four where they are translated; without translation there is no use in them.
static const struct flow answers[] = {
	{ false, 0, 0, IP_PROTOCOL_UDP, "192.168.77.5", "192.168.77.1", 53, 61001 },
	{ false, 0, 0, IP_PROTOCOL_TCP, "192.168.77.5", "192.168.77.1", 443, 61002 },
	{ false, 0, 0, IP_PROTOCOL_UDP, "fd77::5", "fd77::1", 53, 61001 },
	{ false, 0, 0, IP_PROTOCOL_TCP, "fd77::5", "fd77::1", 443, 61002 },
};
#define N_ANSWERS (sizeof(answers) / sizeof(answers[0]))

static char name[128];
static const char *
name_of(const struct flow *f, const char *mode)
{
	strcpy(name, mode);
	strcat(name, f->protocol == IP_PROTOCOL_TCP ? ", TCP from " : ", UDP from ");
	strcat(strcat(strcat(name, f->src), " to "), f->dst);
	return name;
}

// Fit for the short way.
static const struct {
	const char *what;
	uint8_t protocol; // 0: any
	bool only_v4, only_from_peer;
	uint8_t flags, ttl, inner_ecn, outer_ecn;
	bool no_checksum, full_checksum, no_payload, is_longest, mss;
} fit[] = {
	{ .what = "as all are" },
	{ .what = "no checksum", .protocol = IP_PROTOCOL_UDP, .no_checksum = true },
	{ .what = "a checksum of ones", .protocol = IP_PROTOCOL_UDP, .full_checksum = true },
	{ .what = "nothing in it", .no_payload = true },
	{ .what = "as long as may be", .is_longest = true },
	{ .what = "PSH and URG", .protocol = IP_PROTOCOL_TCP, .flags = ACK | 0x28 },
	{ .what = "ECE and CWR", .protocol = IP_PROTOCOL_TCP, .flags = ACK | 0xc0 },
	{ .what = "an MSS without SYN", .protocol = IP_PROTOCOL_TCP, .mss = true },
	{ .what = "a TTL of 2", .ttl = 2 },
	{ .what = "a TTL of 255", .ttl = 255 },
	{ .what = "congestion inside", .inner_ecn = 3 },
	{ .what = "congestion outside, ECT inside",
		.only_from_peer = true,
		.inner_ecn = 2,
		.outer_ecn = 3 },
	{ .what = "ECT(1) outside, ECT(0) inside",
		.only_from_peer = true,
		.inner_ecn = 2,
		.outer_ecn = 1 },
	{ .what = "ECT outside, none inside", .only_from_peer = true, .outer_ecn = 2 },
};

static void
set_ecn(struct packet *p, uint8_t ecn)
{
	if (p->l4 == 40)
		p->data[1] = (uint8_t)((p->data[1] & 0xcf) | ecn << 4);
	else
		p->data[1] = ecn;
}

static void
push_fit(const struct flow *f, size_t i)
{
	struct packet p;
	uint32_t header = f->protocol == IP_PROTOCOL_TCP ? 20 : 8, len = 300;
	bool is_v6 = strchr(f->src, ':') != NULL;

	if (fit[i].no_payload)
		len = (is_v6 ? 40 : 20) + header;
	if (fit[i].is_longest)
		len = f->is_from_peer ? 1500 : TWINS_MTU;
	make(&p, f, len, fit[i].ttl != 0 ? fit[i].ttl : 64);
	set_ecn(&p, fit[i].inner_ecn);
	if (fit[i].flags != 0)
		p.data[p.l4 + 13] = fit[i].flags;
	if (fit[i].mss) {
		p.data[p.l4 + 12] = 0x60;
		memcpy(p.data + p.l4 + 20, (const uint8_t[4]){ 2, 4, 5, 0xb4 }, 4);
	}
	fill_checksums(&p);
	if (fit[i].no_checksum)
		store_be16(p.data + p.l4 + 6, 0);
	if (fit[i].full_checksum)
		store_be16(p.data + p.l4 + 6, 0xffff);
	push(&p, f, fit[i].outer_ecn);
}

static void
check_fit(const struct flow *f, const char *mode)
{
	for (size_t i = 0; i < sizeof(fit) / sizeof(fit[0]); i++) {
		bool is_sum_kept = true;

		if ((fit[i].protocol != 0 && fit[i].protocol != f->protocol) ||
			(fit[i].only_from_peer && !f->is_from_peer))
			continue;
		push_fit(f, i);
		twins_run(&t);
		if (fit[i].no_checksum && t.n_out[CACHED] == 1) {
			const struct twins_out *o = &t.out[CACHED][0];

			is_sum_kept = load_be16(o->data + (o->data[0] >> 4 == 6 ? 46 : 26)) == 0;
		}
		tap_ok(come_out(1, 1) && is_sum_kept, "%s: %s", name_of(f, mode), fit[i].what);
	}
}

/* ---- who takes the long way ---- */

enum oddity {
	OF_FLAGS,
	OF_TTL,
	OF_LENGTH,
	OF_LENGTH_DF,
	OF_FIRST_FRAGMENT,
	OF_OPTIONS,
	OF_EXTENSION,
	OF_ECN,
};

static const struct {
	const char *what;
	enum oddity oddity;
	uint8_t value;
	uint8_t family;   // 0: both
	uint8_t protocol; // 0: any
	bool only_from_peer;
	bool ends_all; // of its burst, not only of its flow
} odd[] = {
	{ "SYN", OF_FLAGS, SYN, 0, IP_PROTOCOL_TCP, false, false },
	{ "SYN and ACK", OF_FLAGS, SYN | ACK, 0, IP_PROTOCOL_TCP, false, false },
	{ "FIN", OF_FLAGS, FIN | ACK, 0, IP_PROTOCOL_TCP, false, false },
	{ "RST", OF_FLAGS, RST, 0, IP_PROTOCOL_TCP, false, false },
	{ "a TTL of 1", OF_TTL, 1, 0, 0, false, false },
	{ "a TTL of 0", OF_TTL, 0, 0, 0, false, false },
	{ "too long", OF_LENGTH, 0, 0, 0, false, false },
	{ "too long, not to be cut", OF_LENGTH_DF, 0, ADDR_V4, 0, false, false },
	{ "a first fragment", OF_FIRST_FRAGMENT, 0, ADDR_V4, 0, false, true },
	{ "options", OF_OPTIONS, 0, ADDR_V4, 0, false, true },
	{ "hop-by-hop options", OF_EXTENSION, IP_PROTOCOL_HOPOPT, ADDR_V6, 0, false, true },
	{ "destination options", OF_EXTENSION, IP_PROTOCOL_IPV6_OPTS, ADDR_V6, 0, false, true },
	{ "a routing header", OF_EXTENSION, IP_PROTOCOL_IPV6_ROUTE, ADDR_V6, 0, false, true },
	{ "a fragment header", OF_EXTENSION, IP_PROTOCOL_IPV6_FRAG, ADDR_V6, 0, false, true },
	{ "congestion outside, no ECT inside", OF_ECN, 3, 0, 0, true, false },
};

static void
make_odd(struct packet *p, const struct flow *f, size_t i, uint32_t too_long)
{
	bool is_long = odd[i].oddity == OF_LENGTH || odd[i].oddity == OF_LENGTH_DF;

	make(p, f, is_long ? too_long : 200, odd[i].oddity == OF_TTL ? odd[i].value : 64);
	switch (odd[i].oddity) {
	case OF_FLAGS:
		p->data[p->l4 + 13] = odd[i].value;
		break;
	case OF_LENGTH_DF:
		p->data[6] = 0x40;
		break;
	case OF_FIRST_FRAGMENT:
		store_be16(p->data + 6, IPV4_MORE_FRAGMENTS);
		checksum_fill_ipv4(p->data, 20);
		return;
	case OF_OPTIONS:
		memmove(p->data + 24, p->data + 20, p->len - 20);
		memset(p->data + 20, 1, 4);
		p->data[0] = 0x46;
		p->len += 4;
		store_be16(p->data + 2, (uint16_t)p->len);
		checksum_fill_ipv4(p->data, 24);
		return;
	case OF_EXTENSION:
		memmove(p->data + 48, p->data + 40, p->len - 40);
		memset(p->data + 40, 0, 8);
		p->data[40] = p->data[6];
		p->data[6] = odd[i].value;
		p->len += 8;
		store_be16(p->data + 4, (uint16_t)(p->len - 40));
		return;
	default:
		break;
	}
	fill_checksums(p);
}

// The flow's before it take the short way, those behind it do not; the next burst does again.
static void
check_odd(const struct flow *f, const struct flow *other, const char *mode)
{
	uint8_t family = strchr(f->src, ':') != NULL ? ADDR_V6 : ADDR_V4;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		bool is_one_burst = f->is_from_peer || f->link == other->link;
		bool is_first, behind, again;
		uint64_t n_known, n_wanted = 2;
		struct packet p;

		if ((odd[i].protocol != 0 && odd[i].protocol != f->protocol) ||
			(odd[i].family != 0 && odd[i].family != family) ||
			(odd[i].only_from_peer && !f->is_from_peer))
			continue;
		is_first = is_learnt(f) && is_learnt(other);
		allow_errors();
		push_plain(f);
		make_odd(&p, f, i, f->is_from_peer ? 1600 : 1400);
		push(&p, f, odd[i].oddity == OF_ECN ? odd[i].value : 0);
		push_plain(f);
		push_plain(other);
		twins_run(&t);
		n_known = twins_known(&t);
		if (odd[i].ends_all)
			n_wanted = is_one_burst ? 0 : 1;
		behind = twins_agree(&t) && n_known == n_wanted;
		push_plain(f);
		again = come_out(1, 1);
		tap_ok(is_first && behind && again,
			"%s: %s goes the long way, with those behind it%s", name_of(f, mode),
			odd[i].what, odd[i].ends_all ? " and all of its burst" : "");
	}
}

static void
check_others(void)
{
	static const uint8_t protocols[] = { IP_PROTOCOL_ICMP, 99, 132, 47, IP_PROTOCOL_AH };
	const struct flow from = { true, 0, 0, 0, "100.64.0.2", "192.168.77.5", 0x0800, 0 };
	const struct flow to = { false, 0, 0, 0, "192.168.77.5", "100.64.0.2", 0x0800, 0 };
	bool fine = true;

	for (size_t i = 0; i < sizeof(protocols); i++)
		for (unsigned k = 0; k < 6; k++) {
			struct flow f = k % 2 == 0 ? from : to;
			struct packet p;

			f.protocol = protocols[i];
			make(&p, &f, 100, 64);
			push(&p, &f, 0);
			twins_run(&t);
			fine &= twins_known(&t) == 0 && twins_agree(&t);
		}
	tap_ok(fine, "ICMP, TSMP and other protocols have no short way");
}

static void
check_cut_headers(void)
{
	bool fine = true;

	for (size_t i = 0; i < 4; i++) {
		uint32_t header = flows[i].protocol == IP_PROTOCOL_TCP ? 20 : 8;
		struct packet p;

		fine &= is_learnt(&flows[i]);
		make(&p, &flows[i], 200, 64);
		p.len = p.l4 + header - 1;
		store_be16(p.data + (p.l4 == 40 ? 4 : 2), (uint16_t)(p.len - p.l4 % 40));
		if (p.l4 == 20)
			checksum_fill_ipv4(p.data, 20);
		push(&p, &flows[i], 0);
		twins_run(&t);
		fine &= twins_known(&t) == 0 && twins_agree(&t);
	}
	tap_ok(fine, "a transport header that is not whole has no short way");
}

static void
test_ways(const char *mode, bool is_translated)
{
	for (size_t i = 0; i < N_FLOWS; i++) {
		const struct flow *f = &flows[i];

		twins_advance(&t, 10 * NS_PER_S);
		tap_ok(is_learnt(f), "%s: the second packet takes the short way", name_of(f, mode));
		check_fit(f, mode);
		check_odd(f, &flows[i ^ 1], mode);
	}
	for (size_t i = 0; is_translated && i < N_ANSWERS; i++) {
		const struct flow *f = &answers[i];

		twins_advance(&t, 10 * NS_PER_S);
		tap_ok(is_learnt(&flows[i]) && is_learnt(f),
			"%s: the second packet takes the short way", name_of(f, mode));
		check_fit(f, mode);
		check_odd(f, &answers[i ^ 1], mode);
	}
	check_others();
	check_cut_headers();
}

/* ---- what ends it at once ---- */

static const struct flow from_tunnel = { true, 1, 0, IP_PROTOCOL_UDP, "10.3.0.1", "192.168.78.9",
	61010, 53 };
static const struct flow to_tunnel = { false, 0, 0, IP_PROTOCOL_UDP, "192.168.77.6", "10.3.0.1", 53,
	5010 };
static const struct flow by_other_link = { true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2",
	"192.168.87.5", 61011, 53 };

// The next packet after a change: how many leave, where, and how.
static bool
next_is(const struct flow *f, uint32_t n_out, uint8_t place, uint8_t mac, uint64_t n_known)
{
	bool is_right;

	allow_errors();
	push_plain(f);
	twins_run(&t);
	is_right = n_out == 0 || (t.out[CACHED][0].place == place &&
					 (place >= TWINS_LINKS || t.out[CACHED][0].mac[5] == mac));
	return come_out(n_out, n_known) && is_right;
}

static void
test_filter_changes(void)
{
	// Nothing was answered, which would let it in by itself.
	const struct flow asked = { true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2", "192.168.77.5",
		61020, 53 };
	const struct flow *in = &asked, *out = &flows[6];
	bool fine;

	twins_advance(&t, 10 * NS_PER_S);
	twins_filter(&t, SHM_FILTER_ENFORCED, ALLOWS, LOCAL);
	fine = is_learnt(in) && is_learnt(&flows[3]) && is_learnt(out);
	twins_filter(&t, SHM_FILTER_ENFORCED, ALLOWS, LOCAL);
	tap_ok(fine && next_is(in, 1, 0, 5, 0) && next_is(out, 1, TWINS_PEER, 0, 0) &&
			next_is(in, 1, 0, 5, 1) && next_is(out, 1, TWINS_PEER, 0, 1),
		"the same rules anew: judged once more, and known again");
	(void)is_learnt(&flows[3]);
	twins_filter(&t, SHM_FILTER_ENFORCED, DENIES, LOCAL);
	tap_ok(next_is(in, 0, 0, 0, 0) && next_is(&flows[3], 1, 0, 5, 0),
		"a filter that lets nobody begin: nothing more of UDP; TCP that stands goes on");
	twins_filter(&t, SHM_FILTER_ENFORCED, ALLOWS, LOCAL);
	fine = is_learnt(in) && is_learnt(out);
	twins_filter(&t, SHM_FILTER_ENFORCED, NULL, NULL);
	tap_ok(fine && next_is(in, 0, 0, 0, 0) && next_is(out, 0, 0, 0, 0),
		"no rules any more: nothing, either way");
	twins_filter(&t, SHM_FILTER_NONE, NULL, NULL);
	tap_ok(next_is(in, 1, 0, 5, 0) && next_is(out, 1, TWINS_PEER, 0, 0), "and back");
}

static void
test_route_changes(void)
{
	twins_advance(&t, 10 * NS_PER_S);
	tap_ok(is_learnt(&from_tunnel) && is_learnt(&to_tunnel), "a flow each way");
	twins_route(&t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 0, "192.168.77.5", "192.168.77.1");
	twins_say(&t);
	tap_ok(next_is(&from_tunnel, 1, 0, 5, 0) && next_is(&from_tunnel, 1, 0, 5, 1),
		"another gateway");
	twins_route(&t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 1, "192.168.87.254", "192.168.87.1");
	twins_say(&t);
	tap_ok(next_is(&from_tunnel, 1, 1, 0x1f, 0) && next_is(&from_tunnel, 1, 1, 0x1f, 1),
		"another port");
	twins_route(&t, "192.168.78.0/24", SHM_ROUTE_REFUSE, 9, NULL, NULL);
	twins_say(&t);
	tap_ok(next_is(&from_tunnel, 1, TWINS_PEER + 1, 0, 0), "refused, and its sender is told");
	twins_route(&t, "192.168.78.0/24", SHM_ROUTE_KERNEL, 9, NULL, NULL);
	twins_say(&t);
	tap_ok(next_is(&from_tunnel, 1, TWINS_HOST, 0, 0), "the kernel's");
	twins_route(&t, "192.168.78.0/24", SHM_ROUTE_GATEWAY, 0, "192.168.77.254", "192.168.77.1");
	twins_say(&t);
	tap_ok(next_is(&from_tunnel, 1, 0, 254, 0), "and back");
	twins_route(&t, "192.168.77.6/32", SHM_ROUTE_LOCAL, 0, NULL, NULL);
	twins_say(&t);
	tap_ok(next_is(&to_tunnel, 0, 0, 0, 0), "a source that is our own address now");
	t.net->n_routes--;
	twins_say(&t);
	tap_ok(is_learnt(&to_tunnel), "and back");
}

static void
test_port_changes(void)
{
	bool fine = is_learnt(&by_other_link) && is_learnt(&from_tunnel);
	struct packet p;

	t.net->ports[1].flags = 0;
	twins_say(&t);
	tap_ok(fine && next_is(&by_other_link, 1, TWINS_PEER, 0, 0),
		"the port is down: its sender is told");
	t.net->ports[1].flags = SHM_PORT_UP;
	t.net->ports[1].mtu = 150;
	twins_say(&t);
	tap_ok(next_is(&by_other_link, 2, 1, 0x15, 0), "a shorter MTU: in pieces");
	t.net->ports[1].mtu = 1500;
	twins_say(&t);
	fine = is_learnt(&by_other_link);
	for (unsigned i = 0; i < 2; i++)
		in_memory_open_links(t.both[i], 1);
	tap_ok(fine && next_is(&by_other_link, 1, TWINS_HOST, 0, 0),
		"the port is closed: the kernel's");
	for (unsigned i = 0; i < 2; i++)
		in_memory_open_links(t.both[i], 2);
	tap_ok(next_is(&by_other_link, 1, 1, 0x15, 0) && next_is(&by_other_link, 1, 1, 0x15, 1),
		"and back");
	fine = is_learnt(&to_tunnel);
	make(&p, &to_tunnel, 1100, 64);
	push(&p, &to_tunnel, 0);
	fine &= come_out(1, 1);
	twins_mtu(&t, 1000);
	push(&p, &to_tunnel, 0);
	tap_ok(fine && come_out(2, 0), "a shorter MTU of the tunnel: in pieces");
	twins_mtu(&t, TWINS_MTU);
}

static bool
is_asked_for(void)
{
	bool found[2] = {};

	for (unsigned i = 0; i < 2; i++) {
		struct shm_event event;

		while (in_memory_event(t.both[i], &event))
			found[i] |= event.kind == SHM_EV_WANT_NEIGHBOUR;
	}
	return found[CACHED] && found[UNCACHED];
}

static void
test_neighbour_changes(void)
{
	static const enum shm_neighbour_state states[3] = { SHM_NEIGHBOUR_NONE, SHM_NEIGHBOUR_ASKED,
		SHM_NEIGHBOUR_FAILED };
	const struct flow *f = &flows[0];
	bool fine = is_learnt(f);

	twins_neighbour(&t, 0, "192.168.77.5", 77, SHM_NEIGHBOUR_REACHABLE);
	tap_ok(fine && next_is(f, 1, 0, 77, 1), "another link-layer address: on the short way too");
	for (size_t i = 0; i < 3; i++) {
		bool told, asked;

		twins_advance(&t, 10 * NS_PER_S);
		(void)is_learnt(f);
		allow_errors();
		twins_neighbour(&t, 0, "192.168.77.5", 5, states[i]);
		push_plain(f);
		push_plain(f);
		twins_run(&t);
		asked = is_asked_for();
		told = states[i] == SHM_NEIGHBOUR_FAILED;
		tap_ok(asked && come_out(told ? 2 : 0, 0),
			"a neighbour in state %d is asked for, its packets do not leave",
			(int)states[i]);
		twins_neighbour(&t, 0, "192.168.77.5", 5, SHM_NEIGHBOUR_REACHABLE);
		tap_ok(next_is(f, 1, 0, 5, 0) && next_is(f, 1, 0, 5, 1), "and back");
	}
}

static void
test_peer_changes(void)
{
	bool fine = is_learnt(&from_tunnel) && is_learnt(&to_tunnel);

	twins_rekey(&t, 1);
	(void)twins_agree(&t);
	tap_ok(fine && next_is(&from_tunnel, 1, 0, 254, 1) &&
			next_is(&to_tunnel, 1, TWINS_PEER + 1, 0, 1),
		"a new session: the short way as before");
	twins_prefix(&t, "10.3.0.1/32", 0);
	tap_ok(next_is(&from_tunnel, 0, 0, 0, 0) && next_is(&to_tunnel, 1, TWINS_PEER, 0, 0) &&
			next_is(&to_tunnel, 1, TWINS_PEER, 0, 1),
		"its address is another peer's: out by that one's tunnel, in by no other");
	twins_prefix_gone(&t, "10.3.0.1/32");
	fine = is_learnt(&from_tunnel) && is_learnt(&to_tunnel);
	twins_peer_gone(&t, 1);
	tap_ok(fine && next_is(&from_tunnel, 0, 0, 0, 0) && next_is(&to_tunnel, 1, 0, 99, 0),
		"the peer is gone: nothing comes in, and the LAN is told");
	twins_peer_back(&t, 1);
	tap_ok(is_learnt(&from_tunnel) && is_learnt(&to_tunnel), "and back");
}

static bool
leaves_from(const struct flow *f, const char *src, uint64_t n_known)
{
	struct addr a;
	bool is_right;

	if (addr_parse(src, &a) < 0)
		abort();
	push_plain(f);
	twins_run(&t);
	is_right = t.n_out[CACHED] == 1 &&
	           memcmp(t.out[CACHED][0].data + (a.family == ADDR_V4 ? 12 : 8), a.bytes,
			   a.family == ADDR_V4 ? 4 : 16) == 0;
	return come_out(1, n_known) && is_right;
}

static void
test_nat_changes(void)
{
	for (unsigned i = 0; i < 4; i += 2) {
		const struct flow *f = &flows[i];
		bool fine = is_learnt(f) && leaves_from(f, f->src, 1);
		uint8_t family = i == 0 ? ADDR_V4 : ADDR_V6;
		const char *prefix = i == 0 ? "192.168.77.0/24" : "fd77::/64";
		const char *own = i == 0 ? "192.168.77.1" : "fd77::1";
		const char *other = i == 0 ? "192.168.87.1" : "fd87::1";

		t.net->nat = SHM_NAT_V4 | SHM_NAT_V6;
		twins_say(&t);
		tap_ok(fine && leaves_from(f, own, 0) && leaves_from(f, own, 1),
			"IPv%u: translated from the next packet on", family);
		fine = is_learnt(&answers[i]);
		twins_route(&t, prefix, SHM_ROUTE_CONNECTED, 0, NULL, other);
		twins_say(&t);
		tap_ok(fine && leaves_from(f, other, 0) && leaves_from(f, other, 1),
			"IPv%u: another source of the route", family);
		twins_route(&t, prefix, SHM_ROUTE_CONNECTED, 0, NULL, own);
		twins_say(&t);
		fine = leaves_from(f, own, 0) && is_learnt(&answers[i]);
		t.net->nat = 0;
		twins_say(&t);
		tap_ok(fine && leaves_from(f, f->src, 0) && leaves_from(f, f->src, 1) &&
				next_is(&answers[i], 1, TWINS_HOST, 0, 0),
			"IPv%u: not translated any more, either way", family);
	}
}

/* ---- time ---- */

static void
test_lease(void)
{
	const struct flow *f = &flows[0];
	bool fine;

	twins_advance(&t, FLOW_CACHE_LEASE_NS);
	fine = is_learnt(f);
	twins_advance(&t, FLOW_CACHE_LEASE_NS - 1);
	push_plain(f);
	fine &= come_out(1, 1);
	twins_advance(&t, 1);
	push_plain(f);
	fine &= come_out(1, 0);
	push_plain(f);
	tap_ok(fine && come_out(1, 1), "a lease is over when it is, and is renewed");
}

// In each burst is one that must be learnt.
static void
test_lease_in_company(void)
{
	const struct flow *f = &flows[0], *out = &flows[6];
	struct flow young = flows[1], young_out = flows[7];
	uint32_t n_short = 0;
	bool fine = true;

	twins_advance(&t, FLOW_CACHE_LEASE_NS);
	for (unsigned i = 0; i < 40; i++) {
		push_plain(f);
		push_plain(out);
		young.src_port++;
		young_out.src_port++;
		push_plain(&young);
		push_plain(&young_out);
		twins_run(&t);
		n_short += (uint32_t)twins_known(&t);
		fine &= twins_agree(&t);
		twins_advance(&t, NS_PER_S);
	}
	tap_ok(fine, "known ones and young ones in one burst");
	tap_int(n_short, 60, "a short way does not renew the lease: one in four goes the long way");
}

static uint32_t
n_flows(void)
{
	return nat_flow_count(t.both[CACHED]->nat);
}

static void
test_timeouts(void)
{
	const struct flow f = { true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2", "192.168.77.6", 4444,
		53 };
	struct flow answer = { false, 0, 0, IP_PROTOCOL_UDP, "192.168.77.6", "192.168.77.1", 53,
		0 };
	uint32_t n_short = 0, steady = 0;
	uint16_t port;

	t.net->nat = SHM_NAT_V4;
	twins_say(&t);
	twins_advance(&t, 10000 * NS_PER_S);
	push_plain(&f);
	twins_run(&t);
	port = load_be16(t.out[CACHED][0].data + 20);
	answer.dst_port = port;
	(void)come_out(1, 0);
	tap_int(n_flows(), 0, "no flow is left from before");
	for (unsigned s = 0; s < 700; s++) {
		twins_advance(&t, NS_PER_S);
		push_plain(&f);
		twins_run(&t);
		steady += load_be16(t.out[CACHED][0].data + 20) == port && n_flows() == 1;
		n_short += (uint32_t)twins_known(&t);
		(void)come_out(1, 0);
	}
	tap_int(steady, 700, "a packet a second keeps a translated flow and its port");
	tap_ok(n_short > 500 && n_short < 600, "... most of them on the short way (%u)", n_short);
	for (unsigned s = 0; s < 700; s++) {
		twins_advance(&t, NS_PER_S);
		push_plain(&answer);
		(void)come_out(1, s % 4 != 0);
	}
	tap_int(n_flows(), 1, "... and so do answers alone");
	twins_advance(&t, (NAT_UDP_S - NAT_LAG_S - 2) * NS_PER_S);
	tap_int(n_flows(), 1, "idle for less than its timeout, it is there");
	twins_advance(&t, (NAT_LAG_S + 4) * NS_PER_S);
	tap_int(n_flows(), 0, "idle for longer, it is not");
	push_plain(&answer);
	twins_run(&t);
	twins_known(&t);
	tap_ok(twins_agree(&t), "... and what comes then is judged anew");
	t.net->nat = 0;
	twins_say(&t);
}

// Strangers are let in by a mapping, which lives as long as its owner's flows.
static void
test_port_of_another(void)
{
	const struct flow first = { true, 0, 0, IP_PROTOCOL_UDP, "100.64.0.2", "192.168.77.5",
		61005, 53 };
	const struct flow second = { true, 1, 0, IP_PROTOCOL_UDP, "10.3.0.1", "192.168.77.6", 61005,
		53 };
	const struct flow stranger = { false, 0, 0, IP_PROTOCOL_UDP, "192.168.77.6", "192.168.77.1",
		53, 61005 };
	uint32_t n_known = 0;
	bool fine = true;

	t.net->nat = SHM_NAT_V4;
	twins_say(&t);
	for (unsigned early = 0; early < 4; early++) {
		twins_advance(&t, 10000 * NS_PER_S);
		push_plain(&first);
		fine &= come_out(1, 0);
		twins_advance(&t, early * NS_PER_S);
		for (unsigned s = 0; s == 0 || n_flows() > 0; s++) {
			push_plain(&stranger);
			twins_run(&t);
			n_known += (uint32_t)twins_known(&t);
			fine &= twins_agree(&t);
			twins_advance(&t, NS_PER_S);
		}
		push_plain(&second);
		fine &= come_out(1, 0);
		push_plain(&stranger);
		twins_run(&t);
		fine &= t.n_out[CACHED] == 1 && t.out[CACHED][0].place == TWINS_PEER + 1;
		n_known += (uint32_t)twins_known(&t);
		fine &= twins_agree(&t);
	}
	tap_ok(fine && n_known == 0, "what a mapping alone lets in has no short way: its port may "
	                             "be another peer's next");
	t.net->nat = 0;
	twins_say(&t);
}

static void
push_flags(const struct flow *f, uint8_t flags)
{
	struct packet p;

	make(&p, f, 100, 64);
	p.data[p.l4 + 13] = flags;
	fill_checksums(&p);
	push(&p, f, 0);
	twins_run(&t);
}

// Translation has to see each step of a connection: one that stands lives for hours.
static void
test_handshake(void)
{
	const struct flow f = { true, 0, 0, IP_PROTOCOL_TCP, "100.64.0.2", "192.168.77.5", 61030,
		443 };
	const struct flow answer = { false, 0, 0, IP_PROTOCOL_TCP, "192.168.77.5", "192.168.77.1",
		443, 61030 };

	t.net->nat = SHM_NAT_V4;
	twins_say(&t);
	twins_advance(&t, 10000 * NS_PER_S);
	push_flags(&f, SYN);
	push_flags(&answer, SYN | ACK);
	push_flags(&f, ACK);
	(void)twins_known(&t);
	tap_ok(twins_agree(&t), "a handshake");
	twins_advance(&t, 1000 * NS_PER_S);
	tap_int(n_flows(), 1, "a connection that was idle since is there");
	tap_ok(is_learnt(&f) && is_learnt(&answer), "... and known once it is used");
	push_flags(&f, FIN | ACK);
	push_flags(&answer, FIN | ACK);
	push_flags(&f, ACK);
	(void)twins_known(&t);
	tap_ok(twins_agree(&t), "its end");
	twins_advance(&t, 300 * NS_PER_S);
	tap_int(n_flows(), 0, "ended by both sides, it goes soon");
	t.net->nat = 0;
	twins_say(&t);
}

/* ---- order ---- */

static bool
is_in_order(const struct flow *const *of, unsigned n_of)
{
	bool fine = true;

	for (unsigned k = 0; k < n_of; k++) {
		uint32_t last = 0;

		for (uint32_t i = 0; i < t.n_out[CACHED]; i++) {
			const struct twins_out *o = &t.out[CACHED][i];
			uint32_t n = twins_number(o->data, o->len);

			if (n == UINT32_MAX || o->flow != (uintptr_t)of[k])
				continue;
			fine &= n > last;
			last = n;
		}
	}
	return fine;
}

static void
test_order(void)
{
	const struct flow *of[4] = { &flows[0], &flows[1], &flows[6], &flows[7] };
	const struct flow *of6[4] = { &flows[2], &flows[3], &flows[8], &flows[1] };
	uint32_t random = 12345;
	bool fine = true;

	for (unsigned round = 0; round < 2000 && fine; round++) {
		const struct flow *const *some = round % 2 == 0 ? of : of6;
		uint32_t n = 2 + (random >> 8) % 62;

		for (uint32_t i = 0; i < n; i++) {
			const struct flow *f;
			struct packet p;

			random = random * 1664525 + 1013904223;
			f = some[(random >> 10) % 4];
			make(&p, f, 120, (random >> 13) % 16 == 0 ? 1 : 64);
			if (f->protocol == IP_PROTOCOL_TCP && (random >> 17) % 16 == 0) {
				p.data[p.l4 + 13] = FIN | ACK;
				fill_checksums(&p);
			}
			if (p.l4 == 20 && (random >> 21) % 128 == 0) {
				store_be16(p.data + 6, IPV4_MORE_FRAGMENTS);
				checksum_fill_ipv4(p.data, 20);
			}
			push(&p, f, 0);
		}
		twins_run(&t);
		fine = is_in_order(some, 4) && twins_agree(&t);
		twins_advance(&t, (random >> 9) % 4 == 0 ? NS_PER_S : NS_PER_MS);
	}
	tap_ok(fine, "whatever is mixed, no packet overtakes another of its flow");
	tap_ok(twins_known(&t) > 10000, "... many of them on the short way");
}

/* ---- others ---- */

static void
test_spoofed(void)
{
	struct flow f = flows[0], out = flows[6];

	tap_ok(is_learnt(&flows[0]) && is_learnt(&flows[6]), "a flow each way");
	f.peer = 2;
	push_plain(&f);
	tap_ok(come_out(0, 0), "the same from a peer that does not have the address: dropped");
	push_plain(&flows[0]);
	tap_ok(come_out(1, 1), "... and nothing changes for the one that has it");
	out.link = 1;
	push_plain(&out);
	tap_ok(come_out(1, 0), "the same from another port is judged by itself");
	push_plain(&out);
	push_plain(&flows[6]);
	tap_ok(come_out(2, 2), "... and both have an entry of their own");
	out.src = "100.64.0.2";
	push_plain(&out);
	push_plain(&out);
	tap_ok(come_out(0, 0), "a source of the tunnel's from a LAN has none");
}

int
main(void)
{
	twins_create(&t);
	test_ways("plain", false);
	twins_filter(&t, SHM_FILTER_ENFORCED, ALLOWS, LOCAL);
	test_ways("filter", false);
	t.net->nat = SHM_NAT_V4 | SHM_NAT_V6;
	twins_say(&t);
	test_ways("filter and NAT", true);
	twins_filter(&t, SHM_FILTER_NONE, NULL, NULL);
	test_ways("NAT", true);
	t.net->nat = 0;
	twins_say(&t);
	test_filter_changes();
	test_route_changes();
	test_port_changes();
	test_neighbour_changes();
	test_peer_changes();
	test_nat_changes();
	test_lease();
	test_lease_in_company();
	test_timeouts();
	test_port_of_another();
	test_handshake();
	test_order();
	test_spoofed();
	twins_destroy(&t);
	return tap_done();
}
