/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How connections with relays begin and end, over fake streams.
 */

#include "controlplane/gateway/traversal/relay/relays.h"

#include <stdio.h>
#include <string.h>

#include "lib/crypto/box.h"
#include "lib/derp/info.h"
#include "tests/lib/relay_site.h"
#include "tests/lib/tap.h"

#define ANSWER "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n"

static bool
sent_text(const struct stream *s, const char *text)
{
	return memmem(s->sent, s->sent_len, text, strlen(text)) != NULL;
}

// Whether the i-th frame is a CLIENT_INFO that the server can open.
static bool
is_our_info(const struct relay_site *site, const struct stream *s, size_t i)
{
	struct derp_message message;
	struct derp_client_info info;
	struct box_key key;

	return relay_site_sent(s, i, &message) && message.type == DERP_CLIENT_INFO &&
	       memcmp(&message.key, &site->client_public, KEY_LEN) == 0 &&
	       box_key_init(&key, &site->server, &site->client_public) == 0 &&
	       derp_client_info_open(message.data, message.data_len, &key, &info) == 0 &&
	       info.version == 2 && info.can_ack_pings && !info.is_prober && !info.has_mesh_key;
}

static bool
is_note(const struct stream *s, size_t i, bool preferred)
{
	struct derp_message message;

	return relay_site_sent(s, i, &message) && message.type == DERP_NOTE_PREFERRED &&
	       message.preferred == preferred;
}

static void
test_usual_way(void)
{
	struct relay_site site;
	struct relay_facts facts;
	struct stream *s;

	relay_site_init(&site);
	tap_int((long long)site.set->n_opened, 0, "nothing is opened without need");
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	if (!tap_ok(s != NULL, "home is connected to at its first node"))
		return;
	tap_ok(s->target.port == 443 && s->target.tls && s->target.verify == STREAM_VERIFY_FULL &&
			s->target.cert_name == NULL && s->target.low_delay,
		"by TLS to port 443 with every check");
	fake_stream_opened(s, false, NULL, -1);
	tap_ok(sent_text(s, "GET /derp HTTP/1.1\r\nHost: a.example\r\n") &&
			sent_text(s, "\r\nUpgrade: DERP\r\n") &&
			sent_text(s, "\r\nConnection: Upgrade\r\n"),
		"the request asks for DERP");
	tap_ok(!sent_text(s, "Ideal-Node") && !sent_text(s, "Fast-Start"), "and nothing else");
	relay_site_answer(s, "HTTP/1.1 101 Switching Proto");
	relay_site_answer(s, "cols\r\nUpgrade: DERP\r\nDerp-Public-Key: nodekey:00\r\n\r\n");
	tap_int((long long)relay_site_sent_count(s, DERP_CLIENT_INFO), 0,
		"nothing is said before the server's key is there");
	relay_site_greet(&site, s);
	tap_ok(is_our_info(&site, s, 0), "then who we are");
	tap_ok(is_note(s, 1, true), "and that this is home");
	tap_int(relay_site_state(&site, 1), RELAY_CONNECTING, "state before the server's proof");
	relay_site_info(&site, s, 0, 0);
	tap_int(relay_site_state(&site, 1), RELAY_CONNECTED, "state after it");
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.region == 1 && facts.is_home &&
			facts.is_ideal && !facts.is_fast_start && facts.has_server_key &&
			memcmp(&facts.server_key, &site.server_public, KEY_LEN) == 0 &&
			!relays_facts(site.relays, 1, &facts),
		"facts");
	tap_text(facts.host, "a.example", "its node");
	relay_site_fini(&site);
}

static void
meta_name(const struct relay_site *site, char name[static 80])
{
	size_t at = (size_t)sprintf(name, "derpkey");

	for (size_t i = 0; i < KEY_LEN; i++)
		at += (size_t)sprintf(name + at, "%02x", site->server_public.bytes[i]);
}

static void
test_fast_start(void)
{
	struct relay_site site;
	struct relay_facts facts;
	struct stream *s;
	char name[80];

	relay_site_init(&site);
	meta_name(&site, name);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	fake_stream_opened(s, true, name, 2);
	tap_ok(sent_text(s, "\r\nDerp-Fast-Start: 1\r\n") && is_our_info(&site, s, 0) &&
			is_note(s, 1, true),
		"fast start: request and who we are in one flight");
	tap_int((long long)s->n_sends, 1, "records of it");
	relay_site_greet(&site, s);
	relay_site_info(&site, s, 0, 0);
	tap_int(relay_site_state(&site, 1), RELAY_CONNECTED, "state");
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.is_fast_start, "facts say so");
	tap_int((long long)relay_site_sent_count(s, DERP_CLIENT_INFO), 1, "said once");
	relay_site_fini(&site);
}

static void
test_no_fast_start(void)
{
	struct relay_site site;
	char name[80];

	for (int i = 0; i < 3; i++) {
		struct stream *s;

		relay_site_init(&site);
		meta_name(&site, name);
		if (i == 2)
			name[10] = 'x';
		relays_set_home(site.relays, 1, site.set->now);
		s = fake_stream_to(site.set, "a.example");
		fake_stream_opened(s, i != 0, name, i == 1 ? 256 : 2);
		tap_ok(!sent_text(s, "Fast-Start") &&
				relay_site_sent_count(s, DERP_CLIENT_INFO) == 0,
			"no fast start: %s",
			i == 0   ? "TLS 1.2"
			: i == 1 ? "a serial number that is no version"
				 : "the name is no key");
		relay_site_fini(&site);
	}
}

static void
test_fast_start_refused(void)
{
	struct relay_site site;
	struct stream *s, *again;
	char name[80];

	relay_site_init(&site);
	meta_name(&site, name);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	fake_stream_opened(s, true, name, 2);
	fake_stream_end(s, STREAM_EOF, "the server has closed the connection");
	again = fake_stream_to(site.set, "a.example");
	if (tap_ok(again != NULL && again != s, "after a fast start that failed, the same node")) {
		fake_stream_opened(again, true, name, 2);
		tap_ok(!sent_text(again, "Fast-Start"), "without it");
	}
	relay_site_fini(&site);
}

static void
test_nodes_in_turn(void)
{
	struct relay_site site;
	struct relay_facts facts;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	tap_ok(s->target.timeout_ns == 3 * NS_PER_S, "the first of two nodes has three seconds");
	fake_stream_end(s, STREAM_CONNECT, "connection refused");
	s = fake_stream_to(site.set, "b.example");
	if (!tap_ok(s != NULL, "where the first node fails, the second is tried at once"))
		return;
	fake_stream_opened(s, false, NULL, -1);
	tap_ok(sent_text(s, "\r\nIdeal-Node: 1a\r\n"), "and is told whom we wanted");
	relay_site_answer(s, "HTTP/1.1 426 Upgrade Required\r\n\r\nwhy");
	tap_int((long long)fake_set_count(site.set), 0, "no third");
	tap_int(relay_site_state(&site, 1), RELAY_WAITING, "state");
	tap_text(relay_site_last(&site, EVENT_STATE)->why,
		"it answers with HTTP status 426 instead of relaying", "reason");
	(void)relay_site_pass(&site, 1 * NS_PER_MS);
	tap_int((long long)fake_set_count(site.set), 0, "1 ms later");
	(void)relay_site_pass(&site, 20 * NS_PER_MS);
	tap_ok(fake_stream_to(site.set, "a.example") != NULL, "15 ms later it begins anew");
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.n_failures == 1, "one failure");
	relay_site_fini(&site);
}

// How long each wait is when a relay refuses again and again.
static void
test_backoff(void)
{
	struct relay_site site;
	int64_t longest = 0;
	bool ok = true;

	relay_site_init(&site);
	relays_set_home(site.relays, 2, site.set->now);
	for (int64_t i = 1; i <= 40; i++) {
		struct stream *s = fake_stream_to(site.set, "c.example");
		int64_t wanted = i * i * 10 * NS_PER_MS, waited;
		struct mono next;

		if (!tap_ok(s != NULL, "attempt %d", (int)i))
			return;
		fake_stream_end(s, STREAM_CONNECT, "connection refused");
		next = relay_site_pass(&site, 0);
		waited = mono_diff_ns(next, site.set->now);
		if (wanted > 5 * NS_PER_S)
			wanted = 5 * NS_PER_S;
		ok &= waited >= wanted / 2 && waited <= wanted * 3 / 2;
		longest = waited > longest ? waited : longest;
		(void)relay_site_pass(&site, waited);
	}
	tap_ok(ok, "waits are within half of n^2 * 10 ms, 5 s at most (longest %lld ms)",
		(long long)(longest / NS_PER_MS));
	relay_site_fini(&site);
}

static const struct {
	const char *what;
	const char *bytes;
	size_t len;
	const char *why;
} bad[] = {
	{ "no HTTP", "SSH-2.0-x\r\n\r\n", 13, "what it answers is no HTTP" },
	{ "an ordinary page", "HTTP/1.1 200 OK\r\n\r\n<html>", 25,
		"it answers with HTTP status 200 instead of relaying" },
	{ "another frame first", ANSWER "\x06\0\0\0\0", sizeof(ANSWER) - 1 + 5,
		"it does not begin with its key" },
	{ "a key without magic",
		ANSWER "\x01\0\0\0\x28"
		       "0123456789012345678901234567890123456789",
		sizeof(ANSWER) - 1 + 45, "it does not begin with its key" },
	{ "a frame of 2 MiB", ANSWER "\x05\0\x20\0\0", sizeof(ANSWER) - 1 + 5,
		"what it sends is too large" },
	{ "a key of small order",
		ANSWER "\x01\0\0\0\x28"
		       "DERP\xf0\x9f\x94\x91"
		       "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		sizeof(ANSWER) - 1 + 45, "its key gives no secret" },
};

static void
test_bad_servers(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct relay_site site;
		struct stream *s;

		relay_site_init(&site);
		relays_set_home(site.relays, 2, site.set->now);
		s = fake_stream_to(site.set, "c.example");
		fake_stream_opened(s, false, NULL, -1);
		fake_stream_feed(s, bad[i].bytes, bad[i].len);
		tap_ok(!s->is_open && relay_site_state(&site, 2) == RELAY_WAITING,
			"%s ends the connection", bad[i].what);
		tap_text(relay_site_last(&site, EVENT_STATE)->why, bad[i].why, "reason");
		relay_site_fini(&site);
	}
}

static void
test_wrong_key(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 2, site.set->now);
	s = fake_stream_to(site.set, "c.example");
	fake_stream_opened(s, false, NULL, -1);
	relay_site_answer(s, ANSWER);
	relay_site_greet(&site, s);
	relay_site_packet(s, &site.server_public, "early", 5);
	tap_int((long long)relay_site_count(&site, EVENT_PACKET), 0,
		"packets before the server's proof are nobody's");
	site.server.bytes[5] ^= 1;
	relay_site_info(&site, s, 0, 0);
	tap_ok(!s->is_open, "a server without the key that it claims is left");
	tap_text(relay_site_last(&site, EVENT_STATE)->why,
		"it does not have the key that it claims", "reason");
	relay_site_fini(&site);
}

static void
test_time_limits(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 2, site.set->now);
	s = fake_stream_to(site.set, "c.example");
	fake_stream_opened(s, false, NULL, -1);
	(void)relay_site_pass(&site, 9 * NS_PER_S);
	tap_ok(s->is_open, "a server may think for nine seconds");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	tap_ok(!s->is_open, "but not for ten");

	(void)relay_site_pass(&site, 1 * NS_PER_S);
	s = fake_stream_to(site.set, "c.example");
	relay_site_connect(&site, s);
	(void)relay_site_pass(&site, 119 * NS_PER_S);
	relay_site_frame(s, DERP_KEEP_ALIVE, NULL, 0);
	(void)relay_site_pass(&site, 119 * NS_PER_S);
	tap_ok(s->is_open, "a sign of life every two minutes keeps a connection");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	tap_ok(!s->is_open, "two minutes of silence end it");
	tap_text(relay_site_last(&site, EVENT_STATE)->why, "it has been silent for two minutes",
		"reason");
	relay_site_fini(&site);
}

// The reference's client does not wait either, whatever ../shared/protocol/peer.md 4.5 says.
static void
test_side_by_side(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	tap_ok(relays_send(
		       site.relays, 2, &site.server_public, (const uint8_t *)"x", 1, site.set->now),
		"a packet for another region while home is being connected to");
	s = fake_stream_to(site.set, "c.example");
	if (tap_ok(s != NULL, "which does not wait for home")) {
		relay_site_connect(&site, s);
		tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 1,
			"the packet leaves");
	}
	relay_site_fini(&site);
}

static void
test_new_key(void)
{
	struct relay_site site;
	struct secret_key other;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	relay_site_connect(&site, s);
	relays_set_key(site.relays, &site.client, site.set->now);
	tap_ok(s->is_open, "the same key again changes nothing");
	memset(other.bytes, 11, sizeof(other.bytes));
	relays_set_key(site.relays, &other, site.set->now);
	tap_ok(!s->is_open, "another key ends the connection");
	s = fake_stream_to(site.set, "a.example");
	if (tap_ok(s != NULL, "and begins one at once")) {
		site.client = other;
		key_public(&site.client_public, &other);
		relay_site_connect(&site, s);
		tap_ok(is_our_info(&site, s, 0), "with that key");
	}
	relays_set_key(site.relays, NULL, site.set->now);
	(void)relay_site_pass(&site, 10 * NS_PER_S);
	tap_int((long long)fake_set_count(site.set), 0, "no key, no connection");
	tap_ok(!relays_send(
		       site.relays, 1, &site.server_public, (const uint8_t *)"x", 1, site.set->now),
		"and no packet");
	relay_site_fini(&site);
}

static void
test_new_map(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	relay_site_connect(&site, s);
	relay_site_map(&site,
		"{\"Regions\":{\"1\":{\"Nodes\":[{\"Name\":\"1z\",\"HostName\":\"a.example\"}]}}}");
	tap_ok(s->is_open, "a map with the same node keeps the connection");
	relay_site_map(&site,
		"{\"Regions\":{\"1\":{\"Nodes\":[{\"HostName\":\"a.example\",\"DERPPort\":8443,"
		"\"InsecureForTests\":true,\"CertName\":\"other.example\",\"IPv4\":\"192.0.2.1\","
		"\"IPv6\":\"none\"}]}}}");
	tap_ok(!s->is_open, "another port ends it");
	s = fake_stream_to(site.set, "a.example");
	if (tap_ok(s != NULL, "and leads there at once"))
		tap_ok(s->target.port == 8443 && s->target.verify == STREAM_VERIFY_NONE &&
				s->target.n_addresses == 1 && s->target.addresses[0].port == 8443 &&
				s->target.addresses[0].addr.bytes[3] == 1 &&
				strcmp(s->target.cert_name, "other.example") == 0,
			"port, address, check and name are the map's");
	relay_site_map(&site, "{\"Regions\":{}}");
	(void)relay_site_pass(&site, 10 * NS_PER_S);
	tap_int((long long)fake_set_count(site.set), 0, "a map without the region: none");
	relay_site_map(&site,
		"{\"Regions\":{\"1\":{\"Nodes\":[{\"HostName\":\"stun\",\"STUNOnly\":true},"
		"{\"HostName\":\"v6\",\"IPv4\":\"none\"}]}}}");
	s = fake_stream_to(site.set, "v6");
	tap_ok(s != NULL && s->target.family == ADDR_V6 && s->target.n_addresses == 0,
		"back again: not the one for STUN only, the other by IPv6 only");
	tap_int(relays_set_map(site.relays, NULL, site.set->now), 0, "no map");
	tap_int((long long)fake_set_count(site.set), 0, "no connection");
	relay_site_fini(&site);
}

static void
test_new_home(void)
{
	struct relay_site site;
	struct stream *s, *t;
	size_t n;

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	relay_site_connect(&site, s);
	(void)relay_site_pass(&site, 100 * NS_PER_S);
	relay_site_frame(s, DERP_KEEP_ALIVE, NULL, 0);
	n = relay_site_sent_count(s, DERP_NOTE_PREFERRED);
	relays_set_home(site.relays, 2, site.set->now);
	tap_ok(relay_site_sent_count(s, DERP_NOTE_PREFERRED) == n + 1, "the old home is told");
	t = fake_stream_to(site.set, "c.example");
	relay_site_connect(&site, t);
	tap_ok(is_note(t, 1, true), "and the new one");
	(void)relay_site_pass(&site, 59 * NS_PER_S);
	relay_site_frame(t, DERP_KEEP_ALIVE, NULL, 0);
	tap_ok(s->is_open, "the old one is listened to for another minute");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	tap_ok(!s->is_open && t->is_open, "and left then");
	(void)relay_site_pass(&site, 100 * NS_PER_S);
	tap_ok(t->is_open, "home stays");
	tap_int(relay_site_state(&site, 1), RELAY_CLOSED, "state of the old one");
	relay_site_fini(&site);
}

static void
test_many_regions(void)
{
	static char json[16384];
	struct relay_site site;
	size_t at = (size_t)sprintf(json, "{\"Regions\":{"), taken = 0;

	relay_site_init(&site);
	for (int i = 1; i <= 100; i++)
		at += (size_t)sprintf(json + at, "%s\"%d\":{\"Nodes\":[{\"HostName\":\"h%d\"}]}",
			i > 1 ? "," : "", i, i);
	sprintf(json + at, "}}");
	relay_site_map(&site, json);
	for (uint16_t i = 1; i <= 99; i++)
		taken += relays_send(site.relays, i, &site.server_public, (const uint8_t *)"x", 1,
			site.set->now);
	tap_int((long long)taken, RELAYS_MAX_CONNECTIONS, "regions that packets are taken for");
	relays_set_home(site.relays, 100, site.set->now);
	(void)relay_site_pass(&site, 1);
	tap_ok(fake_stream_to(site.set, "h100") != NULL, "home finds room all the same");
	relay_site_fini(&site);
}

static void
test_plain(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	relays_set_plain_http(site.relays, true);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	tap_ok(s != NULL && !s->target.tls && s->target.port == 3340, "a developer's relay");
	relay_site_fini(&site);
}

int
main(void)
{
	test_usual_way();
	test_fast_start();
	test_no_fast_start();
	test_fast_start_refused();
	test_nodes_in_turn();
	test_backoff();
	test_bad_servers();
	test_wrong_key();
	test_time_limits();
	test_side_by_side();
	test_new_key();
	test_new_map();
	test_new_home();
	test_many_regions();
	test_plain();
	return tap_done();
}
