/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Handshakes end to end: a gateway's engine, a fake data plane, stock peers of lib/wg; fake clock.
 */

#include "controlplane/gateway/handshake/engine.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/peer_note.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/handshake/site.h"

static struct gateway g;
static struct fake_forwarder f;
static struct stock_peer peers[4];

static void
start(size_t n_peers, bool with_endpoint, uint16_t keepalive_s)
{
	struct desired *desired;

	g.now.ns = g.wall = 0;
	fake_start(&f, 1);
	stock_init(&peers[0], 10, "198.18.1.2:51820");
	stock_init(&peers[1], 11, "198.18.2.2:4000");
	stock_init(&peers[2], 12, "[fd18:3::2]:51820");
	stock_init(&peers[3], 13, "198.18.4.2:1");
	gateway_start(&g, &f);
	gateway_attach(&g);
	desired = site_desired(peers, n_peers, with_endpoint, keepalive_s, NULL);
	gateway_take(&g, desired);
	desired_destroy(desired);
}

static void
end(void)
{
	gateway_kill(&g);
	fake_end(&f);
}

/* kill -9 and start again; the same configuration. */
static void
restart(size_t n_peers, bool with_endpoint)
{
	struct desired *desired = site_desired(peers, n_peers, with_endpoint, 0, NULL);

	gateway_kill(&g);
	gateway_start(&g, &f);
	gateway_attach(&g);
	gateway_take(&g, desired);
	desired_destroy(desired);
}

static struct shm_path
path_in_force(const struct stock_peer *p)
{
	const struct shm_path_row *row = &f.state->paths[gateway_peer(&g, p)->number];

	return row->path[row->which];
}

static bool
leads_to(const struct stock_peer *p)
{
	struct shm_path path = path_in_force(p);
	struct endpoint remote;
	struct addr local;

	return endpoint_of_shm(&path, &remote, &local) && endpoint_equal(&remote, &p->at);
}

/* --- responder --- */

static void
test_respond(void)
{
	uint8_t initiation[WG_INITIATION_LEN];
	const struct sent *s;
	uint32_t number;

	start(3, false, 0);
	number = gateway_peer(&g, &peers[0])->number;
	f.silent = true;
	stock_initiate(&peers[0], g.wall, 77, g.now, initiation);
	stock_deliver(&peers[0], &g, initiation, sizeof(initiation));
	gateway_talk(&g);
	gateway_run(&g, 100 * NS_PER_MS);
	tap_ok(gateway_read(&g) == NULL,
		"a response is withheld until the data plane has the session");
	f.silent = false;
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && gateway_read(&g) == NULL, "then it leaves, once");
	tap_ok(s != NULL && endpoint_equal(&s->remote, &peers[0].at),
		"to where the initiation came from");
	tap_ok(s != NULL && s->local.family == ADDR_V4 && s->local.bytes[3] == 2,
		"from the address that the initiation was sent to");
	tap_int(stock_consume(&peers[0], s), 0, "the peer takes it");
	tap_int(f.session.role, SHM_ROLE_RESPONDER, "we are the responder");
	tap_bytes(f.session.key_receive, peers[0].keys.send, KEY_LEN,
		"we receive with what the peer sends with");
	tap_bytes(f.session.key_send, peers[0].keys.receive, KEY_LEN, "and the reverse");
	tap_ok(f.session.receiver_index == peers[0].keys.remote_index &&
			f.session.sender_index == 77,
		"indices are each other's");
	tap_ok(leads_to(&peers[0]), "the path leads to the peer");
	tap_ok(shm_keypairs_next(f.state->keypairs[number]) != 0,
		"the session waits to be confirmed");
	fake_promote(&f, number);
	gateway_run(&g, 30 * NS_PER_S);
	tap_ok(gateway_read(&g) == NULL, "nothing else is sent: the initiator renews");
	end();
}

static void
test_refuse_replay(void)
{
	uint8_t old[WG_INITIATION_LEN];

	start(1, false, 0);
	stock_initiate(&peers[0], g.wall, 1, g.now, old);
	stock_deliver(&peers[0], &g, old, sizeof(old));
	gateway_talk(&g);
	tap_int(stock_consume(&peers[0], gateway_read(&g)), 0, "an initiation is answered");
	gateway_run(&g, NS_PER_S);
	stock_deliver(&peers[0], &g, old, sizeof(old));
	gateway_talk(&g);
	tap_ok(g.engine.counters.replayed == 1 && f.n_sessions == 1, "its replay is not");
	end();
}

static void
test_refuse_replay_after_restart(void)
{
	uint8_t old[WG_INITIATION_LEN], fresh[WG_INITIATION_LEN];

	start(1, false, 0);
	tap_ok(site_shake(&g, &peers[0], 9), "a session, so that the path is known already");
	gateway_run(&g, NS_PER_S);
	stock_initiate(&peers[0], g.wall, 1, g.now, old);
	stock_deliver(&peers[0], &g, old, sizeof(old));
	// Killed before the data plane has even seen the session: the note is there already.
	gateway_kill(&g);
	gateway_start(&g, &f);
	gateway_attach(&g);
	{
		struct desired *d = site_desired(peers, 1, false, 0, NULL);

		gateway_take(&g, d);
		desired_destroy(d);
	}
	gateway_run(&g, NS_PER_S);
	g.n_read = g.n_sent;
	stock_deliver(&peers[0], &g, old, sizeof(old));
	gateway_talk(&g);
	tap_ok(g.engine.counters.initiations_in == 0 && g.engine.counters.replayed == 1,
		"after our restart a replay is refused by the note");
	stock_initiate(&peers[0], g.wall, 2, g.now, fresh);
	stock_deliver(&peers[0], &g, fresh, sizeof(fresh));
	gateway_talk(&g);
	tap_int(g.engine.counters.initiations_in, 1, "a fresh one is answered");
	end();
}

static void
test_refuse_replay_after_cold_start(void)
{
	uint8_t old[WG_INITIATION_LEN];
	struct state_file state = {};
	struct peer_stamps *stamps;
	struct desired *desired;
	size_t n;

	start(2, false, 0);
	stock_initiate(&peers[0], g.wall, 1, g.now, old);
	stock_deliver(&peers[0], &g, old, sizeof(old));
	gateway_talk(&g);
	stamps = engine_stamps(&g.engine, &n);
	tap_int(n, 1, "a peer that was heard has a stamp for the state file");
	(void)state_file_merge(&state, stamps, n);
	free(stamps);
	end();

	// The box was off: another keeper, empty notes.
	fake_start(&f, 2);
	gateway_start(&g, &f);
	gateway_attach(&g);
	desired = site_desired(peers, 2, false, 0, &state);
	gateway_take(&g, desired);
	desired_destroy(desired);
	stock_deliver(&peers[0], &g, old, sizeof(old));
	gateway_talk(&g);
	tap_ok(g.engine.counters.replayed == 1 && f.n_sessions == 0,
		"after a cold start a replay is refused by the state file");
	state_file_fini(&state);
	end();
}

static void
test_refuse_others(void)
{
	uint8_t message[WG_INITIATION_LEN], copy[WG_INITIATION_LEN];

	start(1, false, 0);
	stock_initiate(&peers[1], g.wall, 1, g.now, message);
	stock_deliver(&peers[1], &g, message, sizeof(message));
	tap_int(g.engine.counters.unknown_peer, 1, "a stranger is not answered");
	stock_initiate(&peers[0], g.wall, 1, g.now, message);
	for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
		memcpy(copy, message, sizeof(copy));
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bit / 8 < 132) // the last 16 bytes are mac2, which nobody reads without load
			stock_deliver(&peers[0], &g, copy, sizeof(copy));
	}
	for (size_t len = 0; len < sizeof(message); len++)
		stock_deliver(&peers[0], &g, message, len);
	gateway_talk(&g);
	tap_ok(f.n_sessions == 0 && g.n_sent == 0, "nor is any damaged or shortened initiation");
	stock_deliver(&peers[0], &g, message, sizeof(message));
	gateway_talk(&g);
	tap_int(f.n_sessions, 1, "and the whole one is, after all of them");
	end();
}

static void
test_refused_by_dataplane(void)
{
	uint8_t message[WG_INITIATION_LEN];

	start(1, false, 0);
	f.state->sessions[1].receiver_index = 0xfff00001u; // another one's, unknown to us
	f.state->sessions[1].role = SHM_ROLE_RESPONDER;
	stock_initiate(&peers[0], g.wall, 1, g.now, message);
	stock_deliver(&peers[0], &g, message, sizeof(message));
	gateway_talk(&g);
	tap_ok(g.engine.counters.refused == 1 && g.n_sent == 0,
		"a session that is refused is not answered for");
	gateway_run(&g, NS_PER_S);
	tap_ok(site_shake(&g, &peers[0], 2), "the next handshake takes another slot");
	end();
}

/* --- initiator --- */

static void
test_initiate(void)
{
	uint8_t response[WG_RESPONSE_LEN];
	const struct sent *s;
	uint32_t number;

	start(3, true, 0);
	gateway_run(&g, 2 * NS_PER_S);
	tap_ok(gateway_read(&g) == NULL, "nothing is begun without a reason");
	number = gateway_peer(&g, &peers[2])->number;
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = number });
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && endpoint_equal(&s->remote, &peers[2].at),
		"a waiting packet starts a handshake at once");
	tap_int(stock_respond(&peers[2], s, 55, response), 0, "the peer answers");
	stock_deliver(&peers[2], &g, response, sizeof(response));
	tap_int(f.n_sessions, 0, "the data plane has not seen it yet");
	gateway_talk(&g);
	tap_ok(f.n_sessions == 1 && f.session.role == SHM_ROLE_INITIATOR &&
			f.session.sender_index == 55,
		"the session is ours");
	tap_bytes(f.session.key_receive, peers[2].keys.send, KEY_LEN, "with the peer's keys");
	tap_int(f.n_keepalive, 1, "a keepalive confirms it");
	stock_deliver(&peers[2], &g, response, sizeof(response));
	gateway_talk(&g);
	tap_int(f.n_sessions, 1, "the same response is worth nothing a second time");
	gateway_run(&g, 20 * NS_PER_S);
	tap_ok(gateway_read(&g) == NULL, "the handshake is over");
	end();
}

static void
test_repeat_and_give_up(void)
{
	const struct sent *s;
	unsigned n = 0;
	uint8_t last[WG_INITIATION_LEN] = {};

	start(1, true, 0);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_run(&g, 12 * NS_PER_S);
	while ((s = gateway_read(&g)) != NULL) {
		tap_ok(memcmp(s->data + 8, last + 8, 32) != 0,
			"each initiation has a fresh ephemeral key");
		memcpy(last, s->data, sizeof(last));
		n++;
	}
	tap_int(n, 3, "initiations are repeated every 5 s and a bit");
	tap_int(f.n_unreachable, 0, "packets wait");
	gateway_run(&g, 85 * NS_PER_S);
	tap_ok(f.n_unreachable == 1 && f.last_unreachable == 0,
		"after 90 s it is given up, and they need not");
	n = (unsigned)g.n_sent;
	gateway_run(&g, 60 * NS_PER_S);
	tap_int(g.n_sent, n, "nothing is sent any more");
	tap_int(g.engine.slots.count, 0, "and no slot is held");
	end();
}

static void
test_no_endpoint(void)
{
	start(1, false, 0);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	tap_ok(f.n_unreachable == 1 && g.n_sent == 0,
		"a peer that is nowhere is unreachable at once");
	end();
}

static void
test_persistent_keepalive(void)
{
	uint8_t response[WG_RESPONSE_LEN];

	start(1, true, 25);
	gateway_run(&g, NS_PER_S);
	tap_int(stock_respond(&peers[0], gateway_read(&g), 5, response), 0,
		"persistent keepalive begins a handshake by itself");
	stock_deliver(&peers[0], &g, response, sizeof(response));
	gateway_talk(&g);
	f.n_keepalive = 0;
	gateway_run(&g, 101 * NS_PER_S);
	tap_int(f.n_keepalive, 4, "and a keepalive leaves every 25 s");
	end();
}

static void
test_rekey(void)
{
	uint8_t response[WG_RESPONSE_LEN];
	struct shm_peer_counters *c;

	start(1, true, 0);
	c = &f.state->counters[1][0];
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	(void)stock_respond(&peers[0], gateway_read(&g), 5, response);
	stock_deliver(&peers[0], &g, response, sizeof(response));
	gateway_talk(&g);
	for (int i = 0; i < 119; i++) {
		c->last_tx_ns = c->last_tx_data_ns = c->last_rx_ns = g.now.ns;
		gateway_run(&g, NS_PER_S);
	}
	tap_ok(gateway_read(&g) == NULL, "a session in use is good for 120 s");
	c->last_tx_ns = c->last_tx_data_ns = c->last_rx_ns = g.now.ns + NS_PER_S;
	gateway_run(&g, 2 * NS_PER_S + NS_PER_MS);
	c->last_tx_ns = c->last_tx_data_ns = g.now.ns;
	gateway_run(&g, 2 * NS_PER_S);
	tap_int(stock_respond(&peers[0], gateway_read(&g), 6, response), 0,
		"then its initiator renews it");
	stock_deliver(&peers[0], &g, response, sizeof(response));
	gateway_talk(&g);
	tap_ok(shm_keypairs_previous(f.state->keypairs[0]) != 0,
		"the old one stays for late packets");
	gateway_run(&g, 62 * NS_PER_S);
	tap_int(shm_keypairs_previous(f.state->keypairs[0]), 0, "until it is 180 s old");
	tap_int(g.engine.slots.count, 1, "its slot is free");
	end();
}

static void
test_preshared_key(void)
{
	struct desired *desired;

	start(1, false, 0);
	peers[0].preshared_key = site_key(99);
	peers[0].has_preshared_key = true;
	wg_remote_set_preshared_key(&peers[0].gateway, &peers[0].preshared_key);
	tap_ok(!site_shake(&g, &peers[0], 1),
		"with a preshared key at one end only there is no session");
	desired = site_desired(peers, 1, false, 0, NULL);
	gateway_take(&g, desired);
	desired_destroy(desired);
	gateway_run(&g, NS_PER_S);
	tap_ok(site_shake(&g, &peers[0], 2), "with it at both ends there is");
	end();
}

/* --- roaming --- */

static void
test_roaming(void)
{
	struct stock_peer elsewhere;
	struct shm_path path;
	struct endpoint remote = { .addr = { ADDR_V6, { 0xfd, 0x18, 9 } }, .port = 999 };
	struct addr local = { ADDR_V6, { 0xfd, 0x18, 2 } };

	start(1, true, 0);
	tap_ok(leads_to(&peers[0]), "the configured endpoint is the path at first");
	tap_ok(site_shake(&g, &peers[0], 1), "a session");
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_SEEN_FROM,
			     .peer = 0,
			     .path = shm_path_of(&remote, &local) });
	gateway_talk(&g);
	path = path_in_force(&peers[0]);
	tap_ok(path.family == 6 && path.remote_port == 999 && path.local.bytes[2] == 2,
		"the path follows authentic packets, with our address that they came to");
	elsewhere = peers[0];
	elsewhere.at.port = 7;
	gateway_run(&g, NS_PER_S);
	tap_ok(site_shake(&g, &elsewhere, 2), "an initiation from elsewhere");
	tap_ok(leads_to(&elsewhere), "is followed too");

	restart(1, true);
	peers[0].at = elsewhere.at;
	tap_ok(leads_to(&peers[0]), "after our restart the path is the one in use, not the file's");
	g.n_read = g.n_sent;
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_SEEN_FROM,
			     .peer = 0,
			     .path = { .family = 5, .remote_port = 5 } });
	gateway_talk(&g);
	tap_ok(leads_to(&peers[0]), "a path that cannot be is not followed");
	end();
}

static void
test_doubt(void)
{
	struct stock_peer configured;
	struct endpoint remote = { .addr = { ADDR_V4, { 198, 18, 77, 77 } }, .port = 999 };
	struct addr local = { ADDR_V4, { 198, 18, 0, 2 } };
	const struct sent *s;
	unsigned n = 0;

	start(1, true, 0);
	configured = peers[0];
	tap_ok(site_shake(&g, &peers[0], 1), "a session");
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_SEEN_FROM,
			     .peer = 0,
			     .path = shm_path_of(&remote, &local) });
	gateway_talk(&g);
	gateway_run(&g, 200 * NS_PER_S);
	g.n_read = g.n_sent;
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_run(&g, 19 * NS_PER_S);
	while ((s = gateway_read(&g)) != NULL) {
		if (n == 0)
			tap_ok(endpoint_equal(&s->remote, &remote) && addr_equal(&s->local, &local),
				"the first initiation goes where the peer was last");
		if (n == 1)
			tap_ok(endpoint_equal(&s->remote, &remote) && s->local.family == ADDR_NONE,
				"the second from any of our addresses");
		if (n == 3)
			tap_ok(endpoint_equal(&s->remote, &configured.at),
				"a later one to the configured endpoint");
		n++;
	}
	tap_int(n, 4, "four initiations in 19 s");
	end();
}

/* --- load --- */

static void
test_cookies(void)
{
	uint8_t message[WG_INITIATION_LEN];
	const struct sent *s;
	unsigned n_cookies = 0;

	start(2, false, 0);
	stock_initiate(&peers[1], g.wall, 9, g.now, message);
	for (int i = 0; i < 600; i++) // one that passes mac1 is enough to cost us
		stock_deliver(&peers[1], &g, message, sizeof(message));
	gateway_talk(&g);
	tap_ok(g.engine.counters.cookies_out >= 80 && g.engine.counters.cookies_out <= 90,
		"after 512 at once the others get cookies");
	g.n_read = g.n_sent;
	stock_initiate(&peers[0], g.wall, 3, g.now, message);
	stock_deliver(&peers[0], &g, message, sizeof(message));
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && wg_message_type(s->data, s->len) == WG_MESSAGE_COOKIE_REPLY,
		"an honest peer gets one too while that lasts");
	tap_int(s != NULL ? wg_cookie_reply_consume(
				    &peers[0].cookie, &peers[0].gateway, s->data, g.now)
			  : -1,
		0, "and can read it");
	g.now = mono_add_ns(g.now, 100 * NS_PER_MS);
	g.wall += 100 * NS_PER_MS;
	for (int i = 0; i < 600; i++) // still under load
		(void)load_on_message(&g.engine.load, g.now);
	tap_ok(site_shake(&g, &peers[0], 4),
		"its next initiation carries the cookie and is answered");

	for (int i = 0; i < 10; i++) {
		g.now = mono_add_ns(g.now, NS_PER_MS);
		(void)load_on_message(&g.engine.load, g.now);
		stock_initiate(&peers[0], g.wall, 5, g.now, message);
		stock_deliver(&peers[0], &g, message, sizeof(message));
	}
	tap_ok(g.engine.counters.rate_limited >= 5,
		"a source that has proven itself is held to its rate");
	gateway_talk(&g);
	gateway_run(&g, 3 * NS_PER_S);
	g.n_read = g.n_sent;
	peers[1].cookie = (struct wg_held_cookie){};
	tap_ok(site_shake(&g, &peers[1], 6), "when the load is over no cookie is asked for");
	while ((s = gateway_read(&g)) != NULL)
		n_cookies += wg_message_type(s->data, s->len) == WG_MESSAGE_COOKIE_REPLY;
	tap_int(n_cookies, 0, "not one");

	restart(2, false);
	tap_ok(g.engine.cookie_secret.birth.ns != 0,
		"cookies that were given out outlive our restart");
	end();
}

static void
test_cookie_for_us(void)
{
	struct wg_cookie_secret secret = {};
	uint8_t random[WG_COOKIE_SECRET_LEN] = { 1 }, nonce[WG_NONCE_LEN] = { 2 },
		reply[WG_COOKIE_REPLY_LEN];
	struct endpoint us = { .addr = { ADDR_V4, { 198, 18, 0, 2 } }, .port = 51820 };
	const struct sent *s;

	start(1, true, 0);
	wg_cookie_secret_renew(&secret, random, g.now);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && !wg_mac2_is_valid(&secret, &us, s->data, s->len, g.now),
		"at first we have no cookie");
	wg_cookie_reply_create(&peers[0].identity, &secret, &us, s->data, s->len, nonce, reply);
	stock_deliver(&peers[0], &g, reply, sizeof(reply));
	tap_int(g.engine.counters.cookies_in, 1, "a peer under load gives us one");
	tap_ok(gateway_read(&g) == NULL, "which does not make us send at once");
	gateway_run(&g, 6 * NS_PER_S);
	s = gateway_read(&g);
	tap_ok(s != NULL && wg_mac2_is_valid(&secret, &us, s->data, s->len, g.now),
		"the repetition carries it");
	end();
}

/* --- deaths --- */

static void
test_own_restart(void)
{
	uint32_t before, index_before;

	start(3, false, 0);
	tap_ok(site_shake(&g, &peers[0], 1) && site_shake(&g, &peers[1], 2), "two sessions");
	before = gateway_peer(&g, &peers[1])->number;
	index_before = f.state->sessions[2].receiver_index;
	restart(3, false);
	tap_int(gateway_peer(&g, &peers[1])->number, before,
		"after our restart a peer has the same number");
	tap_int(g.engine.slots.count, 2, "slots in use are known");
	gateway_run(&g, 60 * NS_PER_S);
	tap_int(g.n_sent, 0, "no handshake is made");
	tap_int(f.state->sessions[2].receiver_index, index_before, "the sessions are untouched");
	gateway_run(&g, NS_PER_S);
	tap_ok(site_shake(&g, &peers[2], 3) && shm_index_slot(f.session.receiver_index) == 3,
		"a new session takes a slot that is free");
	end();
}

static void
test_restart_in_handshake(void)
{
	uint8_t first[WG_INITIATION_LEN];
	const struct sent *s;
	struct wg_tai64n a, b;

	start(1, true, 0);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	s = gateway_read(&g);
	memcpy(first, s->data, sizeof(first));
	a = gateway_peer(&g, &peers[0])->tx_timestamp;
	restart(1, true); // the clock has not moved
	s = gateway_read(&g);
	tap_ok(s != NULL && wg_message_type(s->data, s->len) == WG_MESSAGE_INITIATION,
		"a handshake that our death cut off is begun again");
	b = gateway_peer(&g, &peers[0])->tx_timestamp;
	tap_ok(wg_tai64n_compare(&b, &a) > 0,
		"with a later timestamp, though the clock stands still");
	end();
}

static void
test_restart_before_confirming(void)
{
	uint8_t response[WG_RESPONSE_LEN];

	start(1, true, 0);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	(void)stock_respond(&peers[0], gateway_read(&g), 5, response);
	stock_deliver(&peers[0], &g, response, sizeof(response));
	dataplane_flush(&g.dp);
	fake_work(&f); // installed, and nobody hears the event
	tap_int(f.n_keepalive, 0, "our death comes before the confirmation");
	restart(1, true);
	tap_int(f.n_keepalive, 1, "who comes after us confirms the session");
	gateway_run(&g, 10 * NS_PER_S);
	tap_int(g.n_sent, 0, "and makes no other");
	end();
}

static void
test_new_keeper(void)
{
	struct fake_forwarder old;
	size_t n_lost;
	const struct sent *s;

	start(3, true, 0);
	tap_ok(site_shake(&g, &peers[0], 1) && site_shake(&g, &peers[1], 2), "two sessions");
	gateway_run(&g, 170 * NS_PER_S);
	tap_ok(site_shake(&g, &peers[0], 3), "one of them is young");
	gateway_run(&g, 15 * NS_PER_S);
	g.n_read = g.n_sent;

	old = f;
	fake_start(&f, 2);
	dataplane_leave(&g.dp);
	publisher_detached(&g.publisher);
	n_lost = gateway_attach(&g);
	fake_end(&old);
	tap_int(n_lost, 1, "another keeper: the session is lost, the other was too old to count");
	tap_ok(gateway_read(&g) == NULL, "before the peers are said again nobody can be spoken to");
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && endpoint_equal(&s->remote, &peers[0].at) &&
			wg_message_type(s->data, s->len) == WG_MESSAGE_INITIATION,
		"then a handshake begins with the peer that had one, at once");
	tap_ok(gateway_read(&g) == NULL, "and with no other");
	tap_int(gateway_peer(&g, &peers[2])->number, 2, "numbers stay");
	end();
}

static void
test_new_forwarder(void)
{
	start(2, false, 0);
	tap_ok(site_shake(&g, &peers[0], 1), "a session");
	fake_restart_forwarder(&f);
	gateway_run(&g, 10 * NS_PER_S);
	tap_int(f.n_full, 2, "a new forwarder is told everything again");
	tap_ok(g.n_sent == g.n_read && g.engine.slots.count == 1, "and the session goes on");
	gateway_run(&g, NS_PER_S);
	tap_ok(site_shake(&g, &peers[1], 2), "so do handshakes");
	end();
}

/* --- peers come and go --- */

static void
test_configuration(void)
{
	struct desired *desired;
	uint32_t number;

	start(3, false, 0);
	tap_ok(site_shake(&g, &peers[0], 1) && site_shake(&g, &peers[2], 2), "two sessions");
	number = gateway_peer(&g, &peers[2])->number;
	desired = site_desired(peers, 2, false, 0, NULL);
	gateway_take(&g, desired);
	desired_destroy(desired);
	tap_ok(gateway_peer(&g, &peers[2]) == NULL,
		"a peer that left is forgotten once the data plane has it so");
	tap_ok(!site_shake(&g, &peers[2], 3), "and not answered");
	gateway_run(&g, 2 * NS_PER_S);
	tap_ok(site_shake(&g, &peers[0], 4), "the others are");
	desired = site_desired(peers, 4, false, 0, NULL);
	gateway_take(&g, desired);
	desired_destroy(desired);
	tap_ok(gateway_peer(&g, &peers[2])->number == number &&
			gateway_peer(&g, &peers[3])->number == 3,
		"new ones take the lowest free numbers");
	end();
}

static void
test_name(void)
{
	struct desired *desired;
	struct endpoint none = {};
	const struct sent *s;

	start(0, false, 0);
	desired = site_desired(peers, 1, false, 0, NULL);
	desired->peers[0].endpoint_is_name = true;
	gateway_take(&g, desired);
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	tap_ok(g.n_resolve == 1 && f.n_unreachable == 0,
		"a packet waits for a name to be resolved");
	engine_endpoint_resolved(&g.engine, &peers[0].identity.static_public, &none, g.now);
	gateway_talk(&g);
	tap_int(f.n_unreachable, 1, "until that fails");
	fake_say(&f, (struct shm_event){ .kind = SHM_EV_WANT_SESSION, .peer = 0 });
	gateway_talk(&g);
	engine_endpoint_resolved(&g.engine, &peers[0].identity.static_public, &peers[0].at, g.now);
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && endpoint_equal(&s->remote, &peers[0].at),
		"or succeeds: the handshake begins");
	tap_ok(leads_to(&peers[0]), "and the path leads there");
	g.n_resolve = 0;
	gateway_run(&g, 30 * NS_PER_S);
	tap_ok(g.n_resolve >= 1, "a peer that does not answer is looked up again");
	desired_destroy(desired);
	end();
}

/* --- a hostile data plane --- */

static void
test_hostile_events(void)
{
	struct shm_event e;

	start(4, true, 25);
	srand(5);
	for (int i = 0; i < 100000; i++) {
		uint8_t *bytes = (uint8_t *)&e;

		for (size_t k = 0; k < sizeof(e); k++)
			bytes[k] = (uint8_t)rand();
		e.kind = (uint32_t)rand() % 12;
		if (rand() % 2 == 0)
			e.peer = (uint32_t)rand() % 5;
		if (rand() % 2 == 0)
			e.index = ((uint32_t)rand() % 8) | ((uint32_t)rand() % 4096)
			                                           << SHM_SLOT_BITS;
		if (rand() % 4 == 0)
			e.generation = g.publisher.generation;
		if (e.kind == SHM_EV_APPLIED)
			publisher_on_applied(&g.publisher, e.generation);
		else if (e.kind == SHM_EV_REFUSED)
			publisher_on_refused(&g.publisher, e.generation, e.value);
		else
			engine_event(&g.engine, &e, g.now);
		if (i % 16 == 0) {
			f.state->keypairs[rand() % 4] = (uint64_t)rand() << 20 ^ (uint64_t)rand();
			f.state->sessions[rand() % 8].receiver_index = (uint32_t)rand() % 8;
			f.state->sessions[rand() % 8].birth_ns = (uint64_t)rand() << 32;
			f.state->sessions[rand() % 8].role = (uint32_t)rand() % 4;
			f.state->counters[0][rand() % 4].last_rx_ns = (uint64_t)rand() << 33;
			f.state->counters[1][rand() % 4].last_tx_data_ns = (uint64_t)rand() << 33;
			gateway_run(&g, 50 * NS_PER_MS);
		}
	}
	tap_ok(true, "100,000 events of any content, and state that changes at random, do no harm");
	tap_ok(g.n_sent < 100000, "and do not make us flood anybody");
	end();
}

static void
test_hostile_datagrams(void)
{
	uint8_t data[256];

	start(4, true, 0);
	srand(6);
	for (int i = 0; i < 20000; i++) {
		static const size_t lens[] = { 148, 92, 64, 32, 100 };
		size_t len = lens[rand() % 5];

		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t)rand();
		data[0] = (uint8_t)(rand() % 6);
		data[1] = data[2] = data[3] = 0;
		stock_deliver(&peers[rand() % 3], &g, data, len);
	}
	gateway_talk(&g);
	tap_ok(g.n_sent == 0 && f.n_sessions == 0, "random messages are not answered");
	tap_ok(site_shake(&g, &peers[0], 1), "a right one is");
	end();
}

/* --- members of a tailnet --- */

static void
start_members(size_t n_peers)
{
	struct desired *desired;

	start(0, false, 0);
	desired = site_desired(peers, n_peers, false, 0, NULL);
	site_make_members(desired);
	gateway_take(&g, desired);
	desired_destroy(desired);
}

static void
seen_from(const struct stock_peer *p, const char *where)
{
	struct shm_event event = { .kind = SHM_EV_SEEN_FROM, .peer = gateway_peer(&g, p)->number };
	struct endpoint from;
	const struct addr any = {};

	if (endpoint_parse(where, &from) < 0)
		return;
	event.path = shm_path_of(&from, &any);
	engine_event(&g.engine, &event, g.now);
	gateway_talk(&g);
}

static void
test_member_paths(void)
{
	const struct endpoint nowhere = {};
	const struct addr any = {};
	struct desired *desired;
	uint32_t number;
	struct peer *p;

	start_members(2);
	tap_ok(site_shake(&g, &peers[0], 5), "a member that begins is answered");
	number = gateway_peer(&g, &peers[0])->number;
	tap_ok(path_in_force(&peers[0]).family == 0,
		"but where it came from is not where packets go: disco decides");
	engine_set_member_path(&g.engine, number, &nowhere, &any, true);
	gateway_talk(&g);
	tap_ok(path_in_force(&peers[0]).family == 0 && path_in_force(&peers[0]).relay == 1,
		"they go by the relay");
	engine_set_member_path(&g.engine, number, &peers[0].at, &any, true);
	gateway_talk(&g);
	tap_ok(leads_to(&peers[0]) && path_in_force(&peers[0]).relay == 1, "by both");
	engine_set_member_path(&g.engine, number, &peers[0].at, &any, false);
	gateway_talk(&g);
	tap_ok(leads_to(&peers[0]) && path_in_force(&peers[0]).relay == 0, "directly");
	seen_from(&peers[0], "203.0.113.9:9");
	tap_ok(leads_to(&peers[0]), "a packet from elsewhere moves nothing");

	desired = site_desired(peers, 2, false, 0, NULL);
	site_make_members(desired);
	gateway_kill(&g);
	gateway_start(&g, &f);
	gateway_attach(&g);
	gateway_take(&g, desired);
	desired_destroy(desired);
	p = gateway_peer(&g, &peers[0]);
	tap_ok(p->has_noted_path && endpoint_equal(&p->endpoint, &peers[0].at),
		"who comes after us knows the path, for disco to confirm");
	tap_ok(leads_to(&peers[0]), "which is in force meanwhile");
	end();
}

static void
test_member_handshake(void)
{
	struct shm_event want = { .kind = SHM_EV_WANT_SESSION };
	uint8_t initiation[WG_INITIATION_LEN];
	const struct sent *s;

	start_members(2);
	want.peer = gateway_peer(&g, &peers[1])->number;
	engine_event(&g.engine, &want, g.now);
	tap_ok(g.n_to_members == 1 && g.last_member == want.peer,
		"an initiation goes by the ways that disco knows, even if there is none yet");
	tap_ok(gateway_read(&g) != NULL, "it is one");
	stock_initiate(&peers[0], g.wall, 3, g.now, initiation);
	stock_deliver_relayed(&peers[0], &g, &gateway_peer(&g, &peers[0])->remote.static_public,
		initiation, sizeof(initiation));
	gateway_talk(&g);
	s = gateway_read(&g);
	tap_ok(s != NULL && s->remote.port == 9 &&
			memcmp(&s->relayed_to, &gateway_peer(&g, &peers[0])->remote.static_public,
				sizeof(s->relayed_to)) == 0,
		"what came through a relay is answered through it");
	tap_int(s != NULL ? stock_consume(&peers[0], s) : -1, 0, "the member takes it");
	end();
}

static void
test_member_activity(void)
{
	uint32_t number;

	start_members(1);
	tap_ok(site_shake(&g, &peers[0], 5), "a session");
	number = gateway_peer(&g, &peers[0])->number;
	g.n_active = 0;
	gateway_run(&g, 3 * NS_PER_S);
	tap_int(g.n_active, 0, "nothing is said of a member to which nothing is sent");
	f.state->counters[0][number].last_tx_ns = g.now.ns;
	gateway_run(&g, 2 * NS_PER_S);
	tap_ok(g.n_active == 1 && g.last_member == number, "what is sent is said, once");
	engine_reset_sessions(&g.engine, number, g.now);
	gateway_talk(&g);
	tap_int(shm_keypairs_current(f.state->keypairs[number]), 0,
		"a member that started anew has no session any more");
	end();
}

int
main(void)
{
	if (crypto_init() < 0)
		return 99;
	test_respond();
	test_refuse_replay();
	test_refuse_replay_after_restart();
	test_refuse_replay_after_cold_start();
	test_refuse_others();
	test_refused_by_dataplane();
	test_initiate();
	test_repeat_and_give_up();
	test_no_endpoint();
	test_persistent_keepalive();
	test_rekey();
	test_preshared_key();
	test_roaming();
	test_doubt();
	test_cookies();
	test_cookie_for_us();
	test_own_restart();
	test_restart_in_handshake();
	test_restart_before_confirming();
	test_new_keeper();
	test_new_forwarder();
	test_configuration();
	test_name();
	test_hostile_events();
	test_hostile_datagrams();
	test_member_paths();
	test_member_handshake();
	test_member_activity();
	return tap_done();
}
