/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which nodes of a map become peers, and with which addresses: ../shared/protocol/peer.md 3.2.
 */

#include "controlplane/gateway/tailnet/roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tailnet/map_response.h"
#include "tests/lib/tap.h"

#define KEY(digit)   "nodekey:" DIGITS(digit)
#define DISCO(digit) "discokey:" DIGITS(digit)
#define DIGITS(d)    D8(d) D8(d) D8(d) D8(d) D8(d) D8(d) D8(d) D8(d)
#define D8(d)        d d d d d d d d

#define SELF                                                                               \
	"\"Node\":{\"ID\":1,\"StableID\":\"a\",\"Name\":\"gw.t.example.\",\"Key\":\"" KEY( \
		"1") "\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"],"     \
		     "\"MachineAuthorized\":true}"

static struct netmap map;
static struct secret_key node_key = { { 1 } }, disco_key = { { 2 } };

static struct roster_view
view(bool accept_routes)
{
	return (struct roster_view){ .map = &map,
		.node_key = &node_key,
		.disco_key = &disco_key,
		.now = instant_from_unix(1800000000, 0),
		.listen_port = 41641,
		.accept_routes = accept_routes };
}

static void
start(const char *peers)
{
	struct map_response response;
	struct netmap_changes changes;
	char text[8192];
	int len = snprintf(text, sizeof(text), "{" SELF ",\"Peers\":[%s]}", peers);

	netmap_init(&map, 1);
	netmap_begin_stream(&map);
	tap_int(map_response_parse(text, (size_t)len, &response), 0, "a map");
	tap_int(netmap_apply(&map, &response, instant_from_unix(1800000000, 0), &changes), 0,
		"which is taken over");
	netmap_changes_fini(&changes);
	map_response_fini(&response);
}

static const struct desired_peer *
find(const struct desired *d, const char *name)
{
	for (size_t i = 0; i < d->n_peers; i++)
		if (strcmp(d->peers[i].name, name) == 0)
			return &d->peers[i];
	return NULL;
}

static bool
has_prefix(const struct desired *d, const struct desired_peer *p, const char *text)
{
	struct prefix wanted;

	if (p == NULL || prefix_parse(text, &wanted) < 0)
		return false;
	for (uint32_t i = 0; i < p->n_prefixes; i++)
		if (prefix_equal(&d->prefixes[p->first_prefix + i], &wanted))
			return true;
	return false;
}

#define NODE(id, name, digit, rest)                                                                \
	"{\"ID\":" id ",\"StableID\":\"s" id "\",\"Name\":\"" name ".t.example.\",\"Key\":\"" KEY( \
		digit) "\",\"Addresses\":[\"100.64.0." id "/32\"]," rest "}"

static void
test_members(void)
{
	struct roster_view v;
	struct desired *d = NULL;

	start(NODE("2", "a", "2",
		"\"DiscoKey\":\"" DISCO(
			"2") "\",\"HomeDERP\":9,\"Cap\":116,\"Endpoints\":[\"192.0.2.1:7\","
			     "\"[2001:db8::1]:8\"]") "," NODE("3", "nobody", "3",
		"\"Cap\":116") "," NODE("4", "old", "4",
		"\"DiscoKey\":\"" DISCO(
			"4") "\",\"KeyExpiry\":\"2026-01-01T00:00:00Z\"") "," NODE("5", "masq", "5",
		"\"HomeDERP\":1,\"SelfNodeV4MasqAddrForThisPeer\":\"100.64.9.9\"") "," NODE("6",
		"jail", "6", "\"HomeDERP\":1,\"IsJailed\":true"));
	v = view(false);
	tap_int(roster_desired(&v, &d), 0, "what shall be");
	tap_int((long long)d->n_peers, 1, "of five nodes one is a peer");
	tap_ok(find(d, "a") != NULL && find(d, "a")->is_member, "that has a disco key and a relay");
	tap_int(find(d, "a")->home_region, 9, "its relay");
	tap_int(find(d, "a")->n_endpoints, 2, "its endpoints");
	tap_ok(has_prefix(d, find(d, "a"), "100.64.0.2/32"), "its address is its own");
	tap_int(d->settings.filter, 1, "the filter is enforced, though none has come");
	tap_ok(d->filter == NULL, "so nothing is let in");
	tap_int((long long)d->n_addresses, 2, "we have two addresses");
	tap_int(d->settings.mtu, 1280, "as the tailnet's MTU is");
	for (size_t i = 0; i < netmap_n_peers(&map); i++) {
		const struct node *node = netmap_peer(&map, i);

		if (node->id > 2)
			tap_ok(roster_reason(roster_judge(&v, node))[0] != '\0',
				"%s is left out, because %s", node->name,
				roster_reason(roster_judge(&v, node)));
	}
	desired_destroy(d);
	netmap_fini(&map);
}

#define ROUTER(id, name, digit, more, primary)                                                   \
	NODE(id, name, digit,                                                                    \
		"\"DiscoKey\":\"" DISCO(digit) "\",\"AllowedIPs\":[\"100.64.0." id "/32\"," more \
					       "],\"PrimaryRoutes\":[" primary "]")

static void
test_subnets(void)
{
	struct roster_view v;
	struct desired *d = NULL;

	start(ROUTER("7", "r1", "7", "\"192.168.1.0/24\",\"10.0.0.0/8\",\"0.0.0.0/0\",\"::/0\"",
		"") "," ROUTER("8", "r2", "8", "\"192.168.1.0/24\",\"10.0.0.0/8\"",
		"\"192.168.1.0/24\""));
	v = view(false);
	tap_int(roster_desired(&v, &d), 0, "routes are not accepted");
	tap_int((long long)d->n_prefixes, 2, "so there are the two addresses only");
	desired_destroy(d);

	v = view(true);
	tap_int(roster_desired(&v, &d), 0, "routes are accepted");
	tap_ok(has_prefix(d, find(d, "r2"), "192.168.1.0/24") &&
			!has_prefix(d, find(d, "r1"), "192.168.1.0/24"),
		"a subnet leads to the router that the server calls primary");
	tap_ok(has_prefix(d, find(d, "r1"), "10.0.0.0/8") &&
			!has_prefix(d, find(d, "r2"), "10.0.0.0/8"),
		"without one, to the lowest node");
	tap_ok(!has_prefix(d, find(d, "r1"), "0.0.0.0/0") && !has_prefix(d, find(d, "r1"), "::/0"),
		"a default route is for those who use an exit node");
	desired_destroy(d);
	netmap_fini(&map);
}

static const char *
fate_of(const struct roster_subnet *subnets, size_t n, const char *prefix, const char *node)
{
	static const char *const names[] = { "used", "not wanted", "own", "elsewhere" };
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < n; i++)
		if (strcmp(prefix_format(&subnets[i].prefix, text), prefix) == 0 &&
			strncmp(subnets[i].node->name, node, strlen(node)) == 0)
			return names[subnets[i].fate];
	return "missing";
}

static void
test_own_nets(void)
{
	static const struct prefix own[] = {
		{ { ADDR_V4, { 192, 168 } }, 16 },
		{ { ADDR_V4, { 10, 1, 1, 0 } }, 24 },
	};
	struct roster_view v;
	struct roster_subnet *subnets;
	struct desired *d = NULL;
	size_t n;

	start(ROUTER("7", "r1", "7", "\"192.168.1.0/24\",\"10.0.0.0/8\",\"172.16.0.0/12\"",
		"") "," ROUTER("8", "r2", "8", "\"172.16.0.0/12\"", "\"172.16.0.0/12\""));
	v = view(true);
	v.own_nets = own;
	v.n_own_nets = 2;
	tap_int(roster_desired(&v, &d), 0,
		"routes are accepted, and there are networks of our own");
	tap_ok(!has_prefix(d, find(d, "r1"), "192.168.1.0/24"),
		"what lies inside one of them is not overridden");
	tap_ok(has_prefix(d, find(d, "r1"), "10.0.0.0/8"),
		"what is wider is accepted: the longer prefix stays ours");
	desired_destroy(d);

	tap_int(roster_subnets(&v, &subnets, &n), 0, "all that is offered");
	tap_int((long long)n, 4, "is listed");
	tap_text(fate_of(subnets, n, "192.168.1.0/24", "r1"), "own", "with what becomes of it:");
	tap_text(fate_of(subnets, n, "10.0.0.0/8", "r1"), "used", "taken,");
	tap_text(fate_of(subnets, n, "172.16.0.0/12", "r2"), "used", "taken from the primary,");
	tap_text(fate_of(subnets, n, "172.16.0.0/12", "r1"), "elsewhere", "not from the other");
	free(subnets);
	v.accept_routes = false;
	tap_int(roster_subnets(&v, &subnets, &n), 0, "routes are not accepted");
	tap_text(fate_of(subnets, n, "172.16.0.0/12", "r2"), "not wanted", "and that is said");
	free(subnets);
	netmap_fini(&map);
}

static void
test_expiry(void)
{
	struct roster_view v;
	struct desired *d = NULL;
	struct instant next;

	start(NODE("2", "a", "2",
		"\"DiscoKey\":\"" DISCO(
			"2") "\",\"KeyExpiry\":\"2027-06-01T00:00:00Z\"") "," NODE("3", "b", "3",
		"\"DiscoKey\":\"" DISCO("3") "\",\"KeyExpiry\":\"2027-03-01T00:00:00Z\""));
	v = view(false);
	next = roster_next_expiry(&v);
	tap_ok(next.s - INSTANT_UNIX_EPOCH_S == 1803859200, "the earliest of the expiries to come");
	v.now = next;
	tap_int(roster_desired(&v, &d), 0, "at that moment");
	tap_ok(find(d, "b") == NULL && find(d, "a") != NULL,
		"its node is cut off, the other stays");
	desired_destroy(d);
	netmap_fini(&map);
}

int
main(void)
{
	if (crypto_init() < 0)
		return 1;
	test_members();
	test_subnets();
	test_own_nets();
	test_expiry();
	return tap_done();
}
