/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list of our endpoints: its order, what is never in it, how long it remembers, when it looks
 * again.
 */

#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"

#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/traversal/netcheck/endpoint_list.h"
#include "lib/traversal/path.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/netcheck/world.h"

static struct world *
begin(enum world_nat nat)
{
	struct world *w = world_create();

	world_add(w, "a.example", "198.51.100.1:3478", "[2001:db8::1]:3478", 20);
	world_add(w, "b.example", "198.51.100.2:3478", NULL, 60);
	w->nat = nat;
	world_map(w, false);
	own_endpoints_start(w->own, WORLD_PORT, w->now);
	return w;
}

static void
list_is(struct world *w, const char *what, const char *wanted)
{
	const struct own_endpoint *list;
	char text[1024] = "", one[ADDR_TEXT_LEN];
	bool is_fresh;
	size_t n = own_endpoints_get(w->own, w->now, &list, &is_fresh);

	for (size_t i = 0; i < n; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%d",
			i > 0 ? " " : "", endpoint_format(&list[i].endpoint, one),
			(int)list[i].kind);
	}
	tap_text(text, wanted, what);
}

static void
test_order(void)
{
	struct world *w = begin(WORLD_NAT_SYMMETRIC);
	struct endpoint mapped = world_endpoint("203.0.113.7:6000");
	struct endpoint given = world_endpoint("198.51.100.99:41641");

	tap_int((long long)world_list_len(w), 0, "nothing is told before the first look");
	own_endpoints_set_mapped(w->own, &mapped, w->now);
	own_endpoints_set_explicit(w->own, &given, 1, w->now);
	world_add_local(w, "eth0", "2001:db8:1::10/64");
	tap_int((long long)w->n_changed, 0, "nor is anybody called");
	(void)world_look(w);
	world_run(w, NS_PER_S);
	list_is(w, "the order of peer.md 5.4",
		"203.0.113.7:6000=3 203.0.113.7:50001=2 [2001:db8:1::10]:41641=2 "
		"203.0.113.7:41641=4 198.51.100.99:41641=5 192.168.1.10:41641=1");
	tap_ok(w->n_told == 1, "it is told once");
	own_endpoints_set_mapped(w->own, NULL, w->now);
	tap_int((long long)w->n_told, 1, "a mapping that goes is remembered for a while");
	given.port++;
	own_endpoints_set_explicit(w->own, &given, 1, w->now);
	tap_int((long long)w->n_told, 2, "another endpoint is told at once");
	world_destroy(w);
}

static void
test_never(void)
{
	struct world *w = begin(WORLD_NO_NAT);
	struct endpoint tunnel = world_endpoint("100.64.1.2:41641");

	world_add_local(w, "sluice0", "10.99.0.1/24");
	world_add_local(w, "sluice0", "fd7a:115c:a1e0::1/128");
	world_add_local(w, "tailscale0", "100.101.102.103/32");
	world_add_local(w, "eth0", "fe80::1/64");
	own_endpoints_set_mapped(w->own, &tunnel, w->now);
	(void)world_look(w);
	list_is(w, "no tunnel, no tailnet, no link-local address", "192.168.1.10:41641=2");
	world_destroy(w);
}

static void
test_memory(void)
{
	struct world *w = begin(WORLD_NAT_STABLE);
	unsigned n = 0;

	(void)world_look(w);
	w->outer_port = 50100;
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	list_is(w, "what was seen before stays, behind what is seen now",
		"203.0.113.7:50100=2 203.0.113.7:50001=2 192.168.1.10:41641=1");
	for (unsigned i = 0; i < 20; i++) {
		w->outer_port++;
		own_endpoints_check(w->own, w->now);
		(void)world_look(w);
	}
	for (unsigned i = 0; i < 30; i++) {
		char text[ADDR_TEXT_LEN];

		snprintf(text, sizeof(text), "203.0.113.7:%u", 50100 + i);
		n += world_has(w, text) == ENDPOINT_STUN;
	}
	tap_int(n, ENDPOINT_KEPT_PER_IP, "ports of one address");
	tap_int(world_has(w, "203.0.113.7:50119"), ENDPOINT_STUN, "the last ones");
	world_run(w, 311 * NS_PER_S);
	own_endpoints_check(w->own, w->now);
	(void)world_look(w);
	list_is(w, "until five minutes have passed", "203.0.113.7:50120=2 192.168.1.10:41641=1");
	world_destroy(w);
}

static void
test_when(void)
{
	struct world *w = begin(WORLD_NAT_STABLE);
	const struct own_endpoint *list;
	bool is_fresh;
	size_t before;

	(void)own_endpoints_get(w->own, w->now, &list, &is_fresh);
	tap_ok(!is_fresh, "nothing is known: a look begins");
	(void)world_look(w);
	(void)own_endpoints_get(w->own, w->now, &list, &is_fresh);
	tap_ok(is_fresh, "then it is fresh");
	world_run(w, 100 * NS_PER_S);
	tap_int((long long)w->n_reports, 1, "looks while nobody talks");
	before = w->n_changed;
	(void)own_endpoints_get(w->own, w->now, &list, &is_fresh);
	tap_ok(!is_fresh, "a peer wants it: it is old");
	world_run(w, NS_PER_S);
	tap_ok(w->n_changed == before + 1 && w->n_told == 1, "and is looked for, and is the same");
	for (unsigned i = 0; i < 30; i++) {
		own_endpoints_active(w->own, w->now);
		world_run(w, 10 * NS_PER_S);
	}
	tap_ok(w->n_reports >= 13 && w->n_reports <= 17, "with traffic every 20 to 26 s (%zu)",
		w->n_reports);
	before = w->n_reports;
	world_run(w, 200 * NS_PER_S);
	tap_ok(w->n_reports - before <= 3, "and soon no more without (%zu)", w->n_reports - before);
	world_run(w, 600 * NS_PER_S);
	tap_ok(w->n_reports - before >= 2, "but now and then, for the home");
	world_destroy(w);
}

static void
test_changes(void)
{
	struct world *w = begin(WORLD_NAT_STABLE);

	(void)world_look(w);
	w->inner_v4 = world_endpoint("192.168.7.7:1").addr;
	w->local[1].prefix.addr = w->inner_v4;
	w->outer_v4 = world_endpoint("203.0.113.99:1").addr;
	own_endpoints_network_changed(w->own, w->now);
	own_endpoints_network_changed(w->own, w->now);
	world_run(w, NS_PER_S);
	tap_int((long long)w->n_reports, 2, "one look for changes that come together");
	tap_ok(w->report.is_full, "and a full one");
	tap_ok(world_has(w, "192.168.7.7:41641") == ENDPOINT_LOCAL &&
			world_has(w, "203.0.113.99:50001") == ENDPOINT_STUN &&
			world_has(w, "192.168.1.10:41641") == ENDPOINT_UNKNOWN,
		"it finds what is new");
	for (unsigned i = 0; i < 200; i++) {
		own_endpoints_network_changed(w->own, w->now);
		world_run(w, 50 * NS_PER_MS);
	}
	tap_ok(w->n_reports > 10, "a flapping link does not keep looks from ending (%zu)",
		w->n_reports);
	own_endpoints_stop(w->own, w->now);
	tap_int((long long)world_list_len(w), 0, "after the stop nothing is known");
	tap_ok(own_endpoints_report(w->own) == NULL, "no report either");
	own_endpoints_start(w->own, WORLD_PORT + 1, w->now);
	(void)world_look(w);
	tap_int(world_has(w, "192.168.7.7:41642"), ENDPOINT_LOCAL, "the port is the new one");
	world_destroy(w);
}

static void
test_map(void)
{
	struct world *w = begin(WORLD_NAT_STABLE);
	size_t before;

	(void)world_look(w);
	before = w->n_reports;
	world_map(w, false);
	world_run(w, NS_PER_S);
	tap_int((long long)(w->n_reports - before), 0, "the same map is no reason to look");
	world_add(w, "c.example", "198.51.100.3:3478", NULL, 5);
	world_map(w, false);
	world_run(w, NS_PER_S);
	tap_ok(w->n_reports == before + 1 && w->report.preferred_region == 3, "another one is");
	tap_int(own_endpoints_set_map(w->own, NULL, w->now), 0, "no map at all");
	world_run(w, 1000 * NS_PER_S);
	tap_ok(w->n_reports == before + 1, "nobody can be asked then");
	world_destroy(w);
}

static void
test_router(void)
{
	struct world *w = begin(WORLD_NAT_STABLE);
	struct endpoint mapped = world_endpoint("203.0.113.7:6000");
	struct netcheck_report other;

	own_endpoints_set_protocols(w->own, TRI_FALSE, TRI_TRUE, TRI_UNKNOWN);
	own_endpoints_set_mapped(w->own, &mapped, w->now);
	(void)world_look(w);
	tap_ok(w->report.pmp == TRI_TRUE && w->report.upnp == TRI_FALSE &&
			endpoint_equal(&w->report.mapped, &mapped),
		"what the router offers is in the report");
	other = w->report;
	other.regions[0].v4_us += 5000;
	tap_ok(netcheck_is_same_place(&other, &w->report), "latency is not worth telling");
	other.pmp = TRI_FALSE;
	tap_ok(!netcheck_is_same_place(&other, &w->report), "a router that offers less is");
	world_destroy(w);
}

int
main(void)
{
	test_order();
	test_never();
	test_memory();
	test_when();
	test_changes();
	test_map();
	test_router();
	return tap_done();
}
