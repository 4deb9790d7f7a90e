/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The symmetric state, driven through WireGuard's IKpsk2 step by step and compared with the traces
 * of wireguard-go in tests/vectors/wireguard.json (argv[1]).
 */

#include "lib/noise/symmetric.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define PROTOCOL "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define PROLOGUE "WireGuard v1 zx2c4 Jason@zx2c4.com"

#define INITIATION_LEN 148
#define RESPONSE_LEN   92

static void
hex_field(const json_t *object, const char *name, uint8_t *out, size_t wanted_len)
{
	const char *hex = json_string_value(json_object_get(object, name));
	size_t len = 0;

	if (hex == NULL ||
		sodium_hex2bin(out, wanted_len, hex, strlen(hex), NULL, &len, NULL) != 0 ||
		len != wanted_len)
		tap_ok(false, "the vector has %zu bytes of %s", wanted_len, name);
}

static void
check_field(const json_t *object, const char *name, const uint8_t got[static 32], const char *step)
{
	uint8_t wanted[32] = { 0 };
	char what[128];

	if (json_object_get(object, name) == NULL)
		return;
	hex_field(object, name, wanted, sizeof(wanted));
	snprintf(what, sizeof(what), "%s after %s", name, step);
	tap_bytes(got, wanted, sizeof(wanted), what);
}

/* Compares our state with the trace's next step; `key` may be NULL. */
struct trace {
	const json_t *steps;
	size_t at;
};

static void
next_step(struct trace *t, const char *step, const struct noise_symmetric *s, const uint8_t *key)
{
	const json_t *row = json_array_get(t->steps, t->at++);
	const char *name = json_string_value(json_object_get(row, "step"));

	tap_text(name != NULL ? name : "none", step, "the trace's step");
	check_field(row, "chaining_key", s->ck, step);
	check_field(row, "hash", s->h, step);
	if (key != NULL)
		check_field(row, "key", key, step);
}

struct parties {
	struct secret_key initiator, responder, e_initiator, e_responder;
	struct public_key pub_initiator, pub_responder, pub_e_initiator, pub_e_responder;
	uint8_t psk[32], timestamp[12], initiation[INITIATION_LEN], response[RESPONSE_LEN];
};

static void
read_pair(const json_t *session,
	const char *name,
	struct secret_key *secret,
	struct public_key *public)
{
	const json_t *pair = json_object_get(session, name);
	uint8_t wanted[KEY_LEN] = { 0 };

	hex_field(pair, "private", secret->bytes, KEY_LEN);
	hex_field(pair, "public", wanted, KEY_LEN);
	key_public(public, secret);
	tap_bytes(public->bytes, wanted, KEY_LEN, "public key of the vector");
}

static void
read_parties(const json_t *session, struct parties *p)
{
	read_pair(session, "initiator", &p->initiator, &p->pub_initiator);
	read_pair(session, "responder", &p->responder, &p->pub_responder);
	read_pair(session, "initiator_ephemeral", &p->e_initiator, &p->pub_e_initiator);
	read_pair(session, "responder_ephemeral", &p->e_responder, &p->pub_e_responder);
	hex_field(session, "psk", p->psk, sizeof(p->psk));
	hex_field(session, "timestamp_tai64n", p->timestamp, sizeof(p->timestamp));
	hex_field(session, "initiation", p->initiation, sizeof(p->initiation));
	hex_field(session, "response", p->response, sizeof(p->response));
}

static void
mix_dh(struct noise_symmetric *s,
	const struct secret_key *mine,
	const struct public_key *theirs,
	uint8_t *ret_key)
{
	if (noise_mix_dh(s, mine, theirs, ret_key) != 0)
		tap_ok(false, "a shared secret");
}

// peer.md 3.5, first message, as its sender computes it.
static void
send_initiation(struct noise_symmetric *s, const struct parties *p, const json_t *session)
{
	struct trace t = { json_object_get(session, "initiation_trace"), 0 };
	uint8_t key[NOISE_KEY_LEN], out[48];

	noise_mix_hash(s, p->pub_responder.bytes, KEY_LEN);
	next_step(&t, "responder static", s, NULL);
	noise_mix_key(s, p->pub_e_initiator.bytes, KEY_LEN, NULL);
	next_step(&t, "ephemeral", s, NULL);
	noise_mix_hash(s, p->pub_e_initiator.bytes, KEY_LEN);
	next_step(&t, "ephemeral", s, NULL);
	mix_dh(s, &p->e_initiator, &p->pub_responder, key);
	next_step(&t, "es", s, key);
	noise_encrypt_and_hash(s, key, out, p->pub_initiator.bytes, KEY_LEN);
	tap_bytes(out, p->initiation + 40, 48, "encrypted static");
	next_step(&t, "encrypted static", s, NULL);
	mix_dh(s, &p->initiator, &p->pub_responder, key);
	next_step(&t, "ss", s, key);
	noise_encrypt_and_hash(s, key, out, p->timestamp, sizeof(p->timestamp));
	tap_bytes(out, p->initiation + 88, 28, "encrypted timestamp");
	next_step(&t, "encrypted timestamp", s, NULL);
	tap_int((long long)t.at, (long long)json_array_size(t.steps), "steps of the initiation");
}

// The same as its receiver does.
static void
receive_initiation(struct noise_symmetric *s, const struct parties *p)
{
	uint8_t key[NOISE_KEY_LEN], out[KEY_LEN];

	noise_mix_hash(s, p->pub_responder.bytes, KEY_LEN);
	noise_mix_key(s, p->initiation + 8, KEY_LEN, NULL);
	noise_mix_hash(s, p->initiation + 8, KEY_LEN);
	mix_dh(s, &p->responder, &p->pub_e_initiator, key);
	tap_int(noise_decrypt_and_hash(s, key, out, p->initiation + 40, 48), 0, "static opens");
	tap_bytes(out, p->pub_initiator.bytes, KEY_LEN, "it is the initiator's");
	mix_dh(s, &p->responder, &p->pub_initiator, key);
	tap_int(noise_decrypt_and_hash(s, key, out, p->initiation + 88, 28), 0, "timestamp opens");
	tap_bytes(out, p->timestamp, sizeof(p->timestamp), "it is the one sent");
}

static void
send_response(struct noise_symmetric *s, const struct parties *p, struct trace *t)
{
	uint8_t key[NOISE_KEY_LEN], out[NOISE_TAG_LEN];

	noise_mix_hash(s, p->pub_e_responder.bytes, KEY_LEN);
	next_step(t, "ephemeral", s, NULL);
	noise_mix_key(s, p->pub_e_responder.bytes, KEY_LEN, NULL);
	next_step(t, "ephemeral", s, NULL);
	mix_dh(s, &p->e_responder, &p->pub_e_initiator, NULL);
	next_step(t, "ee", s, NULL);
	mix_dh(s, &p->e_responder, &p->pub_initiator, NULL);
	next_step(t, "se", s, NULL);
	noise_mix_psk(s, p->psk, key);
	next_step(t, "psk", s, key);
	next_step(t, "tau", s, NULL);
	noise_encrypt_and_hash(s, key, out, NULL, 0);
	tap_bytes(out, p->response + 44, NOISE_TAG_LEN, "encrypted nothing");
	next_step(t, "encrypted nothing", s, NULL);
}

static void
receive_response(struct noise_symmetric *s, const struct parties *p)
{
	uint8_t key[NOISE_KEY_LEN];

	noise_mix_hash(s, p->response + 12, KEY_LEN);
	noise_mix_key(s, p->response + 12, KEY_LEN, NULL);
	mix_dh(s, &p->e_initiator, &p->pub_e_responder, NULL);
	mix_dh(s, &p->initiator, &p->pub_e_responder, NULL);
	noise_mix_psk(s, p->psk, key);
	tap_int(noise_decrypt_and_hash(s, key, NULL, p->response + 44, NOISE_TAG_LEN), 0,
		"encrypted nothing opens");
}

// Both sides are at the same point.
static void
check_split(struct noise_symmetric *a, struct noise_symmetric *b, const json_t *session)
{
	uint8_t a_first[NOISE_KEY_LEN], a_second[NOISE_KEY_LEN];
	uint8_t b_first[NOISE_KEY_LEN], b_second[NOISE_KEY_LEN];
	struct noise_symmetric before = *a;

	tap_bytes(a, b, sizeof(*a), "initiator and responder have the same state");
	noise_split(a, a_first, a_second);
	noise_split(b, b_first, b_second);
	check_field(session, "key_initiator_to_responder", a_first, "split");
	check_field(session, "key_responder_to_initiator", a_second, "split");
	tap_ok(memcmp(a_first, b_first, sizeof(a_first)) == 0 &&
			memcmp(a_second, b_second, sizeof(a_second)) == 0,
		"both sides get the same keys, in the same order");
	tap_ok(sodium_is_zero(a->ck, sizeof(a->ck)), "the chaining key is wiped");
	tap_bytes(a->h, before.h, sizeof(a->h), "the hash stays");
}

static void
test_session(const json_t *session)
{
	struct noise_symmetric initiator, responder;
	struct parties p = { 0 };
	struct trace response = { json_object_get(session, "response_trace"), 0 };

	read_parties(session, &p);
	noise_init(&initiator, PROTOCOL, PROLOGUE, strlen(PROLOGUE));
	noise_init(&responder, PROTOCOL, PROLOGUE, strlen(PROLOGUE));
	send_initiation(&initiator, &p, session);
	receive_initiation(&responder, &p);
	send_response(&responder, &p, &response);
	receive_response(&initiator, &p);
	// The last step of the trace is the split.
	tap_int((long long)response.at + 1, (long long)json_array_size(response.steps),
		"steps of the response");
	check_split(&initiator, &responder, session);
}

static void
test_init(const json_t *root)
{
	struct noise_symmetric s;
	uint8_t wanted[NOISE_HASH_LEN] = { 0 };

	noise_init(&s, PROTOCOL, PROLOGUE, strlen(PROLOGUE));
	hex_field(root, "initial_chaining_key", wanted, sizeof(wanted));
	tap_bytes(s.ck, wanted, sizeof(wanted), "initial chaining key");
	hex_field(root, "initial_hash", wanted, sizeof(wanted));
	tap_bytes(s.h, wanted, sizeof(wanted), "initial hash");
}

// Noise section 5.2: names of up to 32 bytes are padded with zeros, not hashed.
static void
test_short_names(void)
{
	struct noise_symmetric s;
	uint8_t name[NOISE_HASH_LEN + 2] = "Noise_NN_25519_ChaChaPoly_BLAKE2";
	uint8_t wanted[NOISE_HASH_LEN] = "Noise_NN";
	struct bytes_ref hashed = { name, NOISE_HASH_LEN + 1 };

	noise_init(&s, "Noise_NN", NULL, 0);
	tap_bytes(s.ck, wanted, sizeof(wanted), "a short name is padded");
	noise_init(&s, (const char *)name, "p", 1);
	tap_bytes(s.ck, name, sizeof(wanted), "a name of 32 bytes is taken as it is");
	name[NOISE_HASH_LEN] = 's';
	hash_blake2s(wanted, &hashed, 1);
	noise_init(&s, (const char *)name, "p", 1);
	tap_bytes(s.ck, wanted, sizeof(wanted), "a name of 33 bytes is hashed");
}

static void
test_refusals(void)
{
	struct noise_symmetric start, s, other;
	uint8_t key[NOISE_KEY_LEN] = { 1 }, message[5 + NOISE_TAG_LEN], got[5];
	int accepted = 0, changed = 0, dirty = 0;

	noise_init(&start, PROTOCOL, NULL, 0);
	s = start;
	noise_encrypt_and_hash(&s, key, message, (const uint8_t *)"hello", 5);
	other = s;
	for (size_t bit = 0; bit < sizeof(message) * 8; bit++) {
		s = start;
		memset(got, 0xff, sizeof(got));
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		accepted += noise_decrypt_and_hash(&s, key, got, message, sizeof(message)) !=
		            ERR_BAD_MAC;
		changed += memcmp(&s, &start, sizeof(s)) != 0;
		dirty += !sodium_is_zero(got, sizeof(got));
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	tap_int(accepted, 0, "messages accepted with one bit wrong");
	for (size_t len = 0; len < sizeof(message); len++) {
		int wanted = len < NOISE_TAG_LEN ? ERR_TRUNCATED : ERR_BAD_MAC;

		s = start;
		accepted += noise_decrypt_and_hash(&s, key, got, message, len) != wanted;
		changed += memcmp(&s, &start, sizeof(s)) != 0;
	}
	tap_int(accepted, 0, "messages accepted that were cut short");
	tap_int(changed, 0, "refused messages that changed the state");
	tap_int(dirty, 0, "refused messages that left something behind");

	s = start;
	s.h[0] ^= 1;
	tap_int(noise_decrypt_and_hash(&s, key, got, message, sizeof(message)), ERR_BAD_MAC,
		"another transcript");
	s = start;
	tap_int(noise_decrypt_and_hash(&s, key, message, message, sizeof(message)), 0,
		"the message itself, in place");
	tap_bytes(message, "hello", 5, "says hello");
	tap_bytes(&s, &other, sizeof(s), "and both sides go on from the same state");
}

static void
test_bad_key(void)
{
	struct noise_symmetric start, s;
	struct secret_key secret;
	struct public_key zero = { { 0 } };
	uint8_t key[NOISE_KEY_LEN], untouched[NOISE_KEY_LEN];

	memset(key, 0x5a, sizeof(key));
	memset(untouched, 0x5a, sizeof(untouched));
	key_generate(&secret);
	noise_init(&start, PROTOCOL, NULL, 0);
	s = start;
	tap_int(noise_mix_dh(&s, &secret, &zero, key), ERR_BAD_KEY, "a point of small order");
	tap_bytes(&s, &start, sizeof(s), "changes nothing");
	tap_bytes(key, untouched, sizeof(key), "and gives no key");
	noise_wipe(&s);
	tap_ok(sodium_is_zero((const uint8_t *)&s, sizeof(s)), "a wiped state is zero");
}

int
main(int argc, char **argv)
{
	json_error_t error;
	json_t *root = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
	const json_t *sessions = json_object_get(root, "sessions");

	tap_int(crypto_init(), 0, "the library works");
	tap_ok(json_array_size(sessions) == 2, "two sessions in the vectors given");
	test_init(root);
	for (size_t i = 0; i < json_array_size(sessions); i++)
		test_session(json_array_get(sessions, i));
	test_short_names();
	test_refusals();
	test_bad_key();
	json_decref(root);
	return tap_done();
}
