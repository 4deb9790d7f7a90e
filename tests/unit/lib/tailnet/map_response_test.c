/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Single messages: what real servers sent (argv[1]: tests/vectors/mapresponse), rows of what is
 * taken and what is refused, and limits.
 */

#include "lib/tailnet/map_response.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_span.h"
#include "tests/lib/tap.h"

static size_t
array_size(const json_t *root, const char *name)
{
	return json_array_size(json_object_get(root, name));
}

static bool
has(const json_t *root, const char *name)
{
	const json_t *value = json_object_get(root, name);

	return value != NULL && !json_is_null(value);
}

static void
check_node(const struct node *node, const json_t *wanted, const char *file)
{
	const json_t *hostinfo = json_object_get(wanted, "Hostinfo");

	tap_ok(node->id == json_integer_value(json_object_get(wanted, "ID")) &&
			text_equal(node->name, json_string_value(json_object_get(wanted, "Name"))),
		"%s: node %s", file, node->name);
	tap_ok(node->addresses.n == array_size(wanted, "Addresses") &&
			node->allowed_ips.n == array_size(wanted, "AllowedIPs") &&
			node->primary_routes.n == array_size(wanted, "PrimaryRoutes") &&
			node->endpoints.n == array_size(wanted, "Endpoints") &&
			node->tags.n == array_size(wanted, "Tags"),
		"%s: its lists", file);
	tap_ok(node->capabilities.n == json_object_size(json_object_get(wanted, "CapMap")),
		"%s: its capabilities", file);
	tap_ok(node->is_expired == json_is_true(json_object_get(wanted, "Expired")) &&
			node->has_last_seen == has(wanted, "LastSeen") &&
			(node->online != TRI_UNKNOWN) == has(wanted, "Online"),
		"%s: its state", file);
	tap_ok(node->hostinfo != NULL &&
			node->hostinfo->routable_ips.n == array_size(hostinfo, "RoutableIPs") &&
			node->hostinfo->n_services == array_size(hostinfo, "Services"),
		"%s: what it says of itself", file);
}

static void
check_message(const struct map_response *r, const json_t *root, const char *file)
{
	const json_t *peers = json_object_get(root, "Peers");
	const json_t *changed = json_object_get(root, "PeersChanged");

	tap_ok(r->is_keep_alive == json_is_true(json_object_get(root, "KeepAlive")) &&
			(r->node != NULL) == has(root, "Node") &&
			(r->derp_map != NULL) == has(root, "DERPMap") &&
			(r->dns != NULL) == has(root, "DNSConfig") &&
			(r->packet_filters != NULL) == has(root, "PacketFilters"),
		"%s: what is there", file);
	tap_ok(r->n_peers == json_array_size(peers) &&
			r->n_peers_changed == json_array_size(changed) &&
			r->n_peers_removed == array_size(root, "PeersRemoved") &&
			r->n_patches == array_size(root, "PeersChangedPatch") &&
			r->n_users == array_size(root, "UserProfiles"),
		"%s: its lists", file);
	if (r->node != NULL)
		check_node(r->node, json_object_get(root, "Node"), file);
	for (size_t i = 0; i < r->n_peers; i++)
		check_node(r->peers[i], json_array_get(peers, i), file);
	for (size_t i = 0; i < r->n_peers_changed; i++)
		check_node(r->peers_changed[i], json_array_get(changed, i), file);
}

static void
test_file(const char *folder, const char *name)
{
	char path[4096];
	static char text[256 * 1024];
	struct map_response r;
	json_t *root;
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	len = file != NULL ? fread(text, 1, sizeof(text), file) : 0;
	if (file != NULL)
		fclose(file);
	root = json_loadb(text, len, 0, NULL);
	if (tap_ok(root != NULL && map_response_parse(text, len, &r) == 0, "%s", name)) {
		check_message(&r, root, name);
		map_response_fini(&r);
	}
	json_decref(root);
}

static void
test_recorded(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int files = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (strstr(entry->d_name, ".response.json") != NULL) {
			test_file(folder, entry->d_name);
			files++;
		}
	if (dir != NULL)
		closedir(dir);
	tap_int(files, 30, "recorded messages");
}

#define KEY     "nodekey:1111111111111111111111111111111111111111111111111111111111111111"
#define PEER(x) "{\"PeersChanged\":[{\"ID\":1," x "}]}"

static const struct {
	const char *text;
	int err;
	const char *what;
} rows[] = {
	{ "{}", 0, "an empty message" },
	{ " \n{ } \t", 0, "with white space" },
	{ "{\"KeepAlive\":true}", 0, "a keep-alive" },
	{ "{\"Unknown\":{\"a\":[1,2,3]},\"X\":null}", 0, "unknown members" },
	{ "{\"peers\":[],\"NODE\":{\"id\":7}}", 0, "names of another case" },
	{ "{\"Pee\\u0072s\":[]}", 0, "an escape in a name" },
	{ "{\"Node\":null,\"Peers\":null,\"DERPMap\":null,\"PeersChangedPatch\":[null]}", 0,
		"null for everything" },
	{ "{\"Node\":{\"ID\":9223372036854775807}}", 0, "the largest ID" },
	{ PEER("\"Key\":\"" KEY "\""), 0, "a key" },
	{ PEER("\"Key\":null"), 0, "no key" },
	{ PEER("\"Endpoints\":[\"1.2.3.4:0\",\"[fe80::1%eth0]:5\",\"\",null]"), 0,
		"endpoints of no use" },
	{ PEER("\"Name\":\"a\\u0000b\""), 0, "a zero in a name" },
	{ PEER("\"Name\":\"\\ud83d\\ude00 \\u003c\""), 0, "surrogates and escapes" },
	{ PEER("\"Hostinfo\":{\"Services\":[{\"Proto\":\"x\",\"Port\":1}]}"), 0, "services" },
	{ "{\"OnlineChange\":{\"7505081523480181\":true,\"2\":null}}", 0, "IDs as names" },
	{ "{\"Health\":[\"a\",null]}", 0, "null in a list of texts" },
	{ "{\"DERPMap\":{\"Regions\":{\"1\":null,\"2\":{\"Nodes\":[null]}}}}", 0, "null regions" },

	{ "", ERR_BAD_FORMAT, "nothing" },
	{ "{", ERR_BAD_FORMAT, "half an object" },
	{ "{\"Peers\"", ERR_BAD_FORMAT, "half a member" },
	{ "{\"Peers\":", ERR_BAD_FORMAT, "no value" },
	{ "{\"Peers\":}", ERR_BAD_FORMAT, "no value at the end" },
	{ "{\"Peers\":[]", ERR_BAD_FORMAT, "no end" },
	{ "{\"Peers\":[}}", ERR_BAD_FORMAT, "brackets of different kinds" },
	{ "{\"Peers\":[],}", ERR_BAD_FORMAT, "a comma too many" },
	{ "{\"Peers\":[{},]}", ERR_BAD_FORMAT, "a comma too many in a list" },
	{ "{\"Peers\":[{} {}]}", ERR_BAD_FORMAT, "no comma" },
	{ "{,}", ERR_BAD_FORMAT, "only a comma" },
	{ "{Peers:[]}", ERR_BAD_FORMAT, "a name without quotes" },
	{ "{\"a\":tru}", ERR_BAD_FORMAT, "no JSON in an unknown member" },
	{ "{\"a\":\"\\", ERR_BAD_FORMAT, "a backslash at the end" },
	{ "{}{}", ERR_BAD_FORMAT, "two messages" },
	{ "[]", ERR_BAD_FORMAT, "an array" },
	{ "null", ERR_BAD_FORMAT, "no object" },
	{ "{\"Peers\":{}}", ERR_BAD_FORMAT, "an object for a list" },
	{ "{\"Peers\":\"\"}", ERR_BAD_FORMAT, "a text for a list" },
	{ "{\"PeersRemoved\":[1.5]}", ERR_BAD_FORMAT, "a fraction for an ID" },
	{ "{\"PeersRemoved\":[\"1\"]}", ERR_BAD_FORMAT, "a text for an ID" },
	{ "{\"PeersRemoved\":[9223372036854775808]}", ERR_BAD_FORMAT, "an ID beyond 63 bits" },
	{ "{\"OnlineChange\":{\"x\":true}}", ERR_BAD_FORMAT, "a name that is no ID" },
	{ "{\"OnlineChange\":{\"1\":1}}", ERR_BAD_FORMAT, "a number for a truth" },
	{ "{\"KeepAlive\":1}", ERR_BAD_FORMAT, "a number for KeepAlive" },
	{ "{\"Domain\":5}", ERR_BAD_FORMAT, "a number for a text" },
	{ "{\"ControlTime\":\"yesterday\"}", ERR_BAD_FORMAT, "no time" },
	{ PEER("\"Key\":\"\""), ERR_BAD_FORMAT, "an empty key" },
	{ PEER("\"Key\":\"disco" KEY "\""), ERR_BAD_FORMAT, "a key of another kind" },
	{ PEER("\"Key\":5"), ERR_BAD_FORMAT, "a number for a key" },
	{ PEER("\"Addresses\":[\"1.2.3.4\"]"), ERR_BAD_FORMAT, "an address for a prefix" },
	{ PEER("\"Addresses\":[\"1.2.3.4/33\"]"), ERR_BAD_FORMAT, "a prefix too long" },
	{ PEER("\"Addresses\":[\"1.2.3.4/32\\u0000\"]"), ERR_BAD_FORMAT, "a zero in a prefix" },
	{ PEER("\"Endpoints\":[\"1.2.3.4\"]"), ERR_BAD_FORMAT, "an endpoint without port" },
	{ PEER("\"Endpoints\":[\"::1:5\"]"), ERR_BAD_FORMAT, "an endpoint without brackets" },
	{ PEER("\"Endpoints\":[\"1.2.3.4:65536\"]"), ERR_BAD_FORMAT, "a port too large" },
	{ PEER("\"Endpoints\":[\"[fe80::1%]:5\"]"), ERR_BAD_FORMAT, "an empty zone" },
	{ PEER("\"Endpoints\":[\"[fe80::1%eth0]:70000\"]"), ERR_BAD_FORMAT, "zone, bad port" },
	{ PEER("\"Endpoints\":[\"hostname:0\"]"), ERR_BAD_FORMAT, "a name and port 0" },
	{ PEER("\"Online\":\"\""), ERR_BAD_FORMAT, "a text for a truth" },
	{ PEER("\"HomeDERP\":4294967296"), ERR_BAD_FORMAT, "a region too large" },
	{ PEER("\"KeySignature\":\"A\""), ERR_BAD_FORMAT, "no base64" },
	{ PEER("\"KeySignature\":\"A===\""), ERR_BAD_FORMAT, "too much padding" },
	{ PEER("\"CapMap\":{\"a\":5}"), ERR_BAD_FORMAT, "a capability that is no list" },
	{ PEER("\"Hostinfo\":[]"), ERR_BAD_FORMAT, "Hostinfo that is a list" },
	{ "{\"DERPMap\":{\"Regions\":{\"x\":{}}}}", ERR_BAD_FORMAT, "a region without number" },
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);
		char *copy = malloc(len > 0 ? len : 1); // without a zero behind it
		struct map_response r;
		int err;

		memcpy(copy, rows[i].text, len);
		err = map_response_parse(copy, len, &r);
		tap_int(err, rows[i].err, rows[i].what);
		if (err == 0)
			map_response_fini(&r);
		free(copy);
	}
}

// Twice the same member, in whatever case: the last counts, and nothing is lost.
static void
test_twice(void)
{
	static const char text[] =
		"{\"Peers\":[{\"ID\":1,\"Name\":\"a\",\"name\":\"b\",\"CapMap\":{\"x\":null},"
		"\"capmap\":{\"y\":null},\"Endpoints\":[\"1.2.3.4:5\"],\"endpoints\":[]}],"
		"\"peers\":[{\"ID\":2},{\"ID\":3,\"Hostinfo\":{\"OS\":\"x\"},\"hostinfo\":{\"OS\":"
		"\"y\"}}],\"Node\":{\"ID\":8},\"node\":{\"ID\":9},\"DNSConfig\":{\"Domains\":["
		"\"a\"]},"
		"\"dnsconfig\":{\"Domains\":[\"b\"]},\"Domain\":\"a\",\"domain\":\"b\","
		"\"OnlineChange\":{\"1\":true},\"onlinechange\":{\"2\":true},\"PingRequest\":{"
		"\"URL\":\"u\"},\"pingrequest\":{\"URL\":\"v\"},\"PacketFilter\":[],"
		"\"packetfilter\":[]}";
	struct map_response r;

	if (!tap_ok(map_response_parse(text, strlen(text), &r) == 0, "members twice"))
		return;
	tap_ok(r.n_peers == 2 && r.peers[0]->id == 2 && r.node->id == 9, "the last list");
	tap_text(r.peers[1]->hostinfo->os, "y", "the last Hostinfo");
	tap_text(r.domain, "b", "the last text");
	tap_text(r.dns->search_domains.at[0], "b", "the last DNS");
	tap_ok(r.n_online_changes == 1 && r.online_changes[0].id == 2, "the last changes");
	tap_text(r.ping->url, "v", "the last ping");
	map_response_fini(&r);
}

static void
test_old_forms(void)
{
	static const char text[] =
		"{\"Peers\":[{\"ID\":1,\"DERP\":\"127.3.3.40:7\",\"Addresses\":[\"100.64.0.1/"
		"32\"]},"
		"{\"ID\":2,\"DERP\":\"127.3.3.40:7\",\"HomeDERP\":3,\"AllowedIPs\":[]},"
		"{\"ID\":3,\"DERP\":\"10.0.0.1:7\",\"UnsignedPeerAPIOnly\":true,"
		"\"Addresses\":[\"100.64.0.3/32\"],\"AllowedIPs\":[\"0.0.0.0/0\"]},"
		"{\"ID\":4,\"Capabilities\":[\"b\",\"d\",\"b\"],\"CapMap\":{\"c\":[1,\"x\"],\"a\":"
		"null}}]}";
	struct map_response r;
	struct capabilities *c;

	if (!tap_ok(map_response_parse(text, strlen(text), &r) == 0, "old forms"))
		return;
	tap_int(r.peers[0]->home_region, 7, "DERP is the home region");
	tap_int(r.peers[1]->home_region, 3, "unless there is HomeDERP");
	tap_int(r.peers[2]->home_region, 0, "or it is another address");
	tap_int((long long)r.peers[0]->allowed_ips.n, 1, "AllowedIPs omitted: the addresses");
	tap_int((long long)r.peers[1]->allowed_ips.n, 0, "empty: none");
	tap_ok(prefixes_equal(&r.peers[2]->allowed_ips, &r.peers[2]->addresses),
		"of an unsigned peer: the addresses");
	c = &r.peers[3]->capabilities;
	tap_ok(c->n == 4 && strcmp(c->at[0].name, "a") == 0 && strcmp(c->at[3].name, "d") == 0,
		"old capabilities join the new");
	tap_ok(capabilities_find(c, "b") != NULL && capabilities_find(c, "e") == NULL, "are found");
	tap_text(capabilities_find(c, "c")->values, "[1,\"x\"]", "with their values");
	map_response_fini(&r);
}

static void
test_one_shots(void)
{
	static const char text[] =
		"{\"KeepAlive\":true,\"MapSessionHandle\":\"h\",\"Seq\":5,"
		"\"ControlTime\":\"2026-08-22T12:00:00Z\",\"PopBrowserURL\":\"u\","
		"\"PingRequest\":{\"URL\":\"https://unused/"
		"x\",\"URLIsNoise\":true,\"Types\":\"c2n\","
		"\"Payload\":\"R0VU\"},\"Debug\":{\"SleepSeconds\":1.5,\"DisableLogTail\":true,"
		"\"Exit\":0},\"ControlDialPlan\":{\"Candidates\":[{\"IP\":\"192.0.2.1\","
		"\"DialTimeoutSec\":2,\"Priority\":1},{\"ACEHost\":\"a\"}]},"
		"\"ClientVersion\":{\"LatestVersion\":\"2\",\"Notify\":true},"
		"\"CollectServices\":false,\"TKAInfo\":{\"Head\":\"A\"}}";
	struct map_response r;

	if (!tap_ok(map_response_parse(text, strlen(text), &r) == 0, "one-shot members"))
		return;
	tap_ok(r.is_keep_alive && r.seq == 5, "a keep-alive");
	tap_ok(r.ping != NULL && r.ping->url_is_noise && r.ping->payload.len == 3 &&
			memcmp(r.ping->payload.at, "GET", 3) == 0,
		"a ping");
	tap_ok(r.debug != NULL && r.debug->sleep_s == 1.5 && r.debug->has_exit_code &&
			r.debug->disable_log_tail == TRI_TRUE,
		"debug");
	tap_ok(r.dial_plan != NULL && r.dial_plan->n_candidates == 2 &&
			r.dial_plan->candidates[0].timeout_s == 2,
		"a dial plan");
	tap_ok(r.client_version != NULL && r.client_version->notify, "a version");
	tap_ok(r.collect_services == TRI_FALSE, "false is not absent");
	tap_ok(r.lock != NULL && !r.lock->is_disabled, "tailnet lock");
	tap_int(instant_compare(r.control_time, instant_from_unix(1787400000, 0)), 0, "time");
	map_response_fini(&r);
}

// `n` times `piece` between head and tail.
static char *
repeat(const char *head, const char *piece, size_t n, const char *tail, size_t *ret_len)
{
	size_t len = strlen(piece);
	char *text = malloc(strlen(head) + n * len + strlen(tail) + 1), *at;

	at = stpcpy(text, head);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(at, piece, len);
	strcpy(at, tail);
	*ret_len = strlen(text);
	return text;
}

static void
check_repeated(const char *head,
	const char *piece,
	size_t n,
	const char *tail,
	int wanted,
	const char *what)
{
	struct map_response r;
	size_t len;
	char *text = repeat(head, piece, n, tail, &len);
	int err = map_response_parse(text, len, &r);

	tap_int(err, wanted, what);
	if (err == 0)
		map_response_fini(&r);
	free(text);
}

static void
test_limits(void)
{
	struct map_response r;
	size_t len;
	char *tags;

	check_repeated("{\"a\":", "[", JSON_MAX_DEPTH + 1, "}", -E2BIG, "too deep");
	check_repeated("{\"a\":", "[", 1000000, "}", -E2BIG, "much too deep");
	check_repeated("{\"a\":", "{\"a\":", 1000000, "}", -E2BIG, "objects, too");
	check_repeated("{\"a\":[", "0,", JSON_MAX_VALUES, "0]}", -E2BIG, "too many values");
	check_repeated("{\"a\":[", "0,", JSON_MAX_VALUES - 2, "0]}", 0, "as many as may be");
	check_repeated("{\"a\":\"", "x", JSON_MAX_LOAD_LEN, "\"}", -E2BIG, "a value too long");
	check_repeated("{\"Peers\":[", "{},", MAP_MAX_PEERS, "{}]}", -E2BIG, "too many peers");
	check_repeated("{\"Peers\":[", "{},", MAP_MAX_PEERS - 1, "{}]}", 0, "as many as may be");
	tags = repeat("{\"Tags\":[", "\"\",", 150, "\"\"]},", &len);
	check_repeated("{\"Peers\":[", tags, 99000, "{}]}", -E2BIG, "more than the budget");
	check_repeated("{\"Peers\":[", tags, 1000, "{}]}", 0, "but not less");
	free(tags);
	tap_int(map_response_parse("{}", MAP_MAX_LEN + 1, &r), -E2BIG, "a text too long");
}

// Cut anywhere it is refused, and nothing is read behind its end.
static void
test_cut(void)
{
	static const char text[] = "{\"Node\":{\"ID\":1,\"Hostinfo\":{\"OS\":\"a\\\"b\"}},"
				   "\"Peers\":[{\"ID\":2},{\"ID\":"
				   "3}],\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"]}]},"
				   "\"UserProfiles\":[{\"ID\":1}]}";
	size_t accepted = 0;

	for (size_t len = 0; len < strlen(text); len++) {
		char *copy = malloc(len > 0 ? len : 1);
		struct map_response r;

		memcpy(copy, text, len);
		if (map_response_parse(copy, len, &r) == 0) {
			map_response_fini(&r);
			accepted++;
		}
		free(copy);
	}
	tap_int((long long)accepted, 0, "cut messages accepted");
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	test_recorded(argv[1]);
	test_rows();
	test_twice();
	test_old_forms();
	test_one_shots();
	test_limits();
	test_cut();
	return tap_done();
}
