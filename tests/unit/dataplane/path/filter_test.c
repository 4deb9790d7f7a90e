/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway that is a member of a tailnet: its packet filter on a packet's way, and TSMP.
 *
 * far enforces a filter; near and third are plain, so they show what leaves far.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/policy/acl_packet.h"
#include "tests/lib/acl.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

#define LOCAL "10.2.0.0/16 fd02::/16"
#define WEB                                                                         \
	"[{\"SrcIPs\":[\"10.1.0.0/16\",\"fd01::/16\"],"                             \
	"\"DstPorts\":[{\"IP\":\"10.2.0.5\",\"Ports\":{\"First\":80,\"Last\":80}}," \
	"{\"IP\":\"fd02::5\",\"Ports\":{\"First\":80,\"Last\":80}}]}]"

static struct gateways g;

static struct shm_addr
shm_addr_of(const char *text)
{
	struct shm_addr s = {};
	struct addr a;

	if (addr_parse(text, &a) < 0)
		abort();
	memcpy(s.bytes, a.bytes, sizeof(s.bytes));
	return s;
}

// rules NULL: no table.
static void
enforce(struct in_memory *m, enum shm_filter filter, const char *rules, const char *local)
{
	const struct shm_settings settings = {
		.mtu = IN_MEMORY_MTU,
		.filter = filter,
		.peer_api_port4 = 4004,
		.peer_api_port6 = 6006,
		.icmp_source4 = shm_addr_of("10.2.0.1"),
		.icmp_source6 = shm_addr_of("fd02::1"),
	};
	struct acl_table *table = rules != NULL ? acl_make(rules, local) : NULL;

	in_memory_begin(m, false);
	in_memory_all_settings(m, &settings);
	in_memory_filter(m, table);
	if (in_memory_commit(m) != 0)
		abort();
	free(table);
}

// TCP if flags are not 0, else UDP.
struct flow {
	const char *src, *dst;
	uint16_t src_port, dst_port;
	uint8_t tcp_flags;
};

static size_t
make_flow(uint8_t buf[120], const struct flow *f)
{
	bool is_tcp = f->tcp_flags != 0, is_v6 = strchr(f->src, ':') != NULL;
	const struct packet_make what = {
		.src = f->src, .dst = f->dst, .protocol = is_tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP
	};
	size_t len = packet_make(buf, is_v6 ? 120 : 100, &what);
	uint8_t *l4 = buf + (is_v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN);

	store_be16(l4, f->src_port);
	store_be16(l4 + 2, f->dst_port);
	if (is_tcp) {
		l4[12] = 0x50;
		l4[13] = f->tcp_flags;
	}
	return len;
}

// From near through the tunnel: whether far's host gets it.
static bool
passes_in(struct in_memory *far, const struct flow *f)
{
	struct message msg, out;
	uint8_t buf[120];
	size_t len = make_flow(buf, f);

	if (!gateway_seal(g.near, buf, len, &msg))
		abort();
	return gateway_open(far, &msg, &out);
}

static bool
passes_out(struct in_memory *far, const struct flow *f)
{
	struct message msg;
	uint8_t buf[120];

	return gateway_seal(far, buf, make_flow(buf, f), &msg);
}

#define SYN 0x02
#define ACK 0x10

static const struct flow web = { "10.1.0.5", "10.2.0.5", 4000, 80, SYN };
static const struct flow web6 = { "fd01::5", "fd02::5", 4000, 80, SYN };
static const struct flow ssh = { "10.1.0.5", "10.2.0.5", 4000, 22, SYN };
static const struct flow ssh6 = { "fd01::5", "fd02::5", 4000, 22, SYN };
static const struct flow question = { "10.2.0.5", "10.1.0.5", 5000, 53, 0 };
static const struct flow answer = { "10.1.0.5", "10.2.0.5", 53, 5000, 0 };

static void
test_rules(void)
{
	struct shm_command keepalive = { .kind = SHM_CMD_KEEPALIVE };
	const struct flow away = { "10.1.0.5", "10.2.0.6", 4000, 80, SYN };
	const struct flow goes_on = { "10.1.0.5", "10.2.0.5", 4000, 22, SYN | ACK };
	struct message msg;
	uint64_t before;

	gateways_create(&g, true);
	tap_ok(passes_in(g.far, &ssh), "a plain gateway lets everything in");
	enforce(g.far, SHM_FILTER_ENFORCED, NULL, NULL);
	tap_ok(!passes_in(g.far, &web) && !passes_in(g.far, &goes_on) &&
			!passes_out(g.far, &question),
		"a member without a filter lets nothing through");
	tap_int((long long)in_memory_drops(g.far, DROP_NO_FILTER), 3, "for that reason");

	enforce(g.far, SHM_FILTER_ENFORCED, WEB, LOCAL);
	tap_ok(passes_in(g.far, &web) && passes_in(g.far, &web) && passes_in(g.far, &web6),
		"a rule lets in what it names, both families");
	tap_ok(!passes_in(g.far, &ssh) && !passes_in(g.far, &ssh) && !passes_in(g.far, &ssh6) &&
			!passes_in(g.far, &away),
		"and nothing else");
	tap_int((long long)in_memory_drops(g.far, DROP_ACL), 4, "dropped as acl");
	tap_ok(passes_in(g.far, &goes_on), "a connection that stands goes on");

	before = g.far->state->counters[0][0].rx_packets;
	in_memory_command(g.near, &keepalive);
	in_memory_round(g.near);
	if (!gateway_take_wire(g.near, &msg))
		abort();
	gateway_receive(g.far, &msg);
	tap_int((long long)(g.far->state->counters[0][0].rx_packets - before), 1,
		"a keepalive is heard");

	enforce(g.far, SHM_FILTER_ENFORCED, "[]", LOCAL);
	tap_ok(!passes_in(g.far, &web) && !passes_in(g.far, &web6),
		"no verdict outlives its rules");
	enforce(g.far, SHM_FILTER_NONE, NULL, NULL);
	tap_ok(passes_in(g.far, &ssh), "a plain gateway again");
	gateways_destroy(&g);
}

static void
test_pre_checks(void)
{
	const struct flow link_local = { "10.1.0.5", "169.254.1.1", 1, 2, 0 };
	uint8_t buf[120];
	struct message msg;
	size_t len;

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, WEB, LOCAL);
	len = make_flow(buf, &link_local);
	gateway_seal_raw(g.far, 1000, buf, len, &msg);
	gateway_receive(g.far, &msg);
	tap_int((long long)in_memory_drops(g.far, DROP_LINK_LOCAL), 1, "link-local: dropped");
	buf[16] = 224;
	checksum_fill_ipv4(buf, IPV4_HEADER_LEN);
	gateway_seal_raw(g.far, 1001, buf, len, &msg);
	gateway_receive(g.far, &msg);
	tap_int((long long)in_memory_drops(g.far, DROP_MULTICAST), 1, "multicast: dropped");
	make_flow(buf, &web);
	store_be16(buf + 2, 30); // a third of a TCP header
	checksum_fill_ipv4(buf, IPV4_HEADER_LEN);
	gateway_seal_raw(g.far, 1002, buf, 30, &msg);
	gateway_receive(g.far, &msg);
	tap_int((long long)in_memory_drops(g.far, DROP_UNKNOWN_PROTOCOL), 1,
		"what cannot be judged: dropped");
	gateways_destroy(&g);
}

static void
test_flows(void)
{
	const struct flow stranger = { "10.1.0.6", "10.2.0.5", 53, 5000, 0 };
	struct in_memory *successor;

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, WEB, LOCAL);
	tap_ok(!passes_in(g.far, &answer), "an answer without a question is not let in");
	tap_ok(passes_out(g.far, &question), "the question goes out");
	tap_ok(passes_in(g.far, &answer) && !passes_in(g.far, &stranger),
		"its answer comes in, and nobody else's");
	enforce(g.far, SHM_FILTER_ENFORCED, "[]", LOCAL);
	tap_ok(passes_in(g.far, &answer), "also by other rules");

	// The same memory under another forwarder.
	{
		const struct in_memory_config config = { .n_workers = 1,
			.state = g.far->state,
			.keys = g.far->keys,
			.flows = g.far->flow_memory };

		if (in_memory_create(&config, &successor) < 0)
			abort();
	}
	tap_ok(passes_in(successor, &answer) && !passes_in(successor, &stranger),
		"the next forwarder still lets it in");
	enforce(successor, SHM_FILTER_SHIELDS_UP, "[]", LOCAL);
	tap_ok(!passes_in(successor, &answer), "shields go up: it is forgotten");
	tap_ok(passes_out(successor, &question) && passes_in(successor, &answer),
		"what is asked from then on is answered");
	enforce(successor, SHM_FILTER_SHIELDS_UP, "[]", LOCAL);
	tap_ok(passes_in(successor, &answer), "shields that stay up forget nothing");
	enforce(successor, SHM_FILTER_ENFORCED, WEB, LOCAL);
	tap_ok(passes_in(successor, &answer) && passes_in(successor, &web),
		"nor does taking them down");
	in_memory_destroy(successor);
	gateways_destroy(&g);
}

static void
test_peer_to_peer(void)
{
	const struct flow through = { "10.1.0.5", "10.3.0.5", 4000, 80, SYN };
	const struct flow back = { "10.3.0.5", "10.1.0.5", 80, 4000, SYN | ACK };
	const char *all = "[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","
			  "\"Ports\":{\"First\":0,\"Last\":65535}}]}]";
	uint8_t buf[120];
	struct message msg;
	size_t len = make_flow(buf, &through);

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, all, LOCAL);
	if (!gateway_seal(g.near, buf, len, &msg))
		abort();
	gateway_receive(g.far, &msg);
	gateway_carry(g.far, g.third);
	tap_ok(!gateway_take_host(g.third, &msg), "what is for another peer is not let in");
	enforce(g.far, SHM_FILTER_ENFORCED, all, LOCAL " 10.1.0.0/16 10.3.0.0/16");
	if (!gateway_seal(g.near, buf, len, &msg))
		abort();
	gateway_receive(g.far, &msg);
	tap_int(gateway_carry(g.far, g.third), 1,
		"with its network among the local ones it passes");
	tap_ok(gateway_take_host(g.third, &msg) && msg.len == len, "and arrives");
	len = make_flow(buf, &back);
	if (!gateway_seal(g.third, buf, len, &msg))
		abort();
	gateway_receive(g.far, &msg);
	tap_int(gateway_carry(g.far, g.near), 1, "so does what comes back");
	gateways_destroy(&g);
}

// --- TSMP --------------------------------------------------------------------------------------

static size_t
make_tsmp(uint8_t buf[120], const char *src, const char *dst, const void *message, size_t len)
{
	const struct packet_make what = { .src = src, .dst = dst, .protocol = ACL_PROTOCOL_TSMP };
	size_t header = strchr(src, ':') != NULL ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;

	packet_make(buf, header + len, &what);
	memcpy(buf + header, message, len);
	return header + len;
}

// What near's host gets for a packet from near that far consumed; length 0: nothing.
static struct message
answer_to(const uint8_t *packet, size_t len)
{
	struct message msg, out;

	if (!gateway_seal(g.near, packet, len, &msg))
		abort();
	if (gateway_open(g.far, &msg, &out))
		tap_ok(false, "nothing of TSMP reaches the host");
	out.len = 0;
	if (gateway_carry(g.far, g.near) > 0 && !gateway_take_host(g.near, &out))
		out.len = 0;
	return out;
}

static void
check_pong(const char *from, const char *to, uint16_t port, const char *what)
{
	uint8_t ping[120], pong[11] = "o12345678";
	size_t len = make_tsmp(ping, from, to, "p12345678", 9);
	struct message out = answer_to(ping, len);
	struct ip_view v;

	store_be16(pong + 9, port);
	tap_ok(out.len > 0 && ip_parse(out.data, (uint32_t)out.len, &v), "%s is answered", what);
	if (out.len == 0)
		return;
	tap_int((long long)out.len, v.header_len + 11, "by a pong");
	tap_ok(v.protocol == ACL_PROTOCOL_TSMP && v.ttl == 64 && packet_is_sound(out.data, out.len),
		"in a sound packet");
	tap_bytes(out.data + v.header_len, pong, 11, "with its token, and the peer API's port");
	tap_ok(memcmp(v.src, v.family == ADDR_V4 ? ping + 16 : ping + 24,
		       v.family == ADDR_V4 ? 4 : 16) == 0,
		"from where the ping went to");
}

static void
test_pings(void)
{
	uint8_t buf[120];
	size_t len;

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, NULL, NULL);
	check_pong("10.1.0.5", "10.2.0.1", 4004, "a TSMP ping before any filter has come");
	enforce(g.far, SHM_FILTER_ENFORCED, "[]", LOCAL);
	check_pong("10.1.0.5", "10.2.0.1", 4004, "a ping over IPv4");
	check_pong("fd01::5", "fd02::1", 6006, "a ping over IPv6");
	check_pong("10.1.0.5", "10.2.0.77", 0, "a ping to what is no address of ours");
	len = make_tsmp(buf, "10.1.0.5", "10.2.0.1", "p1234567", 8);
	tap_ok(answer_to(buf, len).len == 0, "a ping that is too short is not");
	len = make_tsmp(buf, "10.1.0.5", "10.2.0.1", "z12345678", 9);
	tap_ok(answer_to(buf, len).len == 0, "nor is a message of another type");
	tap_int((long long)in_memory_drops(g.far, DROP_TSMP), 6, "they all end here");

	enforce(g.far, SHM_FILTER_NONE, NULL, NULL);
	tap_ok(passes_in(g.far, &ssh), "(plain again)");
	len = make_tsmp(buf, "10.1.0.5", "10.2.0.1", "p12345678", 9);
	{
		struct message msg, out;

		if (!gateway_seal(g.near, buf, len, &msg))
			abort();
		tap_ok(gateway_open(g.far, &msg, &out) && out.len == len,
			"a plain gateway passes TSMP on");
	}
	gateways_destroy(&g);
}

static void
test_for_control_plane(void)
{
	static const char *const messages[] = { "o12345678ab", "!\x06\x41wxyz",
		"a0123456789abcdef0123456789abcdef" };
	static const size_t lens[] = { 11, 7, 33 };
	struct shm_packet punted;
	uint8_t buf[120];
	unsigned n = 0;
	size_t len;

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, "[]", LOCAL);
	for (unsigned i = 0; i < 3; i++) {
		len = make_tsmp(buf, "10.1.0.5", "10.2.0.1", messages[i], lens[i]);
		tap_ok(answer_to(buf, len).len == 0, "a pong, a rejection, a disco key: no answer");
		tap_ok(in_memory_punted(g.far, &punted) && punted.kind == SHM_PKT_TSMP &&
				punted.peer == 0 && punted.len == len &&
				memcmp(punted.data + 20, messages[i], lens[i]) == 0,
			"but the control plane has it");
	}
	len = make_tsmp(buf, "10.1.0.5", "10.2.0.9", messages[0], lens[0]);
	answer_to(buf, len);
	tap_ok(!in_memory_punted(g.far, &punted), "not what is for another address");
	for (unsigned i = 0; i < 200; i++) {
		len = make_tsmp(buf, "10.1.0.5", "10.2.0.1", messages[0], lens[0]);
		answer_to(buf, len);
	}
	while (in_memory_punted(g.far, &punted))
		n++;
	tap_ok(n > 5 && n < 100, "of a flood it gets some (%u of 200)", n);
	gateways_destroy(&g);
}

static void
test_own_tsmp(void)
{
	struct message msg;
	uint8_t buf[120];
	size_t len = make_tsmp(buf, "10.2.0.1", "10.1.0.5", "p12345678", 9);

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, "[]", LOCAL);
	tap_ok(!gateway_seal(g.far, buf, len, &msg), "no program of the host speaks TSMP");
	tap_int((long long)in_memory_drops(g.far, DROP_TSMP), 1, "it is dropped");
	if (!in_memory_inject(g.far, SHM_PKT_INNER, buf, len))
		abort();
	in_memory_round(g.far);
	in_memory_round(g.far);
	tap_ok(gateway_take_wire(g.far, &msg), "the control plane does");
	enforce(g.far, SHM_FILTER_ENFORCED, NULL, NULL);
	if (!in_memory_inject(g.far, SHM_PKT_INNER, buf, len))
		abort();
	in_memory_round(g.far);
	in_memory_round(g.far);
	tap_ok(gateway_take_wire(g.far, &msg), "also without a filter");
	gateways_destroy(&g);
}

static void
check_reject(const char *reason, bool is_expected)
{
	uint8_t buf[120], wanted[7] = { '!', IP_PROTOCOL_TCP, (uint8_t)reason[0] };
	struct message out = answer_to(buf, make_flow(buf, &ssh));
	struct ip_view v;

	tap_ok((out.len > 0) == is_expected, "a SYN that is not let in: %s",
		is_expected ? "its sender is told" : "nothing is said");
	if (out.len == 0)
		return;
	store_be16(wanted + 3, ssh.src_port);
	store_be16(wanted + 5, ssh.dst_port);
	tap_ok(ip_parse(out.data, (uint32_t)out.len, &v) && v.protocol == ACL_PROTOCOL_TSMP &&
			packet_is_sound(out.data, out.len) && out.len == 27,
		"by TSMP");
	tap_bytes(out.data + 20, wanted, 7, "with both ports and why");
	tap_ok(memcmp(out.data + 12, buf + 16, 4) == 0 && memcmp(out.data + 16, buf + 12, 4) == 0,
		"from where it went to");
}

static void
test_rejections(void)
{
	const struct flow udp = { "10.1.0.5", "10.2.0.5", 1, 2, 0 };
	uint8_t buf[120];
	unsigned n = 0;

	gateways_create(&g, true);
	enforce(g.far, SHM_FILTER_ENFORCED, NULL, NULL);
	check_reject("", false);
	enforce(g.far, SHM_FILTER_ENFORCED, WEB, LOCAL);
	check_reject("A", true);
	enforce(g.far, SHM_FILTER_SHIELDS_UP, "[]", LOCAL);
	check_reject("S", true);
	tap_ok(answer_to(buf, make_flow(buf, &ssh6)).len == 0, "IPv6 is not told");
	tap_ok(answer_to(buf, make_flow(buf, &udp)).len == 0, "nor is UDP");
	for (unsigned i = 0; i < 300; i++)
		n += answer_to(buf, make_flow(buf, &ssh)).len > 0;
	tap_ok(n >= 20 && n < 200, "of a flood some are told (%u of 300)", n);
	gateways_destroy(&g);
}

int
main(void)
{
	test_rules();
	test_pre_checks();
	test_flows();
	test_peer_to_peer();
	test_pings();
	test_for_control_plane();
	test_own_tsmp();
	test_rejections();
	return tap_done();
}
