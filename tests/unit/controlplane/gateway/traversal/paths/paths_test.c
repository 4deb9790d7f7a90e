/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rules of ../shared/protocol/peer.md 2.3 to 2.7, one after the other.
 */

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/paths/stage.h"

#define S  NS_PER_S
#define MS NS_PER_MS

#define NEAR "198.51.100.5:41641"
#define FAR  "203.0.113.9:41641"
#define LAN  "192.168.7.7:41641"

static const char *const near_and_far[] = { NEAR, FAR, NULL };
static const char *const only_near[] = { NEAR, NULL };
static const char *const nowhere[] = { NULL };

static struct actor a, b;

/* --- finding a path --- */

static void
test_first_path(void)
{
	const struct sent *ping;

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, near_and_far);
	tap_ok(stage.n_chosen == 1 && stage_is_relayed(), "a new peer is reached by its relay");
	tap_ok(mono_is_never(paths_next(stage.paths)), "nothing is planned");
	stage_pass(600 * S);
	tap_int((long long)stage.n_sent, 0, "sent to a peer without traffic");
	tap_ok(mono_is_never(paths_next(stage.paths)), "and nothing is ever due");

	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, NULL), 2, "pings when traffic begins");
	ping = stage_find(DISCO_PING, NEAR);
	tap_ok(ping != NULL && ping->len == 124 &&
			memcmp(&ping->node_key, &stage.node_key, KEY_LEN) == 0,
		"they are 124 bytes and name our node key");
	ping = stage_find(DISCO_CALL_ME_MAYBE, NULL);
	tap_ok(ping != NULL && ping->relayed && ping->region == STAGE_HOME &&
			ping->n_endpoints == 2 && memcmp(&ping->to_node, &a.node_key, KEY_LEN) == 0,
		"a call-me-maybe with our endpoints goes to its home region");
	stage_pass(30 * MS);
	stage_answer(&a, stage_find(DISCO_PING, FAR));
	tap_ok(stage_is_direct(FAR), "the first pong decides");
	tap_ok(stage.choice.local.family == ADDR_V4, "packets leave from where the pong came to");
	stage_pass(5 * MS);
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	tap_ok(stage_is_direct(FAR), "a slower path does not replace a trusted one");
	stage_close();
}

static void
test_better_path(void)
{
	stage_open_direct(&a, (const char *const[]){ FAR, LAN, NULL });
	tap_ok(stage_is_direct(FAR), "a path of 20 ms");
	stage_pass(5 * S);
	stage_call_me_maybe(&a, (const char *const[]){ FAR, LAN, NULL });
	stage_pass(2 * MS);
	stage_answer(&a, stage_find(DISCO_PING, LAN));
	tap_ok(stage_is_direct(LAN), "gives way to one of 2 ms in the LAN");
	stage_close();

	stage_open_direct(&a, near_and_far);
	stage_call_me_maybe(&a, near_and_far);
	stage_clear();
	stage_pass(5 * S);
	stage_call_me_maybe(&a, near_and_far);
	stage_pass(20 * MS - 100 * NS_PER_US);
	stage_answer(&a, stage_find(DISCO_PING, FAR));
	tap_ok(stage_is_direct(NEAR), "half a percent is no reason to change");
	stage_close();
}

static void
test_trust(void)
{
	unsigned n;

	stage_open_direct(&a, near_and_far);
	n = stage.n_chosen;
	tap_ok(stage_is_direct(NEAR), "trusted after a pong");
	stage_pass(6500 * MS);
	tap_ok(stage_is_direct(NEAR) && stage.n_chosen == n, "6.5 s later still");
	stage_pass(1);
	tap_ok(stage_is_both(NEAR) && stage.n_chosen == n + 1, "then both ways");
	stage_pass(30 * S);
	tap_ok(stage_is_relayed(), "a path whose pings are lost is left");
	stage_close();

	stage_open_direct(&a, near_and_far);
	for (int i = 0; i < 40; i++) {
		stage_traffic(1);
		stage_pass(S);
		if (stage_find(DISCO_PING, NEAR) != NULL) {
			stage_answer(&a, stage_find(DISCO_PING, NEAR));
			stage_clear();
		}
	}
	tap_ok(stage_is_direct(NEAR), "while pongs come, 40 s of traffic change nothing");
	stage_close();
}

static void
test_heartbeat(void)
{
	struct paths_state state;

	stage_open_direct(&a, only_near);
	for (int i = 0; i < 3; i++) {
		stage_pass(3 * S);
		tap_int(stage_count(DISCO_PING, NULL), 1, "heartbeats in 3 s");
		stage_answer(&a, stage_find(DISCO_PING, NEAR));
		stage_clear();
	}
	stage_pass(45 * S);
	tap_ok(paths_state(stage.paths, 1, stage.now, &state) && !state.is_active,
		"idle after 45 s without a message");
	stage_clear();
	stage_pass(600 * S);
	tap_int((long long)stage.n_sent, 0, "sent while idle");
	tap_ok(mono_is_never(paths_next(stage.paths)), "nothing is due while idle");
	tap_ok(paths_state(stage.paths, 1, stage.now, &state) && state.home_region == STAGE_HOME,
		"its state can be asked for");
	stage_close();
}

static void
test_unfit_answers(void)
{
	struct sent ping;

	stage_open(NULL);
	stage_actor(&a);
	stage_actor(&b);
	stage_set(1, &a, only_near);
	stage_set(2, &b, only_near);
	stage_traffic(1);
	ping = *stage_find(DISCO_PING, NEAR);
	stage_answer(&b, &ping);
	tap_ok(stage.choice.direct.addr.family == ADDR_NONE, "another peer's pong is no answer");
	ping.relayed = true;
	stage_answer(&a, &ping);
	tap_ok(stage_is_relayed(), "a pong over the relay makes no direct path");
	ping.relayed = false;
	stage_answer(&a, &ping);
	tap_ok(stage_is_relayed(), "and the same pong counts once");
	stage_pass(5 * S);
	stage_clear();
	stage_traffic(1);
	ping = *stage_find(DISCO_PING, NEAR);
	stage_pass(5 * S);
	stage_answer(&a, &ping);
	tap_ok(stage_is_relayed(), "a pong after 5 s is too late");
	stage_close();
}

/* --- changes --- */

static void
test_changes(void)
{
	struct actor other;
	unsigned n;

	stage_open_direct(&a, only_near);
	n = stage.n_chosen;
	stage_set(1, &a, only_near);
	tap_ok(stage.n_chosen == n && stage.n_sent == 0,
		"the same peer once more: nothing happens");
	other = a;
	stage_actor(&b);
	other.disco_key = b.disco_key;
	stage_set(1, &other, only_near);
	tap_ok(stage_is_relayed() && stage.n_reset == 1, "another disco key: it started anew");
	stage_set(1, &other, only_near);
	tap_int(stage.n_reset, 1, "resets for one new key");
	stage_clear();
	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, NEAR), 1, "pings to the new process");
	stage_ping(&a, 9, NEAR);
	tap_int(stage_count(DISCO_PONG, NULL), 0, "pongs to the old one");
	stage_set(1, &b, only_near);
	tap_int(stage.n_reset, 1, "another node key is another peer, not a reset one");
	stage_close();

	stage_open_direct(&a, only_near);
	stage_set(1, &a, nowhere);
	tap_ok(stage_is_direct(NEAR), "the map forgets an endpoint that works: it is kept");
	paths_network_changed(stage.paths, stage.now);
	tap_ok(stage_is_both(NEAR) && stage.choice.local.family == ADDR_NONE,
		"the network changed: both ways, from any address");
	stage_pass(0);
	tap_ok(stage_count(DISCO_PING, NEAR) >= 1, "and it is pinged at once");
	stage_close();
}

static void
test_unusual_peers(void)
{
	struct endpoint near = stage_endpoint(NEAR);
	struct paths_peer peer = {
		.home_region = STAGE_HOME, .endpoints = &near, .n_endpoints = 1
	};

	stage_open(NULL);
	stage_actor(&a);
	peer.node_key = a.node_key;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "a peer without disco key");
	stage_traffic(1);
	stage_pass(20 * S);
	tap_ok(stage_is_relayed() && stage.n_sent == 0, "is reached by its relay only");

	peer.is_wireguard_only = true;
	peer.home_region = 0;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "a WireGuard-only peer");
	stage_traffic(1);
	stage_pass(20 * S);
	tap_ok(stage_is_direct(NEAR) && stage.n_sent == 0, "is reached by its endpoint only");
	near = stage_endpoint(FAR);
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "its endpoint changes");
	tap_ok(stage_is_direct(FAR), "and is followed");

	peer.is_wireguard_only = false;
	peer.disco_key = a.disco_key;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "a peer without home");
	tap_ok(stage_is_nowhere(), "is reached nowhere at first");
	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, FAR), 1, "pings to its endpoint");
	tap_int(stage_count(DISCO_CALL_ME_MAYBE, NULL), 0, "call-me-maybes without a relay");
	paths_relay_heard(stage.paths, 1, 3, stage.now);
	tap_ok(stage.choice.relay && stage.choice.region == 3, "last resort: where it was heard");
	peer.home_region = STAGE_HOME;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "it finds a home");
	tap_ok(stage_is_relayed(), "which is used from then on");
	stage_close();
}

static void
test_cut(void)
{
	struct endpoint near = stage_endpoint(NEAR);
	struct paths_peer peer = {
		.home_region = STAGE_HOME, .endpoints = &near, .n_endpoints = 1
	};
	unsigned n;

	stage_open_direct(&a, only_near);
	peer.node_key = a.node_key;
	peer.disco_key = a.disco_key;
	peer.is_expired = true;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "the key expires");
	tap_ok(stage_is_nowhere(), "nothing goes anywhere");
	tap_ok(!paths_send(stage.paths, 1, (const uint8_t *)"x", 1, stage.now),
		"no handshake either");
	stage_ping(&a, 1, NEAR);
	stage_traffic(1);
	stage_pass(10 * S);
	tap_int((long long)stage.n_sent, 0, "sent to an expired peer");
	peer.is_expired = false;
	tap_int(paths_set_peer(stage.paths, 1, &peer, stage.now), 0, "it is renewed");
	stage_traffic(1);
	tap_ok(stage_is_relayed() && stage_count(DISCO_PING, NEAR) == 1, "and found again");

	paths_ping(stage.paths, 1, 77, 0, stage.now);
	n = stage.n_chosen;
	stage_clear();
	paths_remove_peer(stage.paths, 1);
	tap_ok(stage.n_pong == 1 && stage.token == 77 && !stage.pong.is_answered,
		"removed: who waited for a pong is told");
	stage_ping(&a, 2, NEAR);
	stage_traffic(1);
	stage_pass(60 * S);
	paths_adopt(stage.paths, 1, &near, &(struct addr){}, stage.now);
	tap_ok(stage.n_sent == 0 && stage.n_chosen == n, "and nothing happens any more");
	stage_close();
}

static void
test_adoption(void)
{
	struct endpoint far = stage_endpoint(FAR);
	struct addr local = stage_endpoint("10.0.0.1:1").addr;

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	paths_adopt(stage.paths, 1, &far, &local, stage.now);
	tap_ok(stage_is_direct(FAR) && addr_equal(&stage.choice.local, &local),
		"adopted: as before");
	stage_pass(0);
	tap_int(stage_count(DISCO_PING, FAR), 1, "pings to confirm it");
	tap_int(stage_count(DISCO_PING, NULL), 1, "and no others");
	stage_pass(50 * MS);
	stage_answer(&a, stage_find(DISCO_PING, FAR));
	stage_pass(6500 * MS);
	tap_ok(stage_is_direct(FAR), "confirmed: trusted as any other");
	stage_close();

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	paths_adopt(stage.paths, 1, &far, &local, stage.now);
	stage_pass(6500 * MS + 1);
	tap_ok(stage.choice.relay, "not confirmed: in doubt 6.5 s later");
	stage_close();

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	paths_remember(stage.paths, 1, &far, &local, stage.now);
	tap_ok(stage_is_both(FAR), "a path that was in doubt still is");
	stage_pass(60 * S);
	tap_ok(stage.n_sent == 0 && stage_is_both(FAR), "and is not pinged without traffic");
	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, FAR), 1, "pings when there is some");
	stage_close();
}

/* --- messages and pings that are asked for --- */

static void
test_handshakes(void)
{
	uint8_t message[148] = { 1 };

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	tap_ok(paths_send(stage.paths, 1, message, sizeof(message), stage.now) &&
			stage.sent[0].relayed && stage.sent[0].len == 148,
		"an initiation goes by the relay at first");
	tap_int(stage_count(DISCO_PING, NEAR), 1, "and a path is looked for");
	stage_pass(10 * MS);
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	stage_clear();
	tap_ok(paths_send(stage.paths, 1, message, sizeof(message), stage.now), "then");
	tap_ok(stage.n_sent == 1 && !stage.sent[0].relayed, "only directly");
	stage.now = mono_add_ns(stage.now, 6501 * MS); // the tick is late
	stage_clear();
	(void)paths_send(stage.paths, 1, message, sizeof(message), stage.now);
	tap_ok(stage.n_sent >= 2 && !stage.sent[0].relayed && stage.sent[1].relayed &&
			stage.sent[1].len == 148,
		"both ways when that is in doubt");
	tap_ok(!paths_send(stage.paths, 2, message, 1, stage.now), "to nobody: not sent");
	stage.udp_broken = true;
	stage_pass(3 * S);
	tap_ok(stage.choice.relay, "a socket that refuses is no trusted path");
	stage_close();
}

static void
test_asked_pings(void)
{
	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	paths_ping(stage.paths, 1, 5, 0, stage.now);
	tap_int(stage_count(DISCO_PING, NULL), 2, "asked: a ping by each way");
	stage_pass(40 * MS);
	for (size_t i = 0; i < stage.n_sent; i++)
		if (stage.sent[i].relayed && stage.sent[i].type == DISCO_PING) {
			stage_answer(&a, &stage.sent[i]);
			break;
		}
	tap_ok(stage.n_pong == 1 && stage.token == 5 && stage.pong.is_answered &&
			stage.pong.region == STAGE_HOME && stage.pong.latency_ns == 40 * MS,
		"the relay's pong is told, with its latency");
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	tap_ok(stage.n_pong == 1 && stage_is_direct(NEAR),
		"a later one is not, but makes the path");
	stage_clear();
	paths_ping(stage.paths, 1, 6, 1200, stage.now);
	tap_ok(stage_count(DISCO_PING, NULL) == 1 && stage.sent[0].len == 1200,
		"then one ping by the trusted path, as long as wanted");
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	tap_ok(stage.n_pong == 2 && stage.pong.region == 0 && stage.pong.direct.port == 41641,
		"its pong names the endpoint");
	paths_ping(stage.paths, 1, 7, 99999, stage.now);
	stage_pass(5 * S);
	tap_ok(stage.n_pong == 3 && stage.token == 7 && !stage.pong.is_answered,
		"no pong in 5 s is told too");
	paths_ping(stage.paths, 4, 8, 0, stage.now);
	tap_ok(stage.n_pong == 4 && !stage.pong.is_answered, "nobody to ping: told at once");
	stage_close();
}

static void
test_logout(void)
{
	stage_open_direct(&a, only_near);
	paths_ping(stage.paths, 1, 1, 0, stage.now);
	stage_clear();
	tap_int(paths_set_self(stage.paths, &stage.node_key, NULL, stage.now), 0, "logged out");
	tap_ok(stage.n_pong == 1 && stage_is_relayed(), "no direct path without a key");
	stage_ping(&a, 1, NEAR);
	stage_traffic(1);
	stage_pass(10 * S);
	tap_int((long long)stage.n_sent, 0, "said by nobody");
	tap_int(paths_set_self(stage.paths, &stage.node_key, &stage.disco_secret, stage.now), 0,
		"logged in again");
	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, NEAR), 1, "pings then");
	stage_close();
}

int
main(void)
{
	if (crypto_init() != 0)
		return 1;
	test_first_path();
	test_better_path();
	test_trust();
	test_heartbeat();
	test_unfit_answers();
	test_changes();
	test_unusual_peers();
	test_cut();
	test_adoption();
	test_handshakes();
	test_asked_pings();
	test_logout();
	return tap_done();
}
