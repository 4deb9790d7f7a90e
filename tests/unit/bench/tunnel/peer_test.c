/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/peer.h"

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "tests/lib/tap.h"

#define UNIX_NS UINT64_C(1700000000000000000)

struct side {
	struct secret_key key;
	struct public_key public;
	struct wg_replay replay[TUNNEL_SESSIONS];
	struct tunnel_peer peer;
};

static struct side left, right;

static struct mono
at(double seconds)
{
	return (struct mono){ (uint64_t)((1000 + seconds) * 1e9) };
}

// Two peers that know each other; number: of the left one among many.
static void
meet(uint32_t number, const struct secret_key *left_psk, const struct secret_key *right_psk)
{
	key_generate(&left.key);
	key_generate(&right.key);
	key_public(&left.public, &left.key);
	key_public(&right.public, &right.key);
	tap_int(tunnel_peer_init(
			&left.peer, number, &left.key, &right.public, left_psk, left.replay, 7),
		0, "one side is made");
	tap_int(tunnel_peer_init(
			&right.peer, 0, &right.key, &left.public, right_psk, right.replay, 9),
		0, "the other side is made");
}

// An initiation of `from` reaches `to`; the answer is written.
static int
answer(struct side *from, struct side *to, struct mono now, uint8_t *response)
{
	uint8_t initiation[WG_INITIATION_LEN];
	struct wg_claim claim;
	int err;

	tunnel_peer_initiate(&from->peer, now, UNIX_NS + now.ns, initiation);
	err = wg_initiation_open(&to->peer.identity, initiation, &claim);
	if (err == 0)
		err = tunnel_peer_on_initiation(&to->peer, &claim, initiation, now, response);
	wg_claim_fini(&claim);
	return err;
}

static int
shake(struct side *from, struct side *to, struct mono now)
{
	uint8_t response[WG_RESPONSE_LEN];
	int err = answer(from, to, now, response);

	return err < 0 ? err : tunnel_peer_on_response(&from->peer, response, now);
}

// A keepalive from one side is authentic at the other, and confirms the session.
static bool
deliver(struct side *from, struct side *to, struct mono now)
{
	uint8_t message[WG_TRANSPORT_MIN_LEN];
	struct tunnel_session *s;
	struct aead_job job;

	if (!tunnel_peer_keepalive(&from->peer, message))
		return false;
	s = tunnel_peer_find(&to->peer, wg_message_receiver_index(message), now);
	if (s == NULL)
		return false;
	job = (struct aead_job){ .data = message + WG_TRANSPORT_HEADER_LEN,
		.key = s->receive_key,
		.counter = wg_message_counter(message) };
	aead_open(&job, 1);
	if (job.ok)
		tunnel_peer_received(&to->peer, s, false, now);
	return job.ok;
}

static void
sessions(void)
{
	uint32_t first;

	meet(70000, NULL, NULL);
	tap_ok(tunnel_peer_current(&left.peer) == NULL && !deliver(&left, &right, at(0)),
		"without a handshake nothing can be sent");
	tap_int(shake(&left, &right, at(0)), 0, "a handshake");
	tap_ok(tunnel_peer_current(&left.peer) != NULL && tunnel_peer_current(&right.peer) == NULL,
		"the initiator may send at once, the responder not yet");
	tap_ok(deliver(&left, &right, at(0)) && deliver(&right, &left, at(0)),
		"after its first message both may");
	first = tunnel_peer_current(&left.peer)->local_index;
	tap_int(tunnel_index_peer(first), 70000, "an index of ours names the peer");
	tap_ok(tunnel_peer_is_young(&left.peer, at(60), 60 * NS_PER_S) &&
			!tunnel_peer_is_young(&left.peer, at(61), 60 * NS_PER_S),
		"a session is young as long as was asked for");

	tap_int(shake(&right, &left, at(10)), 0, "a handshake the other way round");
	tap_ok(tunnel_peer_current(&left.peer)->local_index == first,
		"the responder keeps sending on the old session");
	tap_ok(deliver(&right, &left, at(10)), "the initiator sends on the new one");
	tap_ok(tunnel_peer_current(&left.peer)->local_index != first,
		"which makes it the responder's too");
	tap_ok(tunnel_peer_find(&left.peer, first, at(10)) != NULL, "the old one still receives");
	tap_ok(tunnel_peer_find(&left.peer, first, at(180)) == NULL, "until it is 180 s old");
	for (int i = 2; i < 12; i++)
		tap_ok(shake(i % 2 ? &left : &right, i % 2 ? &right : &left, at(10 * i)) == 0 &&
				deliver(i % 2 ? &left : &right, i % 2 ? &right : &left,
					at(10 * i)) &&
				deliver(i % 2 ? &right : &left, i % 2 ? &left : &right, at(10 * i)),
			"handshake %d: both sides can send", i);
	tap_ok(tunnel_peer_find(&left.peer, first, at(110)) == NULL,
		"the first session is long gone");
}

static void
refusals(void)
{
	uint8_t response[WG_RESPONSE_LEN], other[WG_RESPONSE_LEN];
	struct secret_key psk;

	key_generate(&psk);
	meet(0, &psk, NULL);
	tap_int(shake(&left, &right, at(0)), ERR_BAD_MAC, "other preshared keys: not authentic");
	meet(0, &psk, &psk);
	tap_int(shake(&left, &right, at(0)), 0, "equal ones");
	tap_int(answer(&left, &right, at(0.001), response), -EAGAIN,
		"two initiations within 20 ms: the second is dropped");
	tap_int(answer(&left, &right, at(1), response), 0, "later one is answered");
	memcpy(other, response, sizeof(other));
	other[20] ^= 1;
	tap_ok(tunnel_peer_on_response(&left.peer, other, at(1)) < 0, "a damaged response");
	tap_int(tunnel_peer_on_response(&left.peer, response, at(1)), 0, "the real one after it");
	tap_int(tunnel_peer_on_response(&left.peer, response, at(1)), ERR_REPLAY,
		"and never again");
}

static void
cookies(void)
{
	static const struct endpoint source = { .addr = { .family = ADDR_V4, .bytes = { 1, 2, 3 } },
		.port = 4 };
	uint8_t initiation[WG_INITIATION_LEN], reply[WG_COOKIE_REPLY_LEN];
	uint8_t random[WG_COOKIE_SECRET_LEN] = { 1 }, nonce[WG_NONCE_LEN] = { 2 };
	struct wg_cookie_secret secret = {};

	meet(0, NULL, NULL);
	wg_cookie_secret_renew(&secret, random, at(0));
	tunnel_peer_initiate(&left.peer, at(0), UNIX_NS, initiation);
	tap_ok(!wg_mac2_is_valid(&secret, &source, initiation, sizeof(initiation), at(0)),
		"the first initiation has no cookie");
	wg_cookie_reply_create(&right.peer.identity, &secret, &source, initiation,
		sizeof(initiation), nonce, reply);
	tap_int(tunnel_peer_on_cookie_reply(&left.peer, reply, at(0)), 0, "a cookie reply");
	tunnel_peer_initiate(&left.peer, at(1), UNIX_NS, initiation);
	tap_ok(wg_mac2_is_valid(&secret, &source, initiation, sizeof(initiation), at(1)),
		"the next initiation has it");
}

static void
signs_of_life(void)
{
	struct tunnel_session *s;
	uint8_t initiation[WG_INITIATION_LEN];

	meet(0, NULL, NULL);
	tap_int(shake(&left, &right, at(0)), 0, "a handshake");
	tap_ok(deliver(&left, &right, at(0)), "confirmed");
	s = tunnel_peer_current(&left.peer);
	tap_int(tunnel_peer_scan(&left.peer, at(1)), 0, "nothing came, nothing is owed");
	tunnel_peer_received(&left.peer, s, true, at(2));
	tap_int(tunnel_peer_scan(&left.peer, at(11.9)), 0, "data came 9.9 s ago: not yet");
	tap_int(tunnel_peer_scan(&left.peer, at(12)), TUNNEL_NEED_KEEPALIVE,
		"10 s ago: a keepalive is owed");
	(void)tunnel_session_take(s, 1);
	tap_int(tunnel_peer_scan(&left.peer, at(12.1)), 0, "data that was sent pays it");
	tunnel_peer_received(&left.peer, s, false, at(13));
	tap_int(tunnel_peer_scan(&left.peer, at(30)), 0, "a keepalive is not answered");
	tap_int(tunnel_peer_scan(&left.peer, at(119.9)), 0, "its initiator renews it not before");
	tap_int(tunnel_peer_scan(&left.peer, at(120)), TUNNEL_NEED_INITIATION, "120 s");
	tunnel_peer_initiate(&left.peer, at(120), UNIX_NS, initiation);
	tap_int(tunnel_peer_scan(&left.peer, at(120.5)), 0, "not twice within a second");
	tap_int(tunnel_peer_scan(&left.peer, at(121)), TUNNEL_NEED_INITIATION, "but after it");
	tap_int(tunnel_peer_scan(&right.peer, at(134.9)), 0, "its responder leaves that to it");
	tap_int(tunnel_peer_scan(&right.peer, at(135)), TUNNEL_NEED_INITIATION, "for 135 s");
}

static void
keys(void)
{
	static const uint32_t numbers[] = { 0, 1, 2, 255, 256, TUNNEL_PEERS_MAX - 1 };
	struct secret_key first, key[6], again;
	bool differ = true;

	key_generate(&first);
	for (int i = 0; i < 6; i++) {
		tunnel_peer_key(&first, numbers[i], &key[i]);
		for (int k = 0; k < i; k++)
			differ = differ && memcmp(&key[i], &key[k], KEY_LEN) != 0;
	}
	tap_bytes(key[0].bytes, first.bytes, KEY_LEN, "the first peer has the key of the file");
	tap_ok(differ, "the others' differ");
	tunnel_peer_key(&first, 255, &again);
	tap_bytes(again.bytes, key[3].bytes, KEY_LEN, "and are the same each time");
	tap_ok((key[3].bytes[0] & 7) == 0 && key[3].bytes[31] >> 6 == 1, "clamped");
}

int
main(void)
{
	tap_int(crypto_init(), 0, "crypto");
	tap_int(aead_init(NULL), 0, "cipher");
	sessions();
	refusals();
	cookies();
	signs_of_life();
	keys();
	return tap_done();
}
