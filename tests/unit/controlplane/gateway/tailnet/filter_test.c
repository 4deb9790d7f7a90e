/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From a map to the filter that workers use, and what a peer may do besides.
 */

#include "controlplane/gateway/tailnet/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/policy/acl_verdict.h"
#include "tests/lib/tap.h"

#define SELF "\"Node\":{\"ID\":1,\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]}"
#define PEERS                                                                                \
	"\"Peers\":[{\"ID\":2,\"Addresses\":[\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"]}," \
	"{\"ID\":3,\"Addresses\":[\"100.64.0.3/32\"],\"CapMap\":{\"a.example/cap\":null}}]"
#define WEB                                                                                 \
	"{\"SrcIPs\":[\"100.64.0.2\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":80," \
	"\"Last\":80}}]}"

static struct netmap map;
static struct tailnet_prefs prefs;
static uint64_t generation;

static void
start(const char *text)
{
	struct map_response response;
	struct netmap_changes changes;

	netmap_fini(&map);
	netmap_init(&map, 1);
	if (map_response_parse(text, strlen(text), &response) < 0 ||
		netmap_apply(&map, &response, (struct instant){}, &changes) < 0)
		abort();
	netmap_changes_fini(&changes);
	map_response_fini(&response);
}

// A SYN to a port, from and to these addresses.
static enum acl_reason
verdict(const struct acl_block *block, const char *src, const char *dst, uint16_t port)
{
	struct acl_packet k = { .protocol = 6,
		.kind = ACL_KIND_WHOLE,
		.opens_tcp = true,
		.src_port = 40000,
		.dst_port = port };
	struct addr a, b;

	if (addr_parse(src, &a) < 0 || addr_parse(dst, &b) < 0)
		abort();
	k.family = a.family;
	k.src = acl_addr_load(a.family, a.bytes);
	k.dst = acl_addr_load(b.family, b.bytes);
	return acl_verdict_inbound((const struct acl_table *)block->bytes, &k, false);
}

static struct acl_block *
compile(const char *text, int wanted, const char *what)
{
	static const struct endpoint api = { .addr = { ADDR_V4, { 100, 64, 0, 1 } }, .port = 5 };
	struct acl_block *block = NULL;

	start(text);
	tap_int(tailnet_filter(&map, &prefs, &api, 1, ++generation, &block), wanted, what);
	return block;
}

static void
test_rules(void)
{
	struct acl_block *block =
		compile("{" SELF "," PEERS ",\"PacketFilter\":[" WEB "]}", 0, "a rule");

	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 80), ACL_TCP_RULE,
		"lets in whom it names");
	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 81), ACL_NO_RULE, "to the port");
	tap_int(verdict(block, "100.64.0.3", "100.64.0.1", 80), ACL_NO_RULE, "nobody else");
	tap_int(verdict(block, "100.64.0.3", "100.64.0.1", 5), ACL_PEER_API,
		"but everybody to the peer API");
	tap_int(verdict(block, "100.64.0.2", "10.0.0.1", 80), ACL_NOT_LOCAL,
		"and nowhere but to us");
	acl_block_unref(block);

	prefs.advertise_routes[0] = (struct prefix){ { ADDR_V4, { 10 } }, 8 };
	prefs.n_advertise_routes = 1;
	block = compile("{" SELF "," PEERS ",\"PacketFilter\":[" WEB "]}", 0, "with a route");
	tap_int(verdict(block, "100.64.0.2", "10.0.0.1", 80), ACL_TCP_RULE, "or to our networks");
	acl_block_unref(block);
	prefs_default(&prefs);

	prefs.shields_up = true;
	block = compile("{" SELF "," PEERS ",\"PacketFilter\":[" WEB "]}", 0, "shields up");
	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 80), ACL_NO_RULE, "let nothing in");
	acl_block_unref(block);
	prefs_default(&prefs);
}

static void
test_capability_sources(void)
{
	struct acl_block *block =
		compile("{" SELF "," PEERS ",\"PacketFilter\":[{\"SrcIPs\":[\"cap:a.example/cap\"],"
			"\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":22,"
			"\"Last\":22}}]}]}",
			0, "a source that is a capability");

	tap_int(verdict(block, "100.64.0.3", "100.64.0.1", 22), ACL_TCP_RULE, "who has it");
	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 22), ACL_NO_RULE, "who has not");
	acl_block_unref(block);
}

static void
test_nothing(void)
{
	struct acl_block *block;

	tap_ok(compile("{" SELF "," PEERS "}", -ENODATA, "no filter yet") == NULL, "is none");
	block = compile(
		"{" SELF "," PEERS ",\"PacketFilters\":{\"*\":null}}", 0, "an empty filter");
	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 80), ACL_NO_RULE, "lets nothing in");
	acl_block_unref(block);
	block = compile("{" SELF "," PEERS ",\"PacketFilters\":{\"a\":[" WEB "],\"b\":[{\"SrcIPs\":"
			"[\"*\"],\"SrcBits\":[1]}]}}",
		0, "a filter with SrcBits");
	tap_int(verdict(block, "100.64.0.2", "100.64.0.1", 80), ACL_NO_RULE, "lets nothing in");
	acl_block_unref(block);
	tap_ok(compile("{" SELF ",\"Peers\":[{\"ID\":2,\"Addresses\":[\"100.64.0.2/32\"],"
		       "\"UnsignedPeerAPIOnly\":true}],\"PacketFilter\":[" WEB "]}",
		       -EPERM, "a filter that opens packets to a peer that is not signed") == NULL,
		"is not used");
	netmap_fini(&map);
	netmap_init(&map, 1);
	tap_int(tailnet_filter(&map, &prefs, NULL, 0, 1, &block), -ENODATA, "no map, no filter");
}

static void
check_capabilities(int64_t id, const char *wanted, const char *what)
{
	json_t *object = tailnet_capabilities(&map, netmap_find_id(&map, id));
	char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

	tap_text(text, wanted, what);
	free(text);
	json_decref(object);
}

static void
test_capabilities(void)
{
	start("{" SELF "," PEERS ",\"PacketFilter\":[{\"SrcIPs\":[\"100.64.0.2\","
	      "\"fd7a:115c:a1e0::2\"],\"CapGrant\":[{\"Dsts\":[\"100.64.0.1/32\","
	      "\"fd7a:115c:a1e0::1/128\"],\"Caps\":[\"a\"],\"CapMap\":{\"b\":[{\"x\":1},2]}}]},"
	      "{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"100.64.0.1/32\"],\"CapMap\":"
	      "{\"b\":[3]}},{\"Dsts\":[\"100.64.0.9/32\"],\"Caps\":[\"c\"]}]}]}");
	check_capabilities(2, "{\"a\":[],\"b\":[{\"x\":1},2,3]}", "what one peer may do");
	check_capabilities(3, "{\"b\":[3]}", "and another");
}

int
main(void)
{
	prefs_default(&prefs);
	test_rules();
	test_capability_sources();
	test_nothing();
	test_capabilities();
	netmap_fini(&map);
	return tap_done();
}
