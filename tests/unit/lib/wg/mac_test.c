/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Against wireguard-go's cookie exchange (argv[1]: tests/vectors/wireguard.json), then the rows of
 * ../shared/design/reliability.md 2.3, V-24.
 */

#include "lib/wg/mac.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/wg/handshake.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/wg/vector.h"

static const struct mono start = { 1000 * NS_PER_S };

struct ends {
	struct wg_identity initiator, responder;
	struct wg_remote to_responder, to_initiator;
};

static void
make_ends(struct ends *e, const struct secret_key *initiator, const struct secret_key *responder)
{
	wg_identity_init(&e->initiator, initiator);
	wg_identity_init(&e->responder, responder);
	tap_int(wg_remote_init(&e->to_responder, &e->initiator, &e->responder.static_public, NULL),
		0, "the responder's keys");
	tap_int(wg_remote_init(&e->to_initiator, &e->responder, &e->initiator.static_public, NULL),
		0, "the initiator's keys");
}

static void
vector(const json_t *v)
{
	const struct endpoint source = { .addr = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 41641 };
	struct secret_key initiator, responder;
	struct public_key public;
	struct ends e;
	struct wg_cookie_secret secret;
	struct wg_held_cookie held = {};
	uint8_t denied[WG_INITIATION_LEN], next[WG_INITIATION_LEN], msg[WG_INITIATION_LEN];
	uint8_t reply[WG_COOKIE_REPLY_LEN], made[WG_COOKIE_REPLY_LEN];
	uint8_t random[WG_COOKIE_SECRET_LEN], cookie[WG_COOKIE_LEN];

	vector_pair(v, "initiator", &initiator, &public);
	vector_pair(v, "responder", &responder, &public);
	make_ends(&e, &initiator, &responder);
	vector_bytes(v, "denied_message", denied, sizeof(denied));
	vector_bytes(v, "cookie_secret", random, sizeof(random));
	vector_bytes(v, "cookie", cookie, sizeof(cookie));
	vector_bytes(v, "cookie_reply", reply, sizeof(reply));
	vector_bytes(v, "next_message_with_mac2", next, sizeof(next));
	wg_cookie_secret_renew(&secret, random, start);

	tap_ok(wg_mac1_is_valid(&e.responder, denied, sizeof(denied)),
		"mac1 of the denied message");
	tap_ok(!wg_mac2_is_valid(&secret, &source, denied, sizeof(denied), start),
		"it has no mac2");
	wg_cookie_reply_create(
		&e.responder, &secret, &source, denied, sizeof(denied), reply + 8, made);
	tap_bytes(made, reply, sizeof(reply), "cookie reply, byte for byte");

	memcpy(msg, denied, sizeof(msg));
	wg_mac2_add(&held, msg, sizeof(msg), start);
	tap_bytes(msg, denied, sizeof(msg), "without a cookie mac2 stays zero");
	tap_int(wg_cookie_reply_consume(&held, &e.to_responder, reply, start), 0, "reply taken");
	tap_bytes(held.cookie, cookie, sizeof(cookie), "the cookie in it");

	memcpy(msg, next, sizeof(msg));
	wg_mac1_add(&e.to_responder, msg, sizeof(msg));
	wg_mac2_add(&held, msg, sizeof(msg), start);
	tap_bytes(msg, next, sizeof(msg), "the next message's macs, byte for byte");
	tap_ok(wg_mac2_is_valid(&secret, &source, next, sizeof(next), start), "its mac2 is right");

	uint8_t answer[WG_RESPONSE_LEN];
	vector_bytes(v, "answered_under_load_with", answer, sizeof(answer));
	tap_ok(wg_mac1_is_valid(&e.initiator, answer, sizeof(answer)), "mac1 of the response");
}

struct exchange {
	struct ends e;
	struct wg_cookie_secret secret;
	struct wg_held_cookie held;
	struct endpoint source;
	uint8_t msg[WG_INITIATION_LEN];
	uint8_t reply[WG_COOKIE_REPLY_LEN];
};

static void
begin(struct exchange *x)
{
	struct secret_key initiator, responder;
	uint8_t random[WG_COOKIE_SECRET_LEN], nonce[WG_NONCE_LEN];

	memset(x, 0, sizeof(*x));
	key_generate(&initiator);
	key_generate(&responder);
	make_ends(&x->e, &initiator, &responder);
	random_bytes(random, sizeof(random));
	random_bytes(nonce, sizeof(nonce));
	x->source = (struct endpoint){ .addr = { ADDR_V6, { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
		.port = 5 };
	random_bytes(x->msg, sizeof(x->msg));
	wg_cookie_secret_renew(&x->secret, random, start);
	wg_mac1_add(&x->e.to_responder, x->msg, sizeof(x->msg));
	wg_mac2_add(&x->held, x->msg, sizeof(x->msg), start);
	wg_cookie_reply_create(
		&x->e.responder, &x->secret, &x->source, x->msg, sizeof(x->msg), nonce, x->reply);
	x->reply[0] = 3;
}

static bool
passes(struct exchange *x, const struct endpoint *source, struct mono now)
{
	return wg_mac2_is_valid(&x->secret, source, x->msg, sizeof(x->msg), now);
}

static void
resend(struct exchange *x, struct mono now)
{
	x->msg[20]++;
	wg_mac1_add(&x->e.to_responder, x->msg, sizeof(x->msg));
	wg_mac2_add(&x->held, x->msg, sizeof(x->msg), now);
}

static void
rows(void)
{
	struct exchange x;
	int taken = 0;

	begin(&x);
	for (int i = 0; i < WG_MAC_LEN; i++) {
		x.msg[116 + i] ^= 0xff;
		taken += wg_mac1_is_valid(&x.e.responder, x.msg, sizeof(x.msg));
		x.msg[116 + i] ^= 0xff;
	}
	tap_int(taken, 0, "each byte of mac1 inverted");
	tap_ok(wg_mac1_is_valid(&x.e.responder, x.msg, sizeof(x.msg)), "mac1 as it was");
	tap_ok(!passes(&x, &x.source, start), "under load: needs a cookie");
	for (int i = 32; i < WG_COOKIE_REPLY_LEN; i++) {
		x.reply[i] ^= 0xff;
		taken += wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start) == 0;
		x.reply[i] ^= 0xff;
	}
	tap_int(taken, 0, "each byte of the sealed cookie inverted");
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_initiator, x.reply, start), ERR_BAD_MAC,
		"a reply from another peer");
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start), 0,
		"cookie taken");
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start), ERR_REPLAY,
		"once");
	resend(&x, start);
	tap_ok(memcmp(x.msg + 132, (uint8_t[16]){}, 16) != 0, "the next message has a mac2");
	tap_ok(passes(&x, &x.source, start), "which proves its source");
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start), ERR_BAD_MAC,
		"the old reply is bound to the old message");
}

static void
sources(void)
{
	struct exchange x;
	struct endpoint other;

	begin(&x);
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start), 0,
		"cookie taken");
	resend(&x, start);
	other = x.source;
	other.port = 6;
	tap_ok(!passes(&x, &other, start), "another port is another source");
	other = x.source;
	other.addr.bytes[15] = 2;
	tap_ok(!passes(&x, &other, start), "another address");
	other = x.source;
	other.scope_id = 3;
	tap_ok(!passes(&x, &other, start), "another link");
	other = x.source;
	other.addr.family = ADDR_V4;
	tap_ok(!passes(&x, &other, start), "another family");
	tap_ok(passes(&x, &x.source, start), "the original again");
}

static void
ages(void)
{
	struct exchange x;
	uint8_t random[WG_COOKIE_SECRET_LEN] = { 1 };
	struct wg_cookie_secret none = {}, kept;
	struct mono just = mono_add_ns(start, 120 * NS_PER_S - 1), full = mono_add_ns(just, 1);

	tap_ok(wg_cookie_secret_is_stale(&none, start), "no secret yet");
	begin(&x);
	tap_ok(!wg_cookie_secret_is_stale(&x.secret, just), "a secret just before 120 s");
	tap_ok(wg_cookie_secret_is_stale(&x.secret, full), "at 120 s");
	tap_ok(wg_cookie_secret_is_stale(&x.secret, mono_add_ns(start, -1)), "born in the future");
	tap_int(wg_cookie_reply_consume(&x.held, &x.e.to_responder, x.reply, start), 0,
		"cookie taken");
	resend(&x, just);
	tap_ok(passes(&x, &x.source, just), "a cookie just before 120 s is used and accepted");
	tap_ok(!passes(&x, &x.source, full), "a stale secret accepts nothing");
	resend(&x, full);
	tap_bytes(x.msg + 132, (uint8_t[16]){}, 16, "a cookie of 120 s is not used");

	kept = x.secret;
	resend(&x, start);
	wg_cookie_secret_renew(&x.secret, random, start);
	tap_ok(!passes(&x, &x.source, start), "a new secret does not accept the old one's cookies");
	x.secret = kept;
	tap_ok(passes(&x, &x.source, start), "a kept secret does, taken up by another process");
}

int
main(int argc, char **argv)
{
	json_t *root = vector_load(argc, argv);
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(root, "cookies"), i, v) vector(v);
	tap_int((long long)i, 1, "cookies in the vectors");
	rows();
	sources();
	ages();
	json_decref(root);
	return tap_done();
}
