/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A UDP payload from a stranger, offered to either end of a handshake whether its mac1 is right or
 * not. Keys are those of session "no-psk" in tests/vectors/wireguard.json, whose messages are the
 * corpus.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/wg/handshake.h"
#include "lib/wg/mac.h"
#include "lib/wg/replay.h"

static const struct secret_key secrets[2] = {
	{ { 0x70, 0x69, 0x50, 0x25, 0xbc, 0xb4, 0x92, 0x62, 0x24, 0x84, 0xa0, 0xc0, 0xba, 0x31,
		0x61, 0x68, 0x71, 0x00, 0xcc, 0x96, 0x88, 0x4e, 0x77, 0x12, 0x00, 0xf4, 0x26, 0x64,
		0x33, 0xb4, 0x0e, 0x6f } },
	{ { 0x00, 0x5f, 0x8a, 0xa6, 0x70, 0x0d, 0x52, 0x9a, 0x26, 0xf0, 0x29, 0xb5, 0x50, 0x09,
		0x00, 0x68, 0xa8, 0xc7, 0x35, 0xf4, 0x13, 0xa5, 0xac, 0x56, 0xb4, 0x99, 0xc3, 0x32,
		0xba, 0xe4, 0xc8, 0x45 } },
};
static const struct secret_key ephemeral = { { 0xf8, 0x90, 0x98, 0x69, 0xf8, 0xc2, 0x2b, 0xe5, 0x85,
	0xe0, 0x53, 0xcd, 0xf0, 0x3b, 0x01, 0xc4, 0xec, 0x29, 0x7b, 0x0c, 0x22, 0x37, 0xd5, 0x4c,
	0xdf, 0xfa, 0xf3, 0x3c, 0x3c, 0x20, 0xd1, 0x74 } };
static const struct wg_tai64n timestamp = { { 0x40, 0, 0, 0, 0x69, 0x57, 0x35, 0xb0, 0x23, 0, 0,
	0 } };
static const struct endpoint source = { .addr = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 41641 };
static const struct mono now = { 1000 * NS_PER_S };

static struct wg_identity initiator, responder;
static struct wg_remote to_responder, to_initiator;
static struct wg_handshake pending;
static struct wg_held_cookie held;
static struct wg_cookie_secret cookie_secret;

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
set_up(void)
{
	uint8_t msg[WG_INITIATION_LEN], random[WG_COOKIE_SECRET_LEN] = {};

	must(crypto_init() == 0);
	wg_identity_init(&initiator, &secrets[0]);
	wg_identity_init(&responder, &secrets[1]);
	must(wg_remote_init(&to_responder, &initiator, &responder.static_public, NULL) == 0);
	must(wg_remote_init(&to_initiator, &responder, &initiator.static_public, NULL) == 0);
	must(wg_initiation_create(&initiator, &to_responder, 2973346558, &timestamp, &ephemeral,
		     msg, &pending) == 0);
	wg_mac2_add(&held, msg, sizeof(msg), now);
	wg_cookie_secret_renew(&cookie_secret, random, now);
}

static void
take_initiation(const uint8_t *msg)
{
	uint8_t nonce[WG_NONCE_LEN] = {}, reply[WG_COOKIE_REPLY_LEN], response[WG_RESPONSE_LEN];
	struct wg_initiation initiation;
	struct wg_session_keys keys;
	struct wg_claim claim;

	(void)wg_mac1_is_valid(&responder, msg, WG_INITIATION_LEN);
	(void)wg_mac2_is_valid(&cookie_secret, &source, msg, WG_INITIATION_LEN, now);
	wg_cookie_reply_create(
		&responder, &cookie_secret, &source, msg, WG_INITIATION_LEN, nonce, reply);
	must(wg_message_type(reply, sizeof(reply)) == WG_MESSAGE_COOKIE_REPLY);
	if (wg_initiation_open(&responder, msg, &claim) != 0 ||
		wg_initiation_verify(&claim, &to_initiator, msg, &initiation) != 0)
		return;
	must(wg_response_create(&initiation, &to_initiator, 1, &ephemeral, response, &keys) == 0);
}

static void
take_response(const uint8_t *msg)
{
	struct wg_handshake handshake = pending;
	struct wg_session_keys keys;

	(void)wg_mac1_is_valid(&initiator, msg, WG_RESPONSE_LEN);
	(void)wg_mac2_is_valid(&cookie_secret, &source, msg, WG_RESPONSE_LEN, now);
	if (wg_response_consume(&handshake, &initiator, &to_responder, msg, &keys) != 0)
		must(memcmp(&handshake, &pending, sizeof(pending)) == 0);
}

static void
take_cookie_reply(const uint8_t *msg)
{
	struct wg_held_cookie cookie = held;

	if (wg_cookie_reply_consume(&cookie, &to_responder, msg, now) != 0)
		must(memcmp(&cookie, &held, sizeof(held)) == 0);
}

static void
take_transport_data(const uint8_t *msg)
{
	static struct wg_replay replay;
	uint64_t counter = wg_message_counter(msg);
	bool fresh = wg_replay_check(&replay, counter);

	(void)wg_message_receiver_index(msg);
	must(wg_replay_accept(&replay, counter) == fresh);
	must(!wg_replay_accept(&replay, counter));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!pending.pending)
		set_up();
	switch (wg_message_type(data, len)) {
	case WG_MESSAGE_INITIATION:
		take_initiation(data);
		break;
	case WG_MESSAGE_RESPONSE:
		take_response(data);
		break;
	case WG_MESSAGE_COOKIE_REPLY:
		take_cookie_reply(data);
		break;
	case WG_MESSAGE_TRANSPORT_DATA:
		take_transport_data(data);
		break;
	default:
		break;
	}
	return 0;
}
