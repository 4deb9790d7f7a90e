/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The infos of the reference's transcript (argv[1]: tests/vectors/derp.json) opened, and sealed
 * again byte for byte with the nonces they had; then what either side may claim.
 */

#include "lib/derp/info.h"

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/derp/message.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static const json_t *keys;

static struct box_key
shared_key(const char *mine, const char *theirs)
{
	struct secret_key secret, other;
	struct public_key public;
	struct box_key key;

	vector_pair(json_object_get(keys, theirs), &other, &public);
	vector_pair(json_object_get(keys, mine), &secret, &(struct public_key){});
	if (box_key_init(&key, &secret, &public) != 0)
		exit(1);
	return key;
}

static bool
json_says(const json_t *json, const char *name)
{
	return json_is_true(json_object_get(json, name));
}

static void
test_client_info(const json_t *v, const uint8_t *data, size_t len)
{
	json_t *json = json_loads(vector_text(v, "opened_box"), 0, NULL);
	struct box_key server = shared_key("server", vector_text(v, "conn"));
	struct box_key client = shared_key(vector_text(v, "conn"), "server");
	uint8_t made[DERP_CLIENT_INFO_MAX_LEN];
	struct derp_client_info info;

	tap_int(derp_client_info_open(data, len, &server, &info), 0, vector_text(v, "opened_box"));
	tap_int(info.version, json_integer_value(json_object_get(json, "version")), "version");
	tap_int(info.can_ack_pings, json_says(json, "CanAckPings"), "CanAckPings");
	tap_int(info.is_prober, json_says(json, "IsProber"), "IsProber");
	tap_int(info.has_mesh_key, json_object_get(json, "meshKey") != NULL, "meshKey is there");
	if (info.has_mesh_key) {
		struct public_key mesh = vector_public(vector_text(json, "meshKey"));

		tap_bytes(&info.mesh_key, &mesh, KEY_LEN, "meshKey");
	}
	tap_int((long long)derp_client_info_seal(made, &info, &client, data), (long long)len,
		"sealed to the same length");
	tap_bytes(made, data, len, "and the same bytes");
	json_decref(json);
}

static void
test_server_info(const json_t *v, const uint8_t *data, size_t len)
{
	struct box_key client = shared_key(vector_text(v, "conn"), "server");
	struct box_key server = shared_key("server", vector_text(v, "conn"));
	uint8_t made[DERP_SERVER_INFO_MAX_LEN];
	struct derp_server_info info;

	tap_int(derp_server_info_open(data, len, &client, &info), 0, vector_text(v, "opened_box"));
	tap_int(info.version, 2, "version");
	tap_int(info.bytes_per_second, 0, "no limit");
	tap_int((long long)derp_server_info_seal(made, &info, &server, data), (long long)len,
		"sealed to the same length");
	tap_bytes(made, data, len, "and the same bytes");
}

static void
test_transcript(const json_t *transcript)
{
	const json_t *v;
	size_t i;

	json_array_foreach(transcript, i, v)
	{
		size_t len;
		uint8_t *data;

		if (json_object_get(v, "opened_box") == NULL)
			continue;
		data = vector_hex(v, "frame", &len);
		if (data[0] == DERP_CLIENT_INFO)
			test_client_info(v, data + DERP_HEADER_LEN + KEY_LEN,
				len - DERP_HEADER_LEN - KEY_LEN);
		else
			test_server_info(v, data + DERP_HEADER_LEN, len - DERP_HEADER_LEN);
		free(data);
	}
}

// Other infos that the reference's client took: sealed again with their limits.
static void
test_limits(const json_t *cases)
{
	static const char name[] = "server info {\"version\":2,\"TokenBucketBytesPerSecond\":1000,"
				   "\"TokenBucketBytesBurst\":2000}";
	struct box_key client = shared_key("a", "server");
	struct derp_server_info info;
	const json_t *v;
	size_t i, found = 0;

	json_array_foreach(cases, i, v)
	{
		uint8_t made[DERP_SERVER_INFO_MAX_LEN], *frame, *data;
		size_t len;

		if (strcmp(vector_text(v, "name"), name) != 0)
			continue;
		found++;
		frame = vector_hex(v, "frame", &len);
		data = frame + DERP_HEADER_LEN;
		len -= DERP_HEADER_LEN;
		tap_int(derp_server_info_open(data, len, &client, &info), 0, "limits");
		tap_int(info.bytes_per_second, 1000, "bytes per second");
		tap_int(info.bytes_burst, 2000, "burst");
		tap_int((long long)derp_server_info_seal(made, &info, &client, data),
			(long long)len, "sealed to the same length");
		tap_bytes(made, data, len, "and the same bytes");
		free(frame);
	}
	tap_int((long long)found, 1, "the vector is there");
}

// --- claims: the text in a box ---

#define K  "d1bee8f0359d0e27a639eb53bbe8694d040e98a11f9fb4a902cc8801618d273"
#define K1 K "a"

static const struct {
	const char *text;
	int client_err, server_err;
	int64_t version;
	bool mesh, ack, prober;
	int64_t rate, burst;
} claims[] = {
	{ "{}", 0, 0, 0, false, false, false, 0, 0 },
	{ "null", 0, 0, 0, false, false, false, 0, 0 },
	{ "", ERR_BAD_FORMAT, ERR_BAD_FORMAT, 0, false, false, false, 0, 0 },
	{ "[]", ERR_BAD_FORMAT, ERR_BAD_FORMAT, 0, false, false, false, 0, 0 },
	{ "{\"version\":3}", 0, 0, 3, false, false, false, 0, 0 },
	{ "{\"VERSION\":3,\"version\":4}", 0, 0, 4, false, false, false, 0, 0 },
	{ "{\"version\":4,\"version\":null}", 0, 0, 4, false, false, false, 0, 0 },
	{ "{\"version\":\"2\"}", ERR_BAD_FORMAT, ERR_BAD_FORMAT, 0, false, false, false, 0, 0 },
	{ "{\"version\":2.5}", ERR_BAD_FORMAT, ERR_BAD_FORMAT, 0, false, false, false, 0, 0 },
	{ "{\"CanAckPings\":1}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"CanAckPings\":null,\"IsProber\":true}", 0, 0, 0, false, false, true, 0, 0 },
	{ "{\"canackpings\":true,\"AppName\":\"x\",\"future\":[{}]}", 0, 0, 0, false, true, false,
		0, 0 },
	{ "{\"meshKey\":\"" K1 "\"}", 0, 0, 0, true, false, false, 0, 0 },
	{ "{\"meshKey\":\"\"}", 0, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":null}", 0, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":\"" K "\"}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":\"" K1 "a\"}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":\"" K "g\"}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":\"" K "A\"}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"meshKey\":\"" K "\\\"}", ERR_BAD_FORMAT, ERR_BAD_FORMAT, 0, false, false, false, 0,
		0 },
	{ "{\"meshKey\":7}", ERR_BAD_FORMAT, 0, 0, false, false, false, 0, 0 },
	{ "{\"TokenBucketBytesPerSecond\":5,\"TokenBucketBytesBurst\":6}", 0, 0, 0, false, false,
		false, 5, 6 },
	{ "{\"TokenBucketBytesPerSecond\":-5}", 0, 0, 0, false, false, false, 0, 0 },
	{ "{\"TokenBucketBytesPerSecond\":\"5\"}", 0, ERR_BAD_FORMAT, 0, false, false, false, 0,
		0 },
};

static const struct box_key key = { { 1, 2, 3 } };

static size_t
box_text(uint8_t *out, const char *text, size_t len)
{
	memset(out, 9, BOX_NONCE_LEN);
	box_seal(out + BOX_NONCE_LEN, (const uint8_t *)text, len, out, &key);
	return DERP_INFO_OVERHEAD + len;
}

static void
test_claims(void)
{
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		const char *text = claims[i].text;
		uint8_t data[512];
		size_t len = box_text(data, text, strlen(text));
		struct derp_client_info c = {};
		struct derp_server_info s = {};

		tap_int(derp_client_info_open(data, len, &key, &c), claims[i].client_err, text);
		if (claims[i].client_err == 0)
			tap_ok(c.version == claims[i].version && c.has_mesh_key == claims[i].mesh &&
					c.can_ack_pings == claims[i].ack &&
					c.is_prober == claims[i].prober,
				"client: %s", text);
		tap_int(derp_server_info_open(data, len, &key, &s), claims[i].server_err, text);
		if (claims[i].server_err == 0)
			tap_ok(s.version == claims[i].version &&
					s.bytes_per_second == claims[i].rate &&
					s.bytes_burst == claims[i].burst,
				"server: %s", text);
	}
}

static void
test_boxes(void)
{
	static char text[DERP_INFO_MAX_LEN + 1];
	static uint8_t data[DERP_INFO_OVERHEAD + sizeof(text)];
	struct derp_server_info info = { .version = 77 };
	size_t len;

	memset(text, ' ', sizeof(text));
	text[0] = '{';
	text[DERP_INFO_MAX_LEN - 1] = '}';
	len = box_text(data, text, DERP_INFO_MAX_LEN);
	tap_int(derp_server_info_open(data, len, &key, &info), 0, "the longest text");
	len = box_text(data, text, DERP_INFO_MAX_LEN + 1);
	tap_int(derp_server_info_open(data, len, &key, &info), ERR_BAD_FORMAT, "a byte more");
	for (size_t cut = 0; cut < DERP_INFO_OVERHEAD; cut++)
		tap_int(derp_server_info_open(data, cut, &key, &info), ERR_TRUNCATED, "no box");
	len = box_text(data, "{\"version\":5}", 13);
	info.version = 77;
	data[len - 1] ^= 1;
	tap_int(derp_server_info_open(data, len, &key, &info), ERR_BAD_MAC, "a damaged box");
	tap_int(info.version, 77, "leaves what was there");
}

// Every value a mesh key's byte can have survives.
static void
test_mesh_key_bytes(void)
{
	size_t right = 0;

	for (int byte = 0; byte < 256; byte++) {
		struct derp_client_info info = { .version = INT64_MIN,
			.has_mesh_key = true,
			.can_ack_pings = false,
			.is_prober = true },
					read = {};
		uint8_t data[DERP_CLIENT_INFO_MAX_LEN], nonce[BOX_NONCE_LEN] = { 0 };
		size_t len;

		memset(info.mesh_key.bytes, byte, KEY_LEN);
		len = derp_client_info_seal(data, &info, &key, nonce);
		right += derp_client_info_open(data, len, &key, &read) == 0 && read.has_mesh_key &&
		         read.version == INT64_MIN && read.is_prober &&
		         secret_equal(&read.mesh_key, &info.mesh_key, KEY_LEN);
	}
	tap_int((long long)right, 256, "a mesh key of any bytes, in the longest info there is");
}

static void
test_longest_server_info(void)
{
	struct derp_server_info info = { INT64_MIN, INT64_MAX, INT64_MAX }, read = {};
	uint8_t data[DERP_SERVER_INFO_MAX_LEN], nonce[BOX_NONCE_LEN] = { 0 };
	size_t len = derp_server_info_seal(data, &info, &key, nonce);

	tap_ok(len <= sizeof(data), "the longest server info fits");
	tap_int(derp_server_info_open(data, len, &key, &read), 0, "and is read");
	tap_ok(read.version == INT64_MIN && read.bytes_burst == INT64_MAX, "as it was");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);

	keys = json_object_get(root, "keys");
	test_transcript(json_object_get(root, "transcript"));
	test_limits(json_object_get(json_object_get(root, "client_recv"), "cases"));
	test_claims();
	test_boxes();
	test_mesh_key_bytes();
	test_longest_server_info();
	json_decref(root);
	return tap_done();
}
