/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What we send and what register answers: the examples of ../shared/protocol/control.md appendix C,
 * and requests that the reference client sent (argv[1]: tests/vectors/mapresponse).
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/capver.h"
#include "lib/tailnet/map_request.h"
#include "lib/tailnet/register.h"
#include "tests/lib/tap.h"

static json_t *
written(struct json_writer *w)
{
	const char *text = NULL;
	size_t len = 0;
	json_t *root = NULL;

	if (json_writer_finish(w, &text, &len) == 0 && strlen(text) == len)
		root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	tap_ok(root != NULL, "what was written is JSON");
	json_writer_fini(w);
	return root;
}

// Equal to the text, its Version apart, which is ours.
static void
check(struct json_writer *w, const char *wanted_text, const char *what)
{
	json_t *got = written(w), *wanted = json_loads(wanted_text, 0, NULL);
	char *got_text, *again;

	tap_int(json_integer_value(json_object_get(got, "Version")), TAILNET_CAPVER, "version");
	json_object_set_new(wanted, "Version", json_integer(TAILNET_CAPVER));
	got_text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);
	again = json_dumps(wanted, JSON_COMPACT | JSON_SORT_KEYS);
	tap_text(got_text, again, what);
	free(got_text);
	free(again);
	json_decref(got);
	json_decref(wanted);
}

#define LOG_ID  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ONES    "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS    "2222222222222222222222222222222222222222222222222222222222222222"
#define NINES   "9999999999999999999999999999999999999999999999999999999999999999"
#define ZEROS   "0000000000000000000000000000000000000000000000000000000000000000"
#define AUTHKEY "hskey-auth-0123456789ab-001122"

static void
test_register_request(void)
{
	struct own_hostinfo h = {
		.version = "1.98.2",
		.backend_log_id = LOG_ID,
		.os = "linux",
		.hostname = "laptop",
	};
	struct register_request r = { .hostinfo = &h, .auth_key = AUTHKEY "--TLsecret-more" };
	struct json_writer w = {};

	memset(r.node_key.bytes, 0x11, TAILKEY_LEN);
	memset(r.lock_key, 0x99, TAILKEY_LEN);
	register_request_write(&w, &r);
	check(&w,
		"{\"NodeKey\":\"nodekey:" ONES "\",\"OldNodeKey\":\"nodekey:" ZEROS
		"\",\"NLKey\":\"nlpub:" NINES "\",\"Auth\":{\"AuthKey\":\"" AUTHKEY
		"\"},\"Expiry\":\"0001-01-01T00:00:00Z\",\"Followup\":\"\",\"Hostinfo\":{"
		"\"IPNVersion\":\"1.98.2\",\"BackendLogID\":\"" LOG_ID
		"\",\"OS\":\"linux\",\"Hostname\":\"laptop\"},\"NodeKeySignature\":null}",
		"appendix C.1, the auth key without what is behind --TL");

	r = (struct register_request){
		.node_key = r.node_key,
		.expiry = REGISTER_LOGOUT_EXPIRY,
		.followup = "https://x/register/1",
		.is_ephemeral = true,
		.key_signature = &(struct octets){ (uint8_t[]){ 1, 2, 3, 4 }, 4 },
		.tailnet = "required:example.com",
	};
	register_request_write(&w, &r);
	check(&w,
		"{\"NodeKey\":\"nodekey:" ONES "\",\"OldNodeKey\":\"nodekey:" ZEROS
		"\",\"NLKey\":\"nlpub:" ZEROS
		"\",\"Expiry\":\"1970-01-01T00:02:03Z\",\"Followup\":\"https://x/register/1\","
		"\"Hostinfo\":null,\"Ephemeral\":true,\"NodeKeySignature\":\"AQIDBA==\","
		"\"Tailnet\":\"required:example.com\"}",
		"logging out");
}

static void
test_map_requests(void)
{
	struct own_hostinfo h = { .os = "linux", .hostname = "laptop", .backend_log_id = LOG_ID };
	struct region_latency latency = { 900, ADDR_V4, 12000 };
	struct net_info net = {
		.mapping_varies_by_destination = TRI_FALSE,
		.working_udp = TRI_TRUE,
		.working_ipv6 = TRI_FALSE,
		.preferred_region = 900,
		.latencies = &latency,
		.n_latencies = 1,
	};
	struct map_request r = { .hostinfo = &h, .stream = true, .compress_zstd = true };
	struct own_endpoint endpoints[2] = { { .kind = ENDPOINT_STUN },
		{ .kind = ENDPOINT_LOCAL } };
	struct own_service service = { "peerapi4", 40001, NULL };
	struct prefix route;
	struct json_writer w = {};

	memset(r.node_key.bytes, 0x11, TAILKEY_LEN);
	memset(r.disco_key.bytes, 0x22, TAILKEY_LEN);
	map_request_write(&w, &r);
	check(&w,
		"{\"Compress\":\"zstd\",\"KeepAlive\":true,\"NodeKey\":\"nodekey:" ONES
		"\",\"DiscoKey\":\"discokey:" TWOS
		"\",\"Stream\":true,\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"laptop\","
		"\"BackendLogID\":\"" LOG_ID "\"}}",
		"appendix C.2, the long poll");

	if (prefix_parse("10.20.0.0/16", &route) != 0 ||
		endpoint_parse("198.51.100.20:41641", &endpoints[0].endpoint) != 0 ||
		endpoint_parse("[2001:db8::1]:41641", &endpoints[1].endpoint) != 0)
		tap_ok(false, "addresses");
	h.routable_ips = &route;
	h.n_routable_ips = 1;
	h.services = &service;
	h.n_services = 1;
	h.net_info = &net;
	r.stream = false;
	r.omit_peers = true;
	r.endpoints = endpoints;
	r.n_endpoints = 2;
	map_request_write(&w, &r);
	check(&w,
		"{\"Compress\":\"zstd\",\"KeepAlive\":true,\"NodeKey\":\"nodekey:" ONES
		"\",\"DiscoKey\":\"discokey:" TWOS "\",\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":"
		"\"laptop\",\"BackendLogID\":\"" LOG_ID "\",\"RoutableIPs\":[\"10.20.0.0/16\"],"
		"\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":40001}],"
		"\"NetInfo\":{\"MappingVariesByDestIP\":false,\"WorkingUDP\":true,"
		"\"WorkingIPv6\":false,\"PreferredDERP\":900,\"DERPLatency\":{\"900-v4\":0.012}}},"
		"\"Endpoints\":[\"198.51.100.20:41641\",\"[2001:db8::1]:41641\"],"
		"\"EndpointTypes\":[2,1],\"OmitPeers\":true}",
		"appendix C.2, an update");
}

// A tri-state may have been null.
static bool
is_alike(const json_t *a, const json_t *b)
{
	return b != NULL &&
	       (json_typeof(a) == json_typeof(b) ||
		       (json_is_boolean(a) && (json_is_boolean(b) || json_is_null(b))));
}

// Names of all members below, but not those inside maps that are keyed by something else.
static void
check_names(const json_t *ours, const json_t *theirs, const char *where)
{
	json_t *value;
	const char *name;

	json_object_foreach((json_t *)ours, name, value)
	{
		json_t *other = json_object_get(theirs, name);

		tap_ok(is_alike(value, other), "%s: %s has the reference's name and type", where,
			name);
		if (json_is_object(value) && strcmp(name, "DERPLatency") != 0)
			check_names(value, other, where);
	}
}

// Everything that we name was named so by the reference client.
static void
test_recorded(const char *folder)
{
	struct own_hostinfo h = { .os = "linux", .hostname = "gw", .backend_log_id = LOG_ID };
	struct net_info net = { .working_udp = TRI_TRUE,
		.working_ipv6 = TRI_FALSE,
		.os_has_ipv6 = TRI_TRUE,
		.preferred_region = 1 };
	struct map_request r = { .hostinfo = &h, .compress_zstd = true, .omit_peers = true };
	struct prefix route = { { ADDR_V4, { 10 } }, 8 };
	struct json_writer w = {};
	json_t *ours, *theirs;
	char path[4096];

	h.version = "1";
	h.os_version = "1";
	h.distro = h.distro_version = h.distro_code_name = "1";
	h.machine = h.arch = "1";
	h.routable_ips = &route;
	h.n_routable_ips = 1;
	h.net_info = &net;
	map_request_write(&w, &r);
	ours = written(&w);
	snprintf(path, sizeof(path), "%s/01-join.gw.07.request.json", folder);
	theirs = json_load_file(path, 0, NULL);
	tap_ok(theirs != NULL, "a recorded request");
	check_names(ours, theirs, "update");
	json_decref(ours);
	json_decref(theirs);
}

static void
test_writer(void)
{
	struct json_writer w = {};
	const char *text = "";
	size_t len;

	json_write_open(&w, NULL, '{');
	json_write_text(&w, "a\"b",
		"\\ \x01 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xff \xc0\x80"
		" \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
	json_write_int(&w, "min", INT64_MIN);
	json_write_micros(&w, "s", 1500000);
	json_write_micros(&w, "whole", 2000000);
	json_write_micros(&w, "zero", 0);
	json_write_micros(&w, "minus", -1);
	json_write_open(&w, "e", '[');
	json_write_close(&w, ']');
	json_write_octets(&w, "1", &(struct octets){ (uint8_t[]){ 0xfb }, 1 });
	json_write_octets(&w, "2", &(struct octets){ (uint8_t[]){ 0xfb, 0xff }, 2 });
	json_write_octets(&w, "3", &(struct octets){ (uint8_t[]){ 0xfb, 0xff, 0xfe }, 3 });
	json_write_close(&w, '}');
	tap_int(json_writer_finish(&w, &text, &len), 0, "finished");
	tap_text(text,
		"{\"a\\\"b\":\"\\\\ \\u0001 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 "
		"\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\","
		"\"min\":-9223372036854775808,\"s\":1.5,\"whole\":2,\"zero\":0,\"minus\":-0.000001,"
		"\"e\":[],\"1\":\"+w==\",\"2\":\"+/8=\",\"3\":\"+//+\"}",
		"escapes and what is no UTF-8");
	json_writer_fini(&w);
}

static void
test_long_texts(void)
{
	struct json_writer w = {};
	const char *text = "";
	char name[300];
	size_t len = 0;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	json_write_open(&w, NULL, '[');
	for (int i = 0; i < 1000; i++)
		json_write_text(&w, NULL, name);
	json_write_close(&w, ']');
	tap_int(json_writer_finish(&w, &text, &len), 0, "a long text");
	tap_int((long long)len, 1000 * 302 + 1, "its length");
	json_writer_fini(&w);
}

static void
test_register_response(void)
{
	static const char ok[] =
		"{\"User\":{\"ID\":1001,\"DisplayName\":\"Alice\"},\"Login\":{\"ID\":1001,"
		"\"Provider\":\"\",\"LoginName\":\"alice@example.com\",\"DisplayName\":\"A\"},"
		"\"NodeKeyExpired\":false,\"MachineAuthorized\":true,\"AuthURL\":\"\","
		"\"NodeKeySignature\":null,\"Error\":\"\",\"Future\":[1,{}]}";
	static const char url[] = "{\"AuthURL\":\"https://h/register/x\",\"nodekeyexpired\":true,"
				  "\"NodeKeySignature\":\"AQID\"}";
	struct register_response r;

	tap_int(register_response_parse(ok, strlen(ok), &r), 0, "appendix C.1, an answer");
	tap_int(r.user_id, 1001, "user");
	tap_text(r.login_name, "alice@example.com", "login");
	tap_text(r.user_display_name, "Alice", "display name");
	tap_ok(r.machine_authorized && !r.node_key_expired, "authorized");
	tap_text(r.error, "", "no error");
	register_response_fini(&r);
	tap_int(register_response_parse(url, strlen(url), &r), 0, "another");
	tap_text(r.auth_url, "https://h/register/x", "an URL");
	tap_ok(r.node_key_expired, "names match whatever their case");
	tap_ok(r.key_signature.len == 3 && memcmp(r.key_signature.at, "\1\2\3", 3) == 0,
		"a signature");
	register_response_fini(&r);
	tap_int(register_response_parse("{\"User\":5}", 10, &r), ERR_BAD_FORMAT, "another type");
	tap_int(register_response_parse("nothing", 7, &r), ERR_BAD_FORMAT, "no JSON");
	tap_int(register_response_parse("", 0, &r), ERR_BAD_FORMAT, "nothing at all");
}

static void
test_small_documents(void)
{
	static const struct {
		const char *text;
		int err;
		const char *what;
	} early[] = {
		{ "{\"nodeKeyChallenge\":\"chalpub:" ONES "\"}", 0, "a challenge" },
		{ "{}", 0, "an empty object" },
		{ "{\"future\":[1,2,{\"a\":null}]}", 0, "unknown members" },
		{ "null", 0, "null" },
		{ "", ERR_BAD_FORMAT, "nothing" },
		{ "{\"nodeKeyChallenge\":\"chalpub:00\"}", ERR_BAD_FORMAT, "a short challenge" },
	};
	static const char keys[] =
		"{\"legacyPublicKey\":\"mkey:" ZEROS "\",\"publicKey\":\"mkey:" ONES "\"}";
	struct control_keys k;

	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		tap_int(early_payload_check(early[i].text, strlen(early[i].text)), early[i].err,
			early[i].what);
	tap_int(control_keys_parse(keys, strlen(keys), &k), 0, "the server's keys");
	tap_ok(k.current.bytes[0] == 0x11 && tailkey_is_zero(k.legacy.bytes), "both of them");
	tap_int(control_keys_parse(ONES, 64, &k), ERR_BAD_FORMAT, "a very old server's answer");
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	test_writer();
	test_long_texts();
	test_register_request();
	test_map_requests();
	test_recorded(argv[1]);
	test_register_response();
	test_small_documents();
	return tap_done();
}
