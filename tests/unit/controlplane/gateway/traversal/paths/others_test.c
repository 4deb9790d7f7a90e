/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What others say: pings, call-me-maybe, and what strangers try (../shared/protocol/peer.md 2.3,
 * 2.5 and 2.7).
 */

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/traversal/paths/stage.h"

#define S  NS_PER_S
#define MS NS_PER_MS

#define NEAR "198.51.100.5:41641"
#define FAR  "203.0.113.9:41641"

static const char *const only_near[] = { NEAR, NULL };
static const char *const nowhere[] = { NULL };

static struct actor a, b;

/* --- pings of others --- */

static void
test_pong(void)
{
	const struct sent *pong;

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, nowhere);
	stage_ping(&a, 1, FAR);
	pong = stage_find(DISCO_PONG, FAR);
	tap_ok(pong != NULL && pong->len == 110 && pong->txid[0] == 1, "a ping is answered");
	tap_ok(pong != NULL && pong->local.family == ADDR_V4, "from where it came to");
	if (pong != NULL) {
		struct endpoint from = stage_endpoint(FAR);

		tap_ok(endpoint_equal(&pong->source, &from), "and says where it came from");
	}
	stage_ping(&a, 1, FAR);
	tap_int(stage_count(DISCO_PONG, NULL), 1, "pongs for a ping that came twice");
	stage_ping(&a, 1, NEAR);
	tap_int(stage_count(DISCO_PONG, NULL), 2, "pongs for a ping from two places");
	tap_int(stage_count(DISCO_PING, NULL), 0, "pings in return");
	stage_traffic(1);
	tap_int(stage_count(DISCO_PING, NULL), 2, "places pinged with the next traffic");

	stage_clear();
	stage_ping(&a, 2, NULL);
	pong = stage_find(DISCO_PONG, NULL);
	tap_ok(pong != NULL && pong->relayed && pong->region == STAGE_HOME, "over the relay too");
	if (pong != NULL) {
		struct endpoint from = stage_endpoint("127.3.3.40:7");

		tap_ok(endpoint_equal(&pong->source, &from), "with the relay's fake address");
	}
	stage_ping(&a, 2, NULL);
	tap_int(stage_count(DISCO_PONG, NULL), 1, "pongs for a ping that a relay repeats");
	stage_close();
}

static void
test_strangers(void)
{
	struct disco_message m = { .type = DISCO_PING };
	struct paths_source source = {};
	struct actor stranger;
	uint8_t junk[2000] = {};

	stage_open(NULL);
	stage_actor(&a);
	stage_actor(&b);
	stage_actor(&stranger);
	stage_set(1, &a, nowhere);
	stage_set(2, &b, nowhere);
	stage_say(&stranger, &m, FAR);
	stage_say(&stranger, &m, NULL);
	tap_int((long long)stage_counters().unknown_key, 2, "datagrams of unknown keys");
	stranger.disco_key = a.disco_key; // says that it is a
	stage_say(&stranger, &m, FAR);
	tap_int((long long)stage_counters().not_authentic, 1, "forged datagrams");
	stranger = a;
	stranger.node_key = b.node_key; // b's key on the relay, a's message in it
	stage_say(&stranger, &m, NULL);
	tap_int((long long)stage_counters().unknown_key, 3, "what another node relays");
	source.endpoint = stage_endpoint(FAR);
	for (size_t len = 0; len < sizeof(junk); len++)
		paths_receive(stage.paths, &source, junk, len, stage.now);
	tap_int((long long)stage.n_sent, 0, "answers to all of that");
	stage_close();
}

static void
test_shared_disco_key(void)
{
	struct actor twin;

	stage_open(NULL);
	stage_actor(&a);
	twin = a;
	memset(twin.node_key.bytes, 7, KEY_LEN);
	stage_set(1, &a, nowhere);
	stage_set(2, &twin, nowhere);
	stage_ping(&a, 1, NEAR);
	tap_int(stage_count(DISCO_PONG, NULL), 1, "pongs to two nodes with one disco key");
	stage_traffic(1);
	stage_traffic(2);
	tap_int(stage_count(DISCO_PING, NEAR), 2, "both nodes may be where the ping came from");
	stage_pass(20 * MS);
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	tap_ok(stage_is_direct(NEAR), "a pong counts for the one whose ping it answers");
	stage_clear();
	paths_remove_peer(stage.paths, 1);
	stage_ping(&a, 2, NEAR);
	tap_int(stage_count(DISCO_PONG, NULL), 1, "pongs when one of them is gone");
	paths_remove_peer(stage.paths, 2);
	stage_ping(&a, 3, NEAR);
	tap_int(stage_count(DISCO_PONG, NULL), 1, "and when both are gone");
	stage_close();
}

/* --- call-me-maybe --- */

static void
test_call_me_maybe(void)
{
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };

	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, nowhere);
	stage_call_me_maybe(&a, (const char *const[]){ NEAR, "[fe80::1%1]:41641", FAR, NULL });
	tap_int(stage_count(DISCO_PING, NULL), 2, "endpoints pinged, the link-local one left out");
	tap_int(stage_count(DISCO_CALL_ME_MAYBE, NULL), 0, "call-me-maybes in return");
	stage_pass(S);
	stage_call_me_maybe(&a, only_near);
	tap_int(stage_count(DISCO_PING, NEAR), 2, "pinged again at once");
	tap_int(stage_count(DISCO_PING, FAR), 1, "what is not repeated is forgotten");
	stage_pass(20 * MS);
	stage_answer(&a, stage_find(DISCO_PING, NEAR));
	tap_ok(stage_is_direct(NEAR), "its answer makes a path");
	stage_call_me_maybe(&a, (const char *const[]){ FAR, NULL });
	tap_ok(stage_is_both(NEAR), "a path that the peer takes back is in doubt");
	stage_say(&a, &m, FAR);
	tap_int((long long)stage_counters().ignored, 1, "call-me-maybe over UDP ignored");
	stage_close();
}

static void
test_own_endpoints(void)
{
	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, only_near);
	stage.own_stale = true;
	stage_traffic(1);
	tap_int(stage.n_own_asked, 1, "asked for our endpoints");
	tap_int(stage_count(DISCO_CALL_ME_MAYBE, NULL), 0, "stale ones told");
	stage.own_stale = false;
	stage_pass(200 * MS);
	paths_endpoints_fresh(stage.paths, stage.now);
	tap_int(stage_count(DISCO_CALL_ME_MAYBE, NULL), 1, "fresh ones told");
	paths_endpoints_fresh(stage.paths, stage.now);
	for (int i = 0; i < 40; i++) {
		stage_traffic(1);
		stage_pass(100 * MS);
	}
	tap_int(stage_count(DISCO_CALL_ME_MAYBE, NULL), 1, "call-me-maybes within 5 s");
	stage.own_stale = true;
	for (int i = 0; i < 120; i++) {
		stage_traffic(1);
		stage_pass(100 * MS);
	}
	tap_ok(stage_count(DISCO_CALL_ME_MAYBE, NULL) >= 2,
		"stale ones are better than none when the refreshing does not end");
	stage_close();
}

static void
test_no_weapon(void)
{
	const char *many[61] = {};
	static char texts[60][32];
	struct paths_counters before;

	for (int i = 0; i < 60; i++) {
		snprintf(texts[i], sizeof(texts[i]), "203.0.113.%d:%d", i + 1, 1000 + i);
		many[i] = texts[i];
	}
	stage_open(NULL);
	stage_actor(&a);
	stage_set(1, &a, nowhere);
	for (int i = 0; i < 1000; i++) {
		stage_call_me_maybe(&a, many);
		stage_clear();
		stage_pass(10 * MS);
	}
	before = stage_counters();
	tap_ok(before.pings_out <= 128 + 25 * 10 + 1,
		"1,000 call-me-maybes in 10 s make %llu pings, not 60,000",
		(unsigned long long)before.pings_out);
	tap_ok(before.throttled > 50000, "the rest is counted");
	for (int i = 0; i < 2000; i++) {
		char from[32];

		snprintf(from, sizeof(from), "198.18.%d.%d:%d", i / 200, i % 200 + 1, i + 1);
		stage_ping(&a, (uint8_t)i, from);
		stage_clear();
	}
	tap_ok(paths_candidates(stage.paths, 1, (struct paths_candidate[1000]){}, 1000) <= 160,
		"2,000 places that it pings from do not pile up");
	stage_close();
}

int
main(void)
{
	if (crypto_init() != 0)
		return 1;
	test_pong();
	test_strangers();
	test_shared_disco_key();
	test_call_me_maybe();
	test_own_endpoints();
	test_no_weapon();
	return tap_done();
}
