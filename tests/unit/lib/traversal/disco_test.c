/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against the reference (argv[1]: tests/vectors/disco.json), both ways; the messages of
 * ../shared/protocol/peer.md, Appendix C; then what strangers may send.
 */

#include "lib/traversal/disco.h"

#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/traversal/vector.h"

static const json_t *vectors;

static struct box_key
shared_key(const char *from, const char *to)
{
	const json_t *keys = json_object_get(vectors, "keys");
	struct secret_key secret;
	struct public_key public;
	struct box_key key;

	vector_pair(json_object_get(keys, to), &secret, &public);
	vector_bytes(json_object_get(keys, from), "private", secret.bytes, KEY_LEN);
	if (box_key_init(&key, &secret, &public) != 0)
		exit(1);
	return key;
}

static struct public_key
public_of(const char *who)
{
	const json_t *keys = json_object_get(vectors, "keys");

	return vector_public(vector_text(json_object_get(keys, who), "public"));
}

static void
test_shared_keys(void)
{
	static const char *const pairs[][3] = { { "a-b", "a", "b" }, { "a-relay", "a", "relay" },
		{ "b-relay", "b", "relay" } };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint8_t wanted[KEY_LEN];
		struct box_key there = shared_key(pairs[i][1], pairs[i][2]);
		struct box_key back = shared_key(pairs[i][2], pairs[i][1]);

		vector_bytes(json_object_get(vectors, "shared"), pairs[i][0], wanted, KEY_LEN);
		tap_bytes(there.bytes, wanted, KEY_LEN, pairs[i][0]);
		tap_bytes(back.bytes, wanted, KEY_LEN, pairs[i][0]);
	}
}

// --- a message against the fields that the reference has read ---

static bool
has_key(const json_t *fields, const char *name, const struct public_key *key)
{
	struct public_key wanted = vector_public(vector_text(fields, name));

	return memcmp(key, &wanted, sizeof(wanted)) == 0;
}

static bool
has_number(const json_t *fields, const char *name, uint64_t number)
{
	return (uint64_t)json_integer_value(json_object_get(fields, name)) == number;
}

static bool
has_array(const json_t *fields, const char *name, const uint8_t *bytes, size_t len)
{
	const json_t *array = json_object_get(fields, name), *byte;
	size_t i;

	json_array_foreach(
		array, i, byte) if (i >= len || json_integer_value(byte) != bytes[i]) return false;
	return json_array_size(array) == len;
}

static bool
has_clients(const json_t *fields, const struct public_key clients[static 2])
{
	const json_t *pair = json_object_get(fields, "ClientDisco");

	for (size_t i = 0; i < 2; i++) {
		struct public_key wanted =
			vector_public(json_string_value(json_array_get(pair, i)));

		if (memcmp(&clients[i], &wanted, sizeof(wanted)) != 0)
			return false;
	}
	return true;
}

static bool
has_endpoints(const json_t *fields, const char *name, const struct disco_endpoints *endpoints)
{
	const json_t *list = json_object_get(fields, name), *text;
	size_t i;

	json_array_foreach(list, i, text)
	{
		struct endpoint wanted = vector_endpoint(json_string_value(text)), got;

		if (i >= endpoints->n)
			return false;
		disco_endpoint_at(endpoints, i, &got);
		if (!endpoint_equal(&got, &wanted))
			return false;
	}
	return endpoints->n == json_array_size(list);
}

static bool
has_source(const json_t *fields, const struct endpoint *source)
{
	struct endpoint wanted = vector_endpoint(vector_text(fields, "Src"));

	return endpoint_equal(source, &wanted);
}

static bool
has_relay(const json_t *fields, const struct disco_relay_endpoint *relay)
{
	return has_key(fields, "ServerDisco", &relay->server_disco) &&
	       has_clients(fields, relay->client_disco) &&
	       has_number(fields, "LamportID", relay->lamport_id) &&
	       has_number(fields, "VNI", relay->vni) &&
	       has_number(fields, "BindLifetime", relay->bind_lifetime_ns) &&
	       has_number(fields, "SteadyStateLifetime", relay->steady_state_lifetime_ns) &&
	       has_endpoints(fields, "AddrPorts", &relay->endpoints);
}

static bool
has_fields(const json_t *f, const struct disco_message *m)
{
	switch (m->type) {
	case DISCO_PING:
		return has_array(f, "TxID", m->ping.txid, DISCO_TXID_LEN) &&
		       has_key(f, "NodeKey", &m->ping.node_key) &&
		       has_number(f, "Padding", m->ping.padding);
	case DISCO_PONG:
		return has_array(f, "TxID", m->pong.txid, DISCO_TXID_LEN) &&
		       has_source(f, &m->pong.source);
	case DISCO_CALL_ME_MAYBE:
		return has_endpoints(f, "MyNumber", &m->call_me_maybe);
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return has_number(f, "VNI", m->bind.vni) &&
		       has_number(f, "Generation", m->bind.generation) &&
		       has_key(f, "RemoteKey", &m->bind.remote_key) &&
		       has_array(f, "Challenge", m->bind.challenge, DISCO_CHALLENGE_LEN);
	case DISCO_CALL_ME_MAYBE_VIA:
		return has_relay(f, &m->call_me_maybe_via);
	case DISCO_ALLOCATE_REQUEST:
		return has_clients(f, m->allocate_request.client_disco) &&
		       has_number(f, "Generation", m->allocate_request.generation);
	case DISCO_ALLOCATE_RESPONSE:
		return has_number(f, "Generation", m->allocate_response.generation) &&
		       has_relay(f, &m->allocate_response.relay);
	}
	return false;
}

// --- vectors ---

static bool
opens_to(uint8_t *datagram,
	size_t len,
	const struct box_key *key,
	const uint8_t *wanted,
	size_t wanted_len)
{
	struct disco_envelope envelope;
	const uint8_t *plain;
	size_t plain_len;

	return disco_envelope_read(datagram, len, &envelope) == 0 &&
	       disco_open(&envelope, key, &plain, &plain_len) == 0 && plain_len == wanted_len &&
	       memcmp(plain, wanted, wanted_len) == 0;
}

static void
test_sender(uint8_t *datagram, size_t len, const struct public_key *sender, const char *what)
{
	struct disco_envelope envelope;

	tap_int(disco_envelope_read(datagram, len, &envelope), 0, what);
	tap_bytes(
		envelope.sender, sender, sizeof(*sender), "its sender, before anything is opened");
}

// One row of the vectors cannot be said by its fields: zeros behind a ping without a key are read
// as a key of zeros.
static void
mind_row_of_zeros(const char *what, struct disco_message *m)
{
	if (strcmp(what, "ping without node key, padding 40 (parsed as a key)") == 0)
		m->ping.padding += KEY_LEN;
}

static void
test_message(const json_t *v)
{
	const char *what = vector_text(v, "name");
	const char *from = vector_text(v, "from"), *to = vector_text(v, "to");
	size_t plain_len, envelope_len;
	uint8_t *plain = vector_hex(v, "plain", &plain_len);
	uint8_t *envelope = vector_hex(v, "envelope", &envelope_len), *made;
	uint8_t nonce[BOX_NONCE_LEN];
	struct box_key key = shared_key(from, to), key_back = shared_key(to, from);
	struct public_key sender = public_of(from);
	struct disco_message m;

	vector_bytes(v, "nonce", nonce, sizeof(nonce));
	tap_int(disco_message_read(plain, plain_len, &m), 0, what);
	tap_ok(has_fields(json_object_get(v, "fields"), &m), "%s: its fields", what);

	mind_row_of_zeros(what, &m);
	tap_int((long long)disco_plain_len(&m), (long long)plain_len, "length of the plaintext");
	tap_int((long long)disco_envelope_len(&m), (long long)envelope_len,
		"length of the envelope");
	made = malloc(disco_envelope_len(&m));
	disco_message_write(made, &m);
	tap_bytes(made, plain, plain_len, "the plaintext is written");
	disco_seal(made, &m, &sender, &key, nonce);
	tap_bytes(made, envelope, envelope_len, "the envelope is sealed");

	test_sender(envelope, envelope_len, &sender, what);
	tap_ok(opens_to(envelope, envelope_len, &key_back, plain, plain_len), "%s: opened", what);
	free(plain);
	free(envelope);
	free(made);
}

// What the reference reads as zeros that it then ignores is refused here.
static bool
is_of_other_version(const uint8_t *plain, size_t len)
{
	return len >= DISCO_TYPE_LEN && plain[0] >= DISCO_CALL_ME_MAYBE_VIA &&
	       plain[0] <= DISCO_ALLOCATE_RESPONSE && plain[1] != 0;
}

static bool
are_zeros(const json_t *fields)
{
	return has_number(fields, "Generation", 0) && has_number(fields, "VNI", 0) &&
	       json_array_size(json_object_get(fields, "AddrPorts")) == 0;
}

static void
test_parse(const json_t *v)
{
	const char *what = vector_text(v, "name");
	const json_t *fields = json_object_get(v, "fields");
	size_t len;
	uint8_t *plain = vector_hex(v, "plain", &len);
	struct disco_message m;
	int err = disco_message_read(plain, len, &m);

	if (json_object_get(v, "error") != NULL) {
		tap_ok(err == ERR_TRUNCATED || err == ERR_BAD_FORMAT, "%s: %s", what, err_str(err));
	} else if (is_of_other_version(plain, len)) {
		tap_int(err, ERR_VERSION, what);
		tap_ok(are_zeros(fields), "%s: all zeros there", what);
	} else {
		tap_int(err, 0, what);
		tap_ok(err == 0 && has_fields(fields, &m), "%s: its fields", what);
	}
	free(plain);
}

// --- peer.md, Appendix C ---

static size_t
from_hex(uint8_t *out, size_t room, const char *hex)
{
	size_t len = 0;

	if (sodium_hex2bin(out, room, hex, strlen(hex), NULL, &len, NULL) != 0)
		exit(1);
	return len;
}

static void
appendix_keys(struct box_key *key, struct public_key *a, struct public_key *b)
{
	struct secret_key secret;

	for (uint8_t i = 0; i < KEY_LEN; i++)
		secret.bytes[i] = i;
	secret.bytes[31] = 0x5f;
	key_public(a, &secret);
	*b = vector_public("358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254");
	if (box_key_init(key, &secret, b) != 0)
		exit(1);
}

static void
test_appendix(void)
{
	static const char ping_hex[] =
		"5453f09f92ac8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
		"808182838485868788898a8b8c8d8e8f909192939495969782c8caf93f2e05278a81e885a95f8d9f"
		"42832c004c0c479c34833dc0d7fe3bf4febca2b25b373f275091139350f142210225199e97489184"
		"ea93fb8164b1";
	static const char pong_hex[] =
		"5453f09f92ac358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
		"808182838485868788898a8b8c8d8e8f9091929394959697f4c32de45d1baaf4b1e958dce4dc29d7"
		"41832c004c0c479c34833dc0d7fe915e54160818f19d958d05c472398b5c4a22";
	struct disco_message ping = { .type = DISCO_PING }, pong = { .type = DISCO_PONG };
	uint8_t nonce[BOX_NONCE_LEN], wanted[DISCO_PING_LEN], got[DISCO_PING_LEN];
	struct public_key a, b;
	struct box_key key;

	appendix_keys(&key, &a, &b);
	for (uint8_t i = 0; i < BOX_NONCE_LEN; i++)
		nonce[i] = 0x80 + i;
	for (uint8_t i = 0; i < DISCO_TXID_LEN; i++)
		ping.ping.txid[i] = pong.pong.txid[i] = i + 1;
	memset(ping.ping.node_key.bytes, 0xaa, KEY_LEN);
	pong.pong.source = vector_endpoint("203.0.113.7:41641");

	tap_int((long long)from_hex(wanted, sizeof(wanted), ping_hex), DISCO_PING_LEN, "a ping");
	disco_seal(got, &ping, &a, &key, nonce);
	tap_bytes(got, wanted, DISCO_PING_LEN, "the ping of Appendix C");
	tap_int((long long)from_hex(wanted, sizeof(wanted), pong_hex), DISCO_PONG_LEN, "a pong");
	disco_seal(got, &pong, &b, &key, nonce);
	tap_bytes(got, wanted, DISCO_PONG_LEN, "the pong of Appendix C");
}

// --- strangers ---

static void
test_envelope_lengths(void)
{
	uint8_t data[DISCO_OVERHEAD + DISCO_TYPE_LEN] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };
	struct disco_envelope envelope;

	for (size_t len = 0; len <= sizeof(data); len++)
		tap_int(disco_envelope_read(data, len, &envelope),
			len < DISCO_SENDER_END ? ERR_BAD_FORMAT
			: len == sizeof(data)  ? 0
					       : ERR_TRUNCATED,
			"an envelope by its length");
	data[0] = 't';
	tap_int(disco_envelope_read(data, sizeof(data), &envelope), ERR_BAD_FORMAT, "wrong magic");
}

// Each bit of a sealed datagram: the magic, the nonce and the box are protected; the sender is, as
// his key is what the box is opened with.
static void
test_damage(void)
{
	struct disco_message m = { .type = DISCO_PING };
	struct box_key key = shared_key("a", "b");
	struct public_key a = public_of("a");
	uint8_t nonce[BOX_NONCE_LEN] = { 5 }, good[DISCO_PING_LEN], bad[DISCO_PING_LEN];
	struct disco_envelope envelope;
	size_t len = disco_envelope_len(&m), plain_len, refused = 0;
	const uint8_t *plain;

	disco_seal(good, &m, &a, &key, nonce);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		uint8_t before[DISCO_PING_LEN];

		memcpy(bad, good, len);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(before, bad, len);
		if (disco_envelope_read(bad, len, &envelope) != 0 ||
			memcmp(envelope.sender, &a, sizeof(a)) != 0 ||
			disco_open(&envelope, &key, &plain, &plain_len) == ERR_BAD_MAC)
			refused += memcmp(bad, before, len) == 0;
	}
	tap_int((long long)refused, 8 * (long long)len,
		"each turned bit is noticed, nothing written");
}

static void
test_endpoints(void)
{
	struct endpoint endpoints[3] = { vector_endpoint("192.0.2.1:41641"),
		vector_endpoint("[2001:db8::1]:1"), vector_endpoint("[::]:0") };
	uint8_t bytes[sizeof(endpoints) / sizeof(endpoints[0]) * DISCO_ENDPOINT_LEN];
	struct disco_endpoints list = disco_endpoints_write(bytes, endpoints, 3);

	tap_int((long long)list.n, 3, "a list of three");
	for (size_t i = 0; i < list.n; i++) {
		struct endpoint got;

		disco_endpoint_at(&list, i, &got);
		tap_ok(endpoint_equal(&got, &endpoints[i]), "endpoint %zu comes back", i);
	}
}

static void
test_key_order(void)
{
	struct public_key a = { { 1 } }, b = { { 1, [31] = 1 } }, c = { { 0x80 } };

	tap_ok(disco_key_compare(&a, &b) < 0 && disco_key_compare(&b, &a) > 0,
		"the last byte counts");
	tap_ok(disco_key_compare(&b, &c) < 0, "bytes are unsigned");
	tap_int(disco_key_compare(&a, &a), 0, "a key is itself");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv), *v;
	size_t i;

	vectors = root;
	test_shared_keys();
	json_array_foreach(json_object_get(root, "messages"), i, v) test_message(v);
	json_array_foreach(json_object_get(root, "parse"), i, v) test_parse(v);
	test_appendix();
	test_envelope_lengths();
	test_damage();
	test_endpoints();
	test_key_order();
	json_decref(root);
	return tap_done();
}
