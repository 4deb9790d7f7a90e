/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whole looks at a network: what NATs, losses and dead servers do to the report and to the home.
 */

#include <string.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "controlplane/gateway/traversal/netcheck/probe_plan.h"
#include "lib/traversal/stun.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/netcheck/world.h"

static struct world *
three_regions(void)
{
	struct world *w = world_create();

	world_add(w, "a.example", "198.51.100.1:3478", "[2001:db8::1]:3478", 20);
	world_add(w, "b.example", "198.51.100.2:3478", "[2001:db8::2]:3478", 60);
	world_add(w, "c.example", "198.51.100.3:3478", "[2001:db8::3]:3478", 120);
	return w;
}

static void
begin(struct world *w, bool by_name)
{
	world_map(w, by_name);
	own_endpoints_start(w->own, WORLD_PORT, w->now);
}

static void
test_open(void)
{
	struct world *w = three_regions();
	char text[ADDR_TEXT_LEN];

	w->nat = WORLD_NO_NAT;
	begin(w, false);
	tap_ok(world_look(w), "a first look ends");
	tap_ok(w->report.udp && w->report.ipv4 && !w->report.ipv6, "UDP and IPv4 work");
	tap_ok(!w->report.os_has_ipv6 && !w->report.ipv6_can_send, "there is no IPv6 here");
	tap_ok(w->report.is_full, "it asked everybody");
	tap_int(w->report.mapping_varies, TRI_FALSE, "the mapping does not vary");
	tap_text(endpoint_format(&w->report.global_v4, text), "192.168.1.10:41641", "our address");
	tap_int((long long)w->report.n_regions, 3, "regions that answered");
	tap_int(w->report.regions[0].v4_us, 20000, "latency of the nearest");
	tap_int(w->report.preferred_region, 1, "the nearest is the home");
	tap_int((long long)w->sent_to[0], 1, "one request was enough for the nearest");
	world_destroy(w);
}

static void
test_nats(void)
{
	struct world *w = three_regions();

	w->nat = WORLD_NAT_STABLE;
	begin(w, false);
	(void)world_look(w);
	tap_int(w->report.mapping_varies, TRI_FALSE, "an easy NAT");
	tap_int(world_has(w, "203.0.113.7:50001"), ENDPOINT_STUN, "its outside is told");
	tap_int(world_has(w, "203.0.113.7:41641"), ENDPOINT_UNKNOWN, "and no guess");
	tap_int(world_has(w, "192.168.1.10:41641"), ENDPOINT_LOCAL, "and the inside");
	world_destroy(w);

	w = three_regions();
	w->nat = WORLD_NAT_SYMMETRIC;
	begin(w, false);
	(void)world_look(w);
	tap_int(w->report.mapping_varies, TRI_TRUE, "a hard NAT");
	tap_int(world_has(w, "203.0.113.7:41641"), ENDPOINT_STUN4_LOCAL_PORT,
		"the port may be forwarded there");
	world_destroy(w);
}

static void
test_one_region(void)
{
	struct world *w = world_create();

	world_add(w, "a.example", "198.51.100.1:3478", NULL, 20);
	w->nat = WORLD_NAT_SYMMETRIC;
	begin(w, false);
	(void)world_look(w);
	tap_int(w->report.mapping_varies, TRI_UNKNOWN, "one server tells nothing of the mapping");
	tap_ok(mono_diff_ns(w->now, (struct mono){ 1000 * NS_PER_S }) < 100 * NS_PER_MS,
		"and nothing more is waited for");
	world_destroy(w);
}

static void
test_v6(void)
{
	struct world *w = three_regions();

	world_add_local(w, "eth0", "2001:db8:1::10/64");
	w->nat = WORLD_NAT_STABLE;
	begin(w, false);
	(void)world_look(w);
	world_run(w, NS_PER_S);
	tap_ok(w->report.ipv6 && w->report.os_has_ipv6 && w->report.ipv4, "both families work");
	tap_int(w->report.regions[0].v6_us, 20000, "IPv6 is measured too");
	tap_int(world_has(w, "[2001:db8:1::10]:41641"), ENDPOINT_STUN, "and its address told");
	world_destroy(w);

	w = three_regions();
	world_add_local(w, "eth0", "2001:db8:1::10/64");
	w->has_no_route_v6 = true;
	begin(w, false);
	(void)world_look(w);
	tap_ok(!w->report.ipv6 && w->report.os_has_ipv6 && !w->report.ipv6_can_send,
		"addresses without a way are no IPv6");
	tap_int(world_has(w, "[2001:db8:1::10]:41641"), ENDPOINT_LOCAL, "others may reach it");
	world_destroy(w);
}

static void
test_names(void)
{
	struct world *w = three_regions();

	begin(w, true);
	(void)world_look(w);
	tap_int((long long)w->report.n_regions, 3, "servers are found by name");
	tap_int(w->report.regions[0].v4_us, 20000, "the look-up is not in the latency");
	world_destroy(w);

	w = three_regions();
	w->is_silent_dns = true;
	begin(w, true);
	tap_ok(world_look(w), "a look ends without answers to look-ups");
	tap_int((long long)w->report.n_regions, 0, "and has no region");
	world_destroy(w);
}

static void
test_loss(void)
{
	unsigned complete = 0;

	for (unsigned seed = 0; seed < 200; seed++) {
		struct world *w = three_regions();

		w->random = seed;
		w->nat = WORLD_NAT_STABLE;
		w->loss_percent = 30;
		w->jitter_ns = 10 * NS_PER_MS;
		begin(w, false);
		(void)world_look(w);
		complete += w->report.n_regions == 3;
		world_destroy(w);
	}
	tap_ok(complete > 170, "of 200 looks over a line that loses 30%% most see all (%u)",
		complete);
}

static void
test_dead_region(void)
{
	struct world *w = three_regions();

	world_add(w, "d.example", "198.51.100.4:3478", NULL, 1)->is_dead = true;
	begin(w, false);
	tap_ok(world_look(w), "a look ends with a dead server");
	tap_ok(mono_diff_ns(w->report.at, (struct mono){ 1000 * NS_PER_S }) < 500 * NS_PER_MS,
		"soon: three regions are enough");
	tap_int(w->report.preferred_region, 1, "the home lives");
	tap_ok(netcheck_find(&w->report, 4) == NULL, "the dead one is not in the report");
	world_destroy(w);
}

// Two hours of traffic: two regions, of which now one and now the other is a little nearer, for
// longer than the memory of five minutes.
static void
test_no_flapping(void)
{
	struct world *w = world_create();

	world_add(w, "a.example", "198.51.100.1:3478", NULL, 24);
	world_add(w, "b.example", "198.51.100.2:3478", NULL, 21);
	w->jitter_ns = 2 * NS_PER_MS;
	begin(w, false);
	for (unsigned i = 0; i < 720; i++) {
		w->servers[0].rtt_ns = (i / 45 % 2 == 0 ? 24 : 18) * NS_PER_MS;
		own_endpoints_active(w->own, w->now);
		world_run(w, 10 * NS_PER_S);
	}
	tap_ok(w->n_reports > 260 && w->n_reports < 370, "a look every 20 to 26 s (%zu)",
		w->n_reports);
	tap_int((long long)w->n_homes, 0, "changes of home between two near regions");
	world_destroy(w);
}

static void
test_home_dies(void)
{
	struct world *w = three_regions();

	begin(w, false);
	(void)world_look(w);
	w->servers[0].is_dead = true;
	w->relay_heard = w->now;
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	tap_int(w->report.preferred_region, 1,
		"STUN is silent but the relay talks: the home stays");
	world_run(w, 30 * NS_PER_S);
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	tap_int(w->report.preferred_region, 2, "both are silent: the next one");
	w->servers[0].is_dead = false;
	world_run(w, 6 * 60 * NS_PER_S);
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	tap_int(w->report.preferred_region, 1, "it is back, three times as near");
	own_endpoints_set_connected(w->own, false);
	w->servers[0].is_dead = true;
	world_run(w, 30 * NS_PER_S);
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	tap_int(w->report.preferred_region, 1,
		"without a server nobody would know of another home");
	world_destroy(w);
}

static void
answer_https(struct world *w, const char *host, const char *head, int64_t after_ns)
{
	struct stream *s = fake_stream_to(w->set, host);

	if (!tap_ok(s != NULL, "%s is asked by https", host))
		return;
	fake_stream_opened(s, true, NULL, 0);
	tap_ok(s->sent_len > 4 && memcmp(s->sent, "GET /derp/latency-check HTTP/1.1\r\n", 34) == 0,
		"with a request that relays know");
	w->now = mono_add_ns(w->now, after_ns);
	w->set->now = w->now;
	fake_stream_feed(s, head, strlen(head));
}

static void
test_blocked(void)
{
	struct world *w = three_regions();

	w->blocks_udp = true;
	begin(w, false);
	world_run(w, 3100 * NS_PER_MS);
	tap_int((long long)w->n_reports, 0, "no STUN in 3 s: not the end yet");
	answer_https(w, "b.example", "HTTP/1.1 200 OK\r\n\r\n", 40 * NS_PER_MS);
	answer_https(w, "a.example", "HTTP/1.1 503 Busy\r\n\r\n", 5 * NS_PER_MS);
	answer_https(w, "c.example", "HTTP/1.1 204 No Content\r\n\r\n", 30 * NS_PER_MS);
	world_run(w, 10 * NS_PER_MS);
	tap_int((long long)w->n_reports, 1, "all have answered: that is the report");
	tap_ok(!w->report.udp && !w->report.ipv4 && w->report.ipv4_can_send, "UDP is blocked");
	tap_int(w->report.regions[0].https_us, 40000, "latency by https");
	tap_int((long long)w->report.n_regions, 2, "an error is no answer");
	tap_int(w->report.preferred_region, 3, "the nearest by https is the home");
	tap_int((long long)fake_set_count(w->set), 0, "no connection is left");
	own_endpoints_check(w->own, w->now);
	world_run(w, 9 * NS_PER_S);
	tap_int((long long)w->n_reports, 2, "silence on https ends after 5 s more");
	tap_int(w->report.preferred_region, 3, "and the home stays");
	tap_int((long long)fake_set_count(w->set), 0, "no connection is left then either");
	world_destroy(w);
}

static void
test_incremental(void)
{
	struct world *w = three_regions();

	world_add(w, "d.example", "198.51.100.4:3478", NULL, 200);
	world_add(w, "e.example", "198.51.100.5:3478", NULL, 300);
	begin(w, false);
	(void)world_look(w);
	memset(w->sent_to, 0, sizeof(w->sent_to));
	world_run(w, 10 * NS_PER_S);
	own_endpoints_active(w->own, w->now);
	world_run(w, 20 * NS_PER_S);
	tap_ok(!w->report.is_full && w->n_reports == 2, "the next look is a small one");
	tap_int((long long)w->sent_to[4], 0, "requests to the farthest");
	tap_ok(w->sent_to[0] >= 1 && w->sent_to[1] >= 1 && w->sent_to[2] >= 1,
		"the nearest are asked");
	world_destroy(w);
}

static void
test_strangers(void)
{
	struct world *w = three_regions();
	struct endpoint from = world_endpoint("198.51.100.1:3478");
	struct stun_txid txid = { { 1, 2, 3 } };
	uint8_t answer[STUN_RESPONSE_MAX_LEN];
	size_t len = stun_response_write(answer, &txid, &from);

	tap_ok(!own_endpoints_datagram(w->own, answer, len, &from, w->now), "nobody asked");
	begin(w, false);
	world_run(w, NS_PER_MS);
	tap_ok(!own_endpoints_datagram(w->own, answer, len, &from, w->now), "not with this id");
	tap_ok(!own_endpoints_datagram(w->own, answer, 5, &from, w->now), "cut short");
	world_destroy(w);
}

static void
test_odd_maps(void)
{
	struct derp_node nodes[4] = { { .stun_port = -1, .ipv4 = (char *)"198.51.100.1" },
		{ .stun_port = 70000, .ipv4 = (char *)"198.51.100.1" },
		{ .is_stun_only = true, .ipv4 = (char *)"198.51.100.9", .ipv6 = (char *)"none" },
		{ .host_name = (char *)"x", .stun_test_ip = (char *)"2001:db8::5" } };
	struct derp_region regions[2] = { { .id = 1, .nodes = nodes, .n_nodes = 4 },
		{ .id = 2, .is_without_measure = true, .nodes = &nodes[2], .n_nodes = 1 } };
	struct derp_map map = { .regions = regions, .n_regions = 2 };
	struct probe_plan_input in = { .map = &map, .has_v4 = true, .has_v6 = true };
	static struct planned_probe plan[PROBE_PLAN_MAX];
	size_t n = probe_plan(&in, plan), n_v4 = 0;
	bool right = true;

	for (size_t i = 0; i < n; i++) {
		n_v4 += plan[i].family == ADDR_V4;
		right &= plan[i].region == 0 && plan[i].node == (plan[i].family == ADDR_V4 ? 2 : 3);
	}
	tap_ok(right, "only nodes that can be asked are, and no region without measure");
	tap_int((long long)n_v4, 3, "three times by IPv4");
	tap_int((long long)n, 6, "three times by IPv6");
}

static void
test_json(void)
{
	struct world *w = three_regions();
	struct region_latency latencies[NETCHECK_MAX_LATENCIES];
	struct net_info info;
	json_t *o, *o2;

	w->nat = WORLD_NAT_STABLE;
	begin(w, false);
	(void)world_look(w);
	netcheck_net_info(&w->report, &info, latencies);
	tap_ok(info.working_udp == TRI_TRUE && info.preferred_region == 1 &&
			info.n_latencies == 3 && info.latencies[2].region_id == 3 &&
			info.latencies[2].latency_us == 120000,
		"a report becomes NetInfo");
	o = netcheck_report_json(&w->report, NULL);
	tap_ok(json_is_true(json_object_get(o, "udp")), "a report becomes JSON");
	tap_text(json_string_value(json_object_get(o, "global_v4")), "203.0.113.7:50001",
		"with our address");
	tap_ok(json_is_false(json_object_get(o, "mapping_varies")) &&
			json_is_null(json_object_get(o, "mapped")) &&
			json_array_size(json_object_get(o, "regions")) == 3,
		"and the rest");
	o2 = json_object_get(o, "report");
	tap_int(json_integer_value(json_object_get(json_object_get(o2, "RegionLatency"), "1")),
		20000000, "and with the reference's names: latency in ns");
	tap_ok(json_is_true(json_object_get(o2, "UDP")) &&
			json_integer_value(json_object_get(o2, "PreferredDERP")) == 1 &&
			json_integer_value(json_object_get(
				json_object_get(o2, "GlobalV4Counters"), "203.0.113.7:50001")) == 3,
		"and what goes with it");
	json_decref(o);
	world_destroy(w);
}

int
main(void)
{
	test_open();
	test_nats();
	test_one_region();
	test_v6();
	test_names();
	test_loss();
	test_dead_region();
	test_no_flapping();
	test_home_dies();
	test_blocked();
	test_incremental();
	test_strangers();
	test_odd_maps();
	test_json();
	return tap_done();
}
