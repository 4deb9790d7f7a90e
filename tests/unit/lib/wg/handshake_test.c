/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against wireguard-go's messages (argv[1]: tests/vectors/wireguard.json), and against itself.
 */

#include "lib/wg/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wg/mac.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/wg/vector.h"

struct end {
	struct wg_identity identity;
	struct wg_remote remote;
	struct secret_key ephemeral;
	uint32_t index;
};

struct pair {
	struct end i, r;
	struct wg_tai64n timestamp;
	struct wg_handshake handshake;
	uint8_t initiation[WG_INITIATION_LEN];
	uint8_t response[WG_RESPONSE_LEN];
	struct wg_session_keys i_keys, r_keys;
};

static void
vector_end(const json_t *session, const char *name, struct end *e, struct public_key *ret_public)
{
	struct secret_key secret;
	struct public_key public;
	char field[64];

	vector_pair(session, name, &secret, ret_public);
	wg_identity_init(&e->identity, &secret);
	tap_bytes(e->identity.static_public.bytes, ret_public->bytes, KEY_LEN, "public key");
	snprintf(field, sizeof(field), "%s_index", name);
	e->index = (uint32_t)json_integer_value(json_object_get(session, field));
	snprintf(field, sizeof(field), "%s_ephemeral", name);
	vector_pair(session, field, &e->ephemeral, &public);
}

static void
check_trace(const json_t *session, const char *name, const struct noise_symmetric *noise)
{
	const json_t *steps = json_object_get(session, name), *step;
	uint8_t ck[32] = {}, h[32] = {};
	size_t i;

	json_array_foreach(steps, i, step)
	{
		if (json_object_get(step, "chaining_key") != NULL)
			vector_bytes(step, "chaining_key", ck, sizeof(ck));
		if (json_object_get(step, "hash") != NULL)
			vector_bytes(step, "hash", h, sizeof(h));
	}
	tap_bytes(noise->ck, ck, sizeof(ck), "chaining key at the end of the trace");
	tap_bytes(noise->h, h, sizeof(h), "hash at the end of the trace");
}

static void
check_keys(const json_t *session, const struct pair *p)
{
	uint8_t there[KEY_LEN], back[KEY_LEN];

	vector_bytes(session, "key_initiator_to_responder", there, KEY_LEN);
	vector_bytes(session, "key_responder_to_initiator", back, KEY_LEN);
	tap_bytes(p->i_keys.send, there, KEY_LEN, "initiator's sending key");
	tap_bytes(p->i_keys.receive, back, KEY_LEN, "initiator's receiving key");
	tap_bytes(p->r_keys.receive, there, KEY_LEN, "responder's receiving key");
	tap_bytes(p->r_keys.send, back, KEY_LEN, "responder's sending key");
	tap_ok(p->i_keys.initiator && !p->r_keys.initiator, "who began");
	tap_ok(p->i_keys.local_index == p->i.index && p->i_keys.remote_index == p->r.index &&
			p->r_keys.local_index == p->r.index && p->r_keys.remote_index == p->i.index,
		"the indices");
}

static void
run_vector(const json_t *session)
{
	struct pair p = {};
	struct public_key i_public, r_public;
	struct secret_key psk;
	struct wg_claim claim;
	struct wg_initiation initiation;
	uint8_t wanted[WG_INITIATION_LEN];

	printf("# session %s\n", json_string_value(json_object_get(session, "name")));
	vector_end(session, "initiator", &p.i, &i_public);
	vector_end(session, "responder", &p.r, &r_public);
	vector_bytes(session, "psk", psk.bytes, KEY_LEN);
	vector_bytes(session, "timestamp_tai64n", p.timestamp.bytes, WG_TAI64N_LEN);
	tap_int(wg_remote_init(&p.i.remote, &p.i.identity, &r_public, &psk), 0, "initiator's peer");
	tap_int(wg_remote_init(&p.r.remote, &p.r.identity, &i_public, &psk), 0, "responder's peer");

	tap_int(wg_initiation_create(&p.i.identity, &p.i.remote, p.i.index, &p.timestamp,
			&p.i.ephemeral, p.initiation, &p.handshake),
		0, "initiation made");
	vector_bytes(session, "initiation", wanted, WG_INITIATION_LEN);
	tap_bytes(p.initiation, wanted, WG_INITIATION_LEN, "initiation, byte for byte");
	check_trace(session, "initiation_trace", &p.handshake.noise);

	tap_ok(wg_mac1_is_valid(&p.r.identity, wanted, WG_INITIATION_LEN), "its mac1 is right");
	tap_int(wg_initiation_open(&p.r.identity, wanted, &claim), 0, "initiation opened");
	tap_bytes(claim.static_public.bytes, i_public.bytes, KEY_LEN, "who says it is");
	tap_int(wg_initiation_verify(&claim, &p.r.remote, wanted, &initiation), 0, "and is");
	tap_bytes(initiation.timestamp.bytes, p.timestamp.bytes, WG_TAI64N_LEN, "timestamp");
	check_trace(session, "initiation_trace", &initiation.noise);

	tap_int(wg_response_create(
			&initiation, &p.r.remote, p.r.index, &p.r.ephemeral, p.response, &p.r_keys),
		0, "response made");
	vector_bytes(session, "response", wanted, WG_RESPONSE_LEN);
	tap_bytes(p.response, wanted, WG_RESPONSE_LEN, "response, byte for byte");
	tap_ok(wg_mac1_is_valid(&p.i.identity, wanted, WG_RESPONSE_LEN), "its mac1 is right");
	tap_int(wg_response_consume(&p.handshake, &p.i.identity, &p.i.remote, wanted, &p.i_keys), 0,
		"response consumed");
	check_keys(session, &p);
}

static void
make_pair(struct pair *p, bool with_psk)
{
	struct secret_key i_secret, r_secret, psk;

	memset(p, 0, sizeof(*p));
	key_generate(&i_secret);
	key_generate(&r_secret);
	key_generate(&p->i.ephemeral);
	key_generate(&p->r.ephemeral);
	random_bytes(&psk, sizeof(psk));
	random_bytes(&p->i.index, 4);
	random_bytes(&p->r.index, 4);
	wg_identity_init(&p->i.identity, &i_secret);
	wg_identity_init(&p->r.identity, &r_secret);
	p->timestamp = wg_tai64n_from_unix(1700000000, 0);
	if (wg_remote_init(&p->i.remote, &p->i.identity, &p->r.identity.static_public,
		    with_psk ? &psk : NULL) != 0 ||
		wg_remote_init(&p->r.remote, &p->r.identity, &p->i.identity.static_public,
			with_psk ? &psk : NULL) != 0 ||
		wg_initiation_create(&p->i.identity, &p->i.remote, p->i.index, &p->timestamp,
			&p->i.ephemeral, p->initiation, &p->handshake) != 0)
		tap_ok(false, "a pair");
}

// What a responder does with a datagram: 0 and an initiation, or an error.
static int
respond(const struct end *e, const uint8_t *msg, size_t len, struct wg_initiation *ret_initiation)
{
	struct wg_claim claim;
	int err;

	if (wg_message_type(msg, len) != WG_MESSAGE_INITIATION)
		return ERR_BAD_FORMAT;
	if (!wg_mac1_is_valid(&e->identity, msg, len))
		return ERR_BAD_MAC;
	err = wg_initiation_open(&e->identity, msg, &claim);
	return err < 0 ? err : wg_initiation_verify(&claim, &e->remote, msg, ret_initiation);
}

static int
finish(struct pair *p, const uint8_t *msg, size_t len)
{
	if (wg_message_type(msg, len) != WG_MESSAGE_RESPONSE)
		return ERR_BAD_FORMAT;
	if (!wg_mac1_is_valid(&p->i.identity, msg, len))
		return ERR_BAD_MAC;
	return wg_response_consume(&p->handshake, &p->i.identity, &p->i.remote, msg, &p->i_keys);
}

static int
answer(struct pair *p)
{
	struct wg_initiation initiation;
	int err = respond(&p->r, p->initiation, sizeof(p->initiation), &initiation);

	return err < 0 ? err
	               : wg_response_create(&initiation, &p->r.remote, p->r.index, &p->r.ephemeral,
				 p->response, &p->r_keys);
}

static void
random_peers(void)
{
	int failed = 0;

	for (int n = 0; n < 50; n++) {
		struct pair p;

		make_pair(&p, n % 2);
		failed += answer(&p) != 0 || finish(&p, p.response, sizeof(p.response)) != 0 ||
		          memcmp(p.i_keys.send, p.r_keys.receive, KEY_LEN) != 0 ||
		          memcmp(p.i_keys.receive, p.r_keys.send, KEY_LEN) != 0 ||
		          memcmp(p.i_keys.send, p.i_keys.receive, KEY_LEN) == 0;
	}
	tap_int(failed, 0, "50 random pairs, with and without preshared key, agree on keys");
}

static bool
is_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len > 0 && b[len - 1] == 0)
		len--;
	return len == 0;
}

static void
second_time(void)
{
	struct pair p;

	make_pair(&p, true);
	tap_int(answer(&p), 0, "answered");
	tap_int(finish(&p, p.response, sizeof(p.response)), 0, "finished");
	tap_ok(is_zero(&p.handshake, sizeof(p.handshake)), "the pending handshake is wiped");
	tap_int(finish(&p, p.response, sizeof(p.response)), ERR_REPLAY,
		"the same response a second time");
}

static void
wrong_keys(void)
{
	struct pair p, q;
	struct wg_initiation initiation;
	struct secret_key psk = { "another" };
	struct wg_handshake before;
	struct wg_claim claim;

	make_pair(&p, true);
	wg_remote_set_preshared_key(&p.r.remote, &psk);
	tap_int(answer(&p), 0, "an initiation does not depend on the preshared key");
	before = p.handshake;
	tap_int(finish(&p, p.response, sizeof(p.response)), ERR_BAD_MAC, "another preshared key");
	tap_ok(memcmp(&before, &p.handshake, sizeof(before)) == 0, "leaves the handshake pending");
	wg_remote_set_preshared_key(&p.i.remote, &psk);
	tap_int(finish(&p, p.response, sizeof(p.response)), 0, "until it is the same");

	make_pair(&p, true);
	wg_remote_set_preshared_key(&p.r.remote, NULL);
	tap_int(answer(&p), 0, "answered without preshared key");
	tap_int(finish(&p, p.response, sizeof(p.response)), ERR_BAD_MAC, "one has none");

	make_pair(&p, false);
	make_pair(&q, false);
	tap_int(respond(&q.r, p.initiation, sizeof(p.initiation), &initiation), ERR_BAD_MAC,
		"an initiation to somebody else");
	wg_mac1_add(&q.i.remote, p.initiation, sizeof(p.initiation));
	tap_int(respond(&q.r, p.initiation, sizeof(p.initiation), &initiation), ERR_BAD_MAC,
		"also with our mac1");

	make_pair(&p, false);
	tap_int(wg_initiation_open(&p.r.identity, p.initiation, &claim), 0, "a claim");
	tap_int(wg_initiation_verify(&claim, &p.i.remote, p.initiation, &initiation),
		ERR_UNKNOWN_PEER, "is not tried with another peer's keys");
	// Somebody who knows our public key claims to be the peer, whose secret it lacks.
	q.i.identity.static_public = p.i.identity.static_public;
	if (wg_remote_init(&q.i.remote, &q.i.identity, &p.r.identity.static_public, NULL) != 0 ||
		wg_initiation_create(&q.i.identity, &q.i.remote, 1, &p.timestamp, &q.i.ephemeral,
			q.initiation, &q.handshake) != 0)
		tap_ok(false, "a forged initiation");
	tap_int(wg_initiation_open(&p.r.identity, q.initiation, &claim), 0, "anybody can claim");
	tap_int(wg_initiation_verify(&claim, &p.r.remote, q.initiation, &initiation), ERR_BAD_MAC,
		"but not prove");
}

// RFC 7748's points of small order: no handshake with any of them.
static void
small_order(void)
{
	static const struct public_key points[] = {
		{ { 0 } },
		{ { 1 } },
		{ { 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1,
			0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86,
			0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 } },
	};
	struct pair p;
	struct wg_claim claim, before;
	struct wg_remote remote;

	memset(&claim, 0x55, sizeof(claim));
	before = claim;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		make_pair(&p, false);
		tap_int(wg_remote_init(&remote, &p.i.identity, &points[i], NULL), ERR_BAD_KEY,
			"a peer with a key of small order");
		tap_ok(is_zero(&remote, sizeof(remote)), "leaves zeros");
		memcpy(p.initiation + 8, points[i].bytes, KEY_LEN);
		wg_mac1_add(&p.i.remote, p.initiation, sizeof(p.initiation));
		tap_int(wg_initiation_open(&p.r.identity, p.initiation, &claim), ERR_BAD_KEY,
			"an ephemeral of small order");
		tap_ok(memcmp(&claim, &before, sizeof(claim)) == 0, "changes nothing");
	}
}

// Both with mac1 as it was (a bit error on the way) and with a new one (an attacker's change).
static void
flip_initiation(struct pair *p)
{
	struct wg_initiation got, before;
	struct pair pair_before = *p;
	uint8_t msg[WG_INITIATION_LEN];
	int taken = 0, forged = 0, changed = 0;

	memset(&got, 0xaa, sizeof(got));
	before = got;
	for (size_t bit = 0; bit < 8 * (size_t)WG_INITIATION_LEN; bit++) {
		memcpy(msg, p->initiation, sizeof(msg));
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bit / 8 < 132) // mac2 counts only under load
			taken += respond(&p->r, msg, sizeof(msg), &got) == 0;
		wg_mac1_add(&p->i.remote, msg, sizeof(msg));
		if (bit / 8 < 4 ||
			(bit / 8 >= 8 && bit / 8 < 116)) // not the index: anyone may choose it
			forged += respond(&p->r, msg, sizeof(msg), &got) == 0;
		changed += memcmp(&got, &before, sizeof(got)) != 0;
	}
	tap_int(taken, 0, "initiation: every bit flipped, refused");
	tap_int(forged, 0, "also with a new mac1");
	tap_ok(changed == 0 && memcmp(p, &pair_before, sizeof(*p)) == 0, "nothing changed");
	tap_int(respond(&p->r, p->initiation, sizeof(msg), &got), 0,
		"the true one is taken after that");
}

static void
flip_response(struct pair *p)
{
	struct pair before = *p;
	uint8_t msg[WG_RESPONSE_LEN];
	int taken = 0, forged = 0, changed = 0;

	for (size_t bit = 0; bit < 8 * (size_t)WG_RESPONSE_LEN; bit++) {
		memcpy(msg, p->response, sizeof(msg));
		msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bit / 8 < 76)
			taken += finish(p, msg, sizeof(msg)) == 0;
		wg_mac1_add(&p->r.remote, msg, sizeof(msg));
		if (bit / 8 < 4 || (bit / 8 >= 8 && bit / 8 < 60))
			forged += finish(p, msg, sizeof(msg)) == 0;
		changed += memcmp(p, &before, sizeof(*p)) != 0;
	}
	tap_int(taken, 0, "response: every bit flipped, refused");
	tap_int(forged, 0, "also with a new mac1");
	tap_int(changed, 0, "nothing changed");
	tap_int(finish(p, p->response, sizeof(msg)), 0, "the true one is taken after that");
}

static void
flip_cookie_reply(const struct pair *p)
{
	const struct endpoint source = { .addr = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 9 };
	const struct mono now = { 5 * NS_PER_S };
	struct wg_cookie_secret secret;
	struct wg_held_cookie held = {}, before;
	uint8_t random[32] = { 3 }, reply[WG_COOKIE_REPLY_LEN], msg[WG_INITIATION_LEN];
	int taken = 0, changed = 0;

	memcpy(msg, p->initiation, sizeof(msg));
	wg_mac2_add(&held, msg, sizeof(msg), now);
	before = held;
	wg_cookie_secret_renew(&secret, random, now);
	wg_cookie_reply_create(&p->r.identity, &secret, &source, msg, sizeof(msg), random, reply);
	for (size_t bit = 0; bit < 8 * sizeof(reply); bit++) {
		uint8_t bad[WG_COOKIE_REPLY_LEN];

		if (bit / 8 >= 4 && bit / 8 < 8) // the receiver index finds the peer, above us
			continue;
		memcpy(bad, reply, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		taken += wg_cookie_reply_consume(&held, &p->i.remote, bad, now) == 0;
		changed += memcmp(&held, &before, sizeof(held)) != 0;
	}
	tap_int(taken, 0, "cookie reply: every bit flipped, refused");
	tap_int(changed, 0, "nothing changed");
	tap_int(wg_cookie_reply_consume(&held, &p->i.remote, reply, now), 0,
		"the true one is taken");
}

static void
every_length(struct pair *p)
{
	struct wg_initiation got, got_before;
	struct pair before = *p;
	uint8_t msg[256] = {};
	int taken = 0;

	memset(&got, 0xaa, sizeof(got));
	got_before = got;
	for (size_t len = 0; len <= 200; len++) {
		memcpy(msg, p->initiation, sizeof(p->initiation));
		taken += len != WG_INITIATION_LEN && respond(&p->r, msg, len, &got) == 0;
		memcpy(msg, p->response, sizeof(p->response));
		taken += len != WG_RESPONSE_LEN && finish(p, msg, len) == 0;
	}
	tap_int(taken, 0, "every other length from 0 to 200 is refused");
	tap_ok(memcmp(p, &before, sizeof(*p)) == 0 && memcmp(&got, &got_before, sizeof(got)) == 0,
		"nothing changed");
}

static void
damaged(void)
{
	struct pair p;

	make_pair(&p, true);
	tap_int(answer(&p), 0, "a response");
	every_length(&p);
	flip_initiation(&p);
	flip_response(&p);
	flip_cookie_reply(&p);
}

static void
latest(void)
{
	struct wg_latest latest = {};
	struct wg_tai64n t1 = wg_tai64n_from_unix(100, 0), t2 = wg_tai64n_from_unix(101, 0);
	struct mono now = { 1000 * NS_PER_S };

	tap_int(wg_latest_check(&latest, &t1, now), 0, "the first initiation of a peer");
	wg_latest_accept(&latest, &t1, now);
	now = mono_add_ns(now, NS_PER_S);
	tap_int(wg_latest_check(&latest, &t1, now), ERR_REPLAY, "the same timestamp");
	tap_int(wg_latest_check(&latest, &t2, now), 0, "a greater one");
	wg_latest_accept(&latest, &t2, now);
	tap_int(wg_latest_check(&latest, &t1, now), ERR_REPLAY, "a smaller one");
	t1 = wg_tai64n_from_unix(102, 0);
	tap_int(wg_latest_check(&latest, &t1, mono_add_ns(now, 19 * NS_PER_MS)), -EAGAIN,
		"19 ms later");
	tap_int(wg_latest_check(&latest, &t1, mono_add_ns(now, 20 * NS_PER_MS)), 0, "20 ms later");
	latest.accepted = mono_add_ns(now, NS_PER_S);
	tap_int(wg_latest_check(&latest, &t1, now), 0, "a time in the future locks nobody out");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);
	const json_t *session;
	uint8_t start[32];
	struct noise_symmetric noise;
	size_t i;

	noise_init(&noise, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s",
		"WireGuard v1 zx2c4 Jason@zx2c4.com", 34);
	vector_bytes(root, "initial_hash", start, sizeof(start));
	tap_bytes(noise.h, start, sizeof(start), "the initial hash");
	json_array_foreach(json_object_get(root, "sessions"), i, session) run_vector(session);
	tap_int((long long)i, 2, "both sessions of the vectors");
	random_peers();
	second_time();
	wrong_keys();
	small_order();
	damaged();
	latest();
	json_decref(root);
	return tap_done();
}
