/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Maps written down: every member that a map keeps, in the form in which it is written; sinks that
 * fail.  That maps are the same when they are read again is in netmap_test.c (all sessions of the
 * reference) and in the fuzz target map_json.
 */

#include "lib/tailnet/netmap_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define KEY64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char everything[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"gw.example.\",\"User\":7,"
	"\"Key\":\"nodekey:" KEY64 "\",\"KeyExpiry\":\"2027-01-02T03:04:05.678Z\","
	"\"KeySignature\":\"AQID\",\"Machine\":\"mkey:" KEY64 "\",\"DiscoKey\":\"discokey:" KEY64
	"\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"],\"AllowedIPs\":[],"
	"\"PrimaryRoutes\":[\"10.0.0.0/8\"],\"Endpoints\":[\"192.0.2.1:41641\","
	"\"[2001:db8::1]:1\"],\"Tags\":[\"tag:gw\"],\"CapMap\":{\"a\":null,"
	"\"b\":[1,\"x\",{\"y\":null}]},\"ExitNodeDNSResolvers\":[{\"Addr\":\"8.8.8.8\","
	"\"UseWithExitNode\":true}],\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"gw\","
	"\"RoutableIPs\":[\"10.0.0.0/8\"],\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":5},"
	"{\"Proto\":\"other\",\"Port\":0}],\"ShareeNode\":true},\"HomeDERP\":3,"
	"\"Created\":\"2026-01-01T00:00:00Z\",\"Cap\":138,\"LastSeen\":\"2026-01-02T00:00:00Z\","
	"\"Online\":false,\"MachineAuthorized\":true},"
	"\"DERPMap\":{\"Regions\":{\"-1\":{\"RegionID\":-1,\"Latitude\":0,\"Longitude\":0,"
	"\"Nodes\":[]},\"3\":{\"RegionID\":3,\"RegionCode\":\"c\",\"RegionName\":\"n\","
	"\"Latitude\":52.5,\"Longitude\":-0.125,\"Avoid\":true,\"NoMeasureNoHome\":true,"
	"\"Nodes\":[{\"Name\":\"3a\",\"RegionID\":3,\"HostName\":\"derp.example\","
	"\"CertName\":\"c.example\",\"IPv4\":\"192.0.2.9\",\"IPv6\":\"none\",\"STUNPort\":-1,"
	"\"DERPPort\":444,\"STUNOnly\":true,\"InsecureForTests\":true,\"CanPort80\":true,"
	"\"STUNTestIP\":\"192.0.2.8\"}]}},\"HomeParams\":{\"RegionScore\":{\"3\":0.5}},"
	"\"omitDefaultRegions\":true},"
	"\"DNSConfig\":{\"Resolvers\":[{\"Addr\":\"1.1.1.1\"}],\"FallbackResolvers\":"
	"[{\"Addr\":\"9.9.9.9\"}],\"Routes\":{\"a.example\":[{\"Addr\":\"10.0.0.1\"}],"
	"\"b.example\":null},\"Domains\":[\"d.example\"],\"Proxied\":true,\"CertDomains\":"
	"[\"e.example\"],\"ExtraRecords\":[{\"Name\":\"r.example\",\"Type\":\"A\","
	"\"Value\":\"10.0.0.2\"}],\"ExitNodeFilteredSet\":[\".f.example\"]},"
	"\"Domain\":\"example\",\"CollectServices\":true,\"Health\":[\"h\"],"
	"\"DisplayMessages\":{\"m\":{\"Title\":\"t\",\"Text\":\"x\",\"Severity\":\"high\","
	"\"ImpactsConnectivity\":true}},\"TKAInfo\":{\"Head\":\"hh\",\"Disabled\":true},"
	"\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"u@example\",\"DisplayName\":\"U\"},"
	"{\"ID\":8,\"LoginName\":\"v@example\",\"DisplayName\":\"V\"}],"
	"\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"0.0.0.0-255.255.255.255\",\"100.64.0.9\","
	"\"cap:c\"],\"DstPorts\":[{\"IP\":\"10.0.0.0-10.0.0.255\",\"Ports\":{\"First\":1,"
	"\"Last\":2}}],\"IPProto\":[256,6]},{\"SrcIPs\":[],\"IPProto\":[256],\"CapGrant\":"
	"[{\"Dsts\":[\"100.64.0.1/32\"],\"Caps\":[\"n\"],\"CapMap\":{\"v\":[1,{\"w\":2}]}}]}],"
	"\"rejected\":[{\"SrcBits\":[0]}]},"
	"\"Peers\":[{\"ID\":2,\"Addresses\":[],\"AllowedIPs\":[],\"UnsignedPeerAPIOnly\":true,"
	"\"Expired\":true,\"IsWireGuardOnly\":true,\"IsJailed\":true,"
	"\"SelfNodeV4MasqAddrForThisPeer\":\"100.64.9.9\","
	"\"SelfNodeV6MasqAddrForThisPeer\":\"fd7a::9\"},"
	"{\"ID\":9007199254740993,\"Addresses\":[],\"AllowedIPs\":[],\"Endpoints\":[]}]}";

struct text {
	char *at;
	size_t len, pieces, fails_at;
};

static int
append(void *context, const char *more, size_t len)
{
	struct text *t = context;
	char *longer;

	if (++t->pieces == t->fails_at)
		return -ENOSPC;
	longer = realloc(t->at, t->len + len + 1);
	if (longer == NULL)
		return -ENOMEM;
	memcpy(longer + t->len, more, len);
	t->at = longer;
	t->len += len;
	longer[t->len] = '\0';
	return 0;
}

static void
read_map(const char *text, struct netmap *m)
{
	struct netmap_changes changes = {};
	struct map_response r;

	netmap_init(m, 1);
	if (!tap_ok(map_response_parse(text, strlen(text), &r) == 0, "the text is a message"))
		return;
	tap_int(netmap_apply(m, &r, (struct instant){}, &changes), 0, "and makes a map");
	map_response_fini(&r);
	netmap_changes_fini(&changes);
}

static void
check(const char *text, const char *wanted, const char *what)
{
	struct text got = {};
	struct netmap m;

	read_map(text, &m);
	tap_int(netmap_write(&m, append, &got), 0, what);
	tap_text(got.at != NULL ? got.at : "", wanted, what);
	free(got.at);
	netmap_fini(&m);
}

static void
test_failures(void)
{
	struct text text = { .fails_at = 2 };
	struct netmap m;

	netmap_init(&m, 1);
	tap_int(netmap_write(&m, append, &text), ERR_BAD_FORMAT, "a map without ourselves is none");
	netmap_fini(&m);
	read_map(everything, &m);
	tap_int(netmap_write(&m, append, &text), -ENOSPC, "a sink's error ends the writing");
	tap_int((long long)text.pieces, 2, "at once");
	netmap_fini(&m);
	free(text.at);
}

#define EMPTY_SELF "\"Node\":{\"ID\":1,\"Addresses\":[],\"AllowedIPs\":[]}"

int
main(void)
{
	check(everything, everything, "everything that a map keeps");
	check("{\"Node\":{\"ID\":1}}",
		"{" EMPTY_SELF ",\"CollectServices\":false,\"UserProfiles\":[],\"Peers\":[]}",
		"a map of next to nothing");
	check("{\"Node\":{\"ID\":1},\"PacketFilters\":{\"*\":null}}",
		"{" EMPTY_SELF ",\"CollectServices\":false,\"UserProfiles\":[],"
		"\"PacketFilters\":{\"*\":null},\"Peers\":[]}",
		"a filter without lists is not the same as none");
	check("{\"Node\":{\"ID\":1},\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":"
	      "\"100.64.0.0/31\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]}",
		"{" EMPTY_SELF ",\"CollectServices\":false,\"UserProfiles\":[],\"PacketFilters\":"
		"{\"base\":[{\"SrcIPs\":[\"0.0.0.0-255.255.255.255\","
		"\"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"],\"DstPorts\":[{\"IP\":"
		"\"100.64.0.0-100.64.0.1\",\"Ports\":{\"First\":0,\"Last\":65535}}],\"IPProto\":"
		"[256,1,6,17,58]}]},\"Peers\":[]}",
		"a filter in its plain form");
	test_failures();
	return tap_done();
}
