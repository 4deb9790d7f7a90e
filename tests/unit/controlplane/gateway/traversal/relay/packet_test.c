/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets through relays: what waits, what goes first, what is dropped, and what the server's other
 * messages do, over fake streams.
 */

#include "controlplane/gateway/traversal/relay/relays.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/wg/message.h"
#include "tests/lib/relay_site.h"
#include "tests/lib/tap.h"

static const struct public_key alice = { { 0xa1 } }, bob = { { 0xb0 } };

// Home is region 1, connected; what was sent until then is forgotten.
static struct stream *
init_connected(struct relay_site *site)
{
	struct stream *s;

	relay_site_init(site);
	relays_set_home(site->relays, 1, site->set->now);
	s = fake_stream_to(site->set, "a.example");
	relay_site_connect(site, s);
	fake_stream_clear(s);
	return s;
}

// A packet of sealed data with a number in it.
static bool
send_data(struct relay_site *site, uint16_t region, uint32_t number, size_t len)
{
	static uint8_t data[RELAYS_MAX_PACKET_LEN + 1] = { WG_MESSAGE_TRANSPORT_DATA };

	store_le32(data + 8, number);
	return relays_send(site->relays, region, &alice, data, len, site->set->now);
}

static bool
send_disco(struct relay_site *site, uint16_t region, uint8_t number)
{
	uint8_t data[120] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac, number };

	return relays_send(site->relays, region, &alice, data, sizeof(data), site->set->now);
}

static bool
send_initiation(struct relay_site *site, uint16_t region)
{
	uint8_t data[WG_INITIATION_LEN] = { WG_MESSAGE_INITIATION };

	return relays_send(site->relays, region, &alice, data, sizeof(data), site->set->now);
}

// The number of the i-th packet of data that was sent, or -1.
static int64_t
data_number(const struct stream *s, size_t i)
{
	struct derp_message m;

	if (!relay_site_sent(s, i, &m) || m.type != DERP_SEND_PACKET || m.data_len < 32 ||
		m.data[0] != WG_MESSAGE_TRANSPORT_DATA)
		return -1;
	return load_le32(m.data + 8);
}

// Let what waits for its time leave: 24 packets in each half of a millisecond.
static void
settle(struct relay_site *site, int ms)
{
	for (int i = 0; i < ms; i++)
		(void)relay_site_pass(site, 1 * NS_PER_MS);
}

static void
test_pace(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	struct mono next;
	size_t most = 0, sent;

	for (uint32_t i = 0; i < 100; i++)
		(void)send_data(&site, 1, i, 1300);
	relays_flush(site.relays);
	sent = relay_site_sent_count(s, DERP_SEND_PACKET);
	tap_int((long long)sent, 24, "of a burst, so many packets leave as a relay has room for");
	tap_ok(send_disco(&site, 1, 1), "disco");
	relays_flush(site.relays);
	tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 25, "does not wait");
	next = relay_site_pass(&site, 0);
	tap_ok(mono_diff_ns(next, site.set->now) <= 1 * NS_PER_MS, "the rest is due soon");
	for (int i = 0; i < 50; i++) {
		size_t before = relay_site_sent_count(s, DERP_SEND_PACKET);

		(void)relay_site_pass(&site, 100 * NS_PER_US);
		sent = relay_site_sent_count(s, DERP_SEND_PACKET);
		most = sent - before > most ? sent - before : most;
	}
	tap_ok(sent == 101 && most <= 5, "and leaves evenly (%zu at most in 100 us)", most);
	relay_site_fini(&site);
}

static void
test_records(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	bool ok = true;

	for (uint32_t i = 0; i < 10; i++)
		ok &= send_data(&site, 1, i, 1300);
	tap_ok(ok && s->n_sends == 0, "packets are gathered");
	relays_flush(site.relays);
	tap_ok(s->n_sends == 1 && data_number(s, 0) == 0 && data_number(s, 9) == 9,
		"ten of them leave in one record and in order");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	for (uint32_t i = 0; i < 24; i++)
		(void)send_data(&site, 1, i, 1300);
	tap_int((long long)s->n_sends, 2, "a full record does not wait");
	relays_flush(site.relays);
	tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 34, "all left");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	tap_ok(send_data(&site, 1, 7, RELAYS_MAX_PACKET_LEN), "the largest packet");
	relays_flush(site.relays);
	tap_int(data_number(s, 34), 7, "leaves whole");
	tap_ok(!send_data(&site, 1, 7, RELAYS_MAX_PACKET_LEN + 1), "a larger one is refused");
	relay_site_fini(&site);
}

static void
test_before_connection(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	tap_ok(!send_data(&site, 3, 1, 100), "a region that the map does not have");
	tap_ok(!send_data(&site, 0, 1, 100), "none");
	tap_ok(send_data(&site, 2, 1, 100) && send_disco(&site, 2, 1), "a region not connected");
	relays_flush(site.relays);
	s = fake_stream_to(site.set, "c.example");
	relay_site_connect(&site, s);
	tap_ok(relay_site_sent_count(s, DERP_SEND_PACKET) == 2 && data_number(s, 2) == 1,
		"what waited leaves, what is urgent first");
	tap_int((long long)relay_site_sent_count(s, DERP_NOTE_PREFERRED), 0, "it is no home");
	relay_site_fini(&site);
}

static void
test_urgent_first(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	struct derp_message m;
	size_t sent;

	fake_stream_hold(s, true);
	for (uint32_t i = 0; i < 200; i++)
		(void)send_data(&site, 1, i, 1300);
	settle(&site, 10);
	sent = relay_site_sent_count(s, DERP_SEND_PACKET);
	tap_ok(sent < 60, "little is handed to a stream that does not move (%zu packets)", sent);
	tap_ok(send_disco(&site, 1, 9) && send_initiation(&site, 1), "disco and a handshake");
	fake_stream_hold(s, false);
	settle(&site, 20);
	tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 202, "then all leave");
	tap_ok(relay_site_sent(s, sent, &m) && m.data[0] == 'T', "disco first");
	tap_ok(relay_site_sent(s, sent + 1, &m) && m.data[0] == WG_MESSAGE_INITIATION,
		"then the handshake");
	tap_int(data_number(s, sent + 2), (long long)sent, "then data, where it stood");

	fake_stream_clear(s);
	fake_stream_hold(s, true);
	for (uint32_t i = 0; i < 100; i++)
		(void)send_data(&site, 1, i, 1300);
	s->is_held = false;
	s->queued = 0; // it moves again, but has not said so yet
	site.set->now = mono_add_ns(site.set->now, 1 * NS_PER_S);
	(void)send_data(&site, 1, 100, 1300);
	settle(&site, 10);
	tap_int(data_number(s, 100), 100, "data does not overtake data");
	relay_site_fini(&site);
}

static void
test_full_queue(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	struct relay_facts facts;
	size_t sent, n;

	fake_stream_hold(s, true);
	(void)send_disco(&site, 1, 1);
	for (uint32_t i = 0; i < 3000; i++)
		(void)send_data(&site, 1, i, 1300);
	settle(&site, 3);
	sent = relay_site_sent_count(s, DERP_SEND_PACKET) - 1;
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.queued_bytes <= 512 << 10 &&
			facts.queued_bytes > 480 << 10 &&
			facts.n_dropped + sent + facts.queued_bytes / 1300 == 3000,
		"half a MiB waits, the rest was dropped");
	fake_stream_hold(s, false);
	settle(&site, 30);
	n = relay_site_sent_count(s, DERP_SEND_PACKET);
	tap_int(data_number(s, n - 1), 2999, "the newest is there");
	tap_int(data_number(s, 1 + sent), (long long)(3000 - facts.queued_bytes / 1300),
		"the oldest were dropped");
	relay_site_fini(&site);
}

static void
test_old_packets(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	size_t sent;

	fake_stream_hold(s, true);
	for (uint32_t i = 0; i < 100; i++)
		(void)send_data(&site, 1, i, 1300);
	settle(&site, 5);
	sent = relay_site_sent_count(s, DERP_SEND_PACKET);
	(void)relay_site_pass(&site, 4 * NS_PER_S);
	(void)send_data(&site, 1, 100, 1300);
	fake_stream_hold(s, false);
	tap_int(data_number(s, sent), 100, "what has waited for four seconds is dropped");
	relay_site_fini(&site);
}

static void
test_slow_connection(void)
{
	struct relay_site site;
	struct stream *s;

	relay_site_init(&site);
	(void)send_data(&site, 2, 1, 100);
	(void)relay_site_pass(&site, 6 * NS_PER_S);
	relay_site_connect(&site, fake_stream_to(site.set, "c.example"));
	tap_int((long long)relay_site_sent_count(site.set->last, DERP_SEND_PACKET), 1,
		"what a connection is made for waits until it is there");

	fake_stream_end(site.set->last, STREAM_RESET, "connection reset");
	(void)send_data(&site, 2, 2, 100);
	for (int i = 0; i < 20; i++) {
		(void)relay_site_pass(&site, 500 * NS_PER_MS);
		s = fake_stream_to(site.set, "c.example");
		if (s != NULL)
			fake_stream_end(s, STREAM_CONNECT, "connection refused");
		s = NULL;
	}
	// The pause before the next attempt is random, and up to 7.5 s by now.
	for (int i = 0; i < 20 && s == NULL; i++) {
		(void)relay_site_pass(&site, 500 * NS_PER_MS);
		s = fake_stream_to(site.set, "c.example");
	}
	(void)send_data(&site, 2, 3, 100);
	if (tap_ok(s != NULL, "after an outage"))
		relay_site_connect(&site, s);
	tap_ok(relay_site_sent_count(s, DERP_SEND_PACKET) == 1 && data_number(s, 1) == 3,
		"nothing old is sent");
	relay_site_fini(&site);
}

static void
test_stall(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);

	fake_stream_hold(s, true);
	(void)send_data(&site, 1, 1, 1300);
	relays_flush(site.relays);
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	(void)relay_site_pass(&site, 19 * NS_PER_S);
	tap_ok(s->is_open, "a stream that does not move for 19 seconds");
	(void)relay_site_pass(&site, 2 * NS_PER_S);
	tap_ok(!s->is_open, "and for 21");
	relay_site_fini(&site);
}

static void
test_receive(void)
{
	static uint8_t large[RELAYS_MAX_PACKET_LEN + 1];
	struct relay_site site;
	struct stream *s = init_connected(&site);
	const struct relay_event *e;

	relay_site_packet(s, &alice, "hello", 5);
	e = relay_site_last(&site, EVENT_PACKET);
	tap_ok(e->region == 1 && e->len == 5 && memcmp(e->data, "hello", 5) == 0 &&
			memcmp(&e->key, &alice, KEY_LEN) == 0,
		"a packet and whom it is from");
	relay_site_packet(s, &alice, large, RELAYS_MAX_PACKET_LEN);
	tap_int((long long)relay_site_last(&site, EVENT_PACKET)->len, RELAYS_MAX_PACKET_LEN,
		"the largest one");
	relay_site_packet(s, &bob, NULL, 0);
	tap_int((long long)relay_site_last(&site, EVENT_PACKET)->len, 0, "an empty one");
	relay_site_packet(s, &alice, large, RELAYS_MAX_PACKET_LEN + 1);
	tap_ok(!s->is_open, "a larger one ends the connection");
	relay_site_fini(&site);
}

static void
test_in_pieces(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	uint8_t frames[2 * (DERP_HEADER_LEN + KEY_LEN + 3)];

	for (size_t i = 0; i < 2; i++) {
		uint8_t *f = frames + i * sizeof(frames) / 2;

		derp_header_write(f, DERP_RECV_PACKET, KEY_LEN + 3);
		memcpy(f + DERP_HEADER_LEN, &alice, KEY_LEN);
		memcpy(f + DERP_HEADER_LEN + KEY_LEN, "abc", 3);
	}
	for (size_t i = 0; i < sizeof(frames); i++)
		fake_stream_feed(s, frames + i, 1);
	tap_int((long long)relay_site_count(&site, EVENT_PACKET), 2, "two frames byte by byte");
	fake_stream_feed(s, frames, sizeof(frames));
	tap_int((long long)relay_site_count(&site, EVENT_PACKET), 4, "and two at once");
	relay_site_fini(&site);
}

static void
test_idle(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site), *t;

	(void)send_data(&site, 2, 1, 100);
	t = fake_stream_to(site.set, "c.example");
	relay_site_connect(&site, t);
	(void)relay_site_pass(&site, 50 * NS_PER_S);
	(void)send_data(&site, 2, 1, 100);
	(void)relay_site_pass(&site, 59 * NS_PER_S);
	relay_site_packet(t, &alice, "x", 1);
	relay_site_frame(s, DERP_KEEP_ALIVE, NULL, 0);
	tap_ok(t->is_open, "a region stays open while something is sent there");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	tap_ok(!t->is_open, "and is left after a minute without, whatever comes from there");
	tap_ok(s->is_open, "home is not");
	(void)send_data(&site, 2, 1, 100);
	tap_ok(fake_stream_to(site.set, "c.example") != NULL, "and is opened again at need");
	relay_site_fini(&site);
}

static void
test_way_back(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site), *t;
	uint8_t gone[KEY_LEN + 1] = { 0xa1 };

	relay_site_packet(s, &alice, "x", 1);
	tap_ok(send_data(&site, 2, 5, 100), "to one who was heard through another region");
	relays_flush(site.relays);
	tap_ok(fake_stream_to(site.set, "c.example") == NULL && data_number(s, 0) == 5,
		"that way is taken");
	tap_ok(send_data(&site, 0, 6, 100), "even if its region is not known");
	relay_site_frame(s, DERP_PEER_GONE, gone, sizeof(gone));
	tap_ok(relay_site_last(&site, EVENT_GONE)->key.bytes[0] == 0xa1, "it is gone from there");
	(void)send_data(&site, 2, 7, 100);
	t = fake_stream_to(site.set, "c.example");
	if (tap_ok(t != NULL, "then its own region is connected to")) {
		relay_site_connect(&site, t);
		relay_site_packet(s, &alice, "x", 1);
		fake_stream_clear(s);
		(void)send_data(&site, 2, 8, 100);
		relays_flush(site.relays);
		tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 0,
			"which is preferred while it stands");
	}
	relay_site_fini(&site);
}

static void
test_pings(void)
{
	struct relay_site site;
	struct relay_facts facts;
	struct derp_message m = {};
	struct stream *s;
	uint8_t ping[DERP_PING_LEN] = "12345678";

	relay_site_init(&site);
	relays_set_home(site.relays, 1, site.set->now);
	s = fake_stream_to(site.set, "a.example");
	relay_site_connect(&site, s);
	for (size_t i = 0; relay_site_sent(s, i, &m) && m.type != DERP_PING; i++) {
	}
	tap_int(m.type, DERP_PING, "a new connection is measured");
	(void)relay_site_pass(&site, 30 * NS_PER_MS);
	relay_site_frame(s, DERP_PONG, ping, sizeof(ping));
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.ping_ns == 0, "another's pong");
	relay_site_frame(s, DERP_PONG, m.ping, sizeof(m.ping));
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.ping_ns == 30 * NS_PER_MS,
		"the pong says how far it is");

	relay_site_frame(s, DERP_PING, ping, sizeof(ping));
	for (size_t i = 0; relay_site_sent(s, i, &m) && m.type != DERP_PONG; i++) {
	}
	tap_ok(m.type == DERP_PONG && memcmp(m.ping, ping, sizeof(ping)) == 0,
		"the server's ping is answered");
	fake_stream_hold(s, true);
	for (int i = 0; i < 100000; i++)
		relay_site_frame(s, DERP_PING, ping, sizeof(ping));
	tap_ok(s->is_open && s->queued < 128 << 10,
		"a server that pings and does not read costs little (%zu bytes)", s->queued);
	relay_site_fini(&site);
}

static void
test_network_changed(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	struct derp_message m;

	(void)relay_site_pass(&site, 1 * NS_PER_S);
	relays_network_changed(site.relays, site.set->now);
	tap_ok(relay_site_sent(s, 0, &m) && m.type == DERP_PING, "a new network: it is asked");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	relay_site_frame(s, DERP_PONG, m.ping, sizeof(m.ping));
	(void)relay_site_pass(&site, 5 * NS_PER_S);
	tap_ok(s->is_open, "and stays if it answers");
	relays_network_changed(site.relays, site.set->now);
	(void)relay_site_pass(&site, 2900 * NS_PER_MS);
	tap_ok(s->is_open, "it has three seconds");
	(void)relay_site_pass(&site, 100 * NS_PER_MS);
	tap_ok(!s->is_open, "or is left");
	relay_site_fini(&site);
}

static void
test_complaints(void)
{
	struct relay_site site;
	struct stream *s = init_connected(&site);
	struct relay_facts facts;
	uint8_t restarting[8] = { 0, 0, 0x13, 0x88, 0, 0, 0xea, 0x60 }; // in 5 s, for 60 s
	int64_t wait;

	relay_site_frame(s, DERP_HEALTH, "full \x1b[31m", 10);
	tap_ok(relays_facts(site.relays, 0, &facts), "a complaint");
	tap_text(facts.health, "full ?[31m", "text, without what a terminal would obey");
	relay_site_frame(s, DERP_HEALTH, NULL, 0);
	tap_ok(relays_facts(site.relays, 0, &facts) && facts.health[0] == '\0', "all is well");

	(void)relay_site_pass(&site, 60 * NS_PER_S);
	relay_site_frame(s, DERP_RESTARTING, restarting, sizeof(restarting));
	fake_stream_end(s, STREAM_EOF, "closed");
	wait = mono_diff_ns(relay_site_pass(&site, 0), site.set->now);
	tap_ok(wait >= 2500 * NS_PER_MS && wait <= 7500 * NS_PER_MS,
		"a server that restarts is left alone for as long as it asked for");
	relay_site_fini(&site);
}

static void
test_limit(void)
{
	struct relay_site site;
	struct stream *s;
	size_t sent;

	relay_site_init(&site);
	relays_set_home(site.relays, 2, site.set->now);
	s = fake_stream_to(site.set, "c.example");
	fake_stream_opened(s, false, NULL, -1);
	relay_site_answer(s, "HTTP/1.1 101 x\r\n\r\n");
	relay_site_greet(&site, s);
	relay_site_info(&site, s, 10000, 20000);
	for (uint32_t i = 0; i < 100; i++)
		(void)send_data(&site, 2, i, 963); // 1,000 bytes with its head
	settle(&site, 10);
	tap_int((long long)relay_site_sent_count(s, DERP_SEND_PACKET), 20, "the burst allowed");
	(void)relay_site_pass(&site, 1 * NS_PER_S);
	for (uint32_t i = 0; i < 100; i++)
		(void)send_data(&site, 2, i, 963);
	settle(&site, 10);
	sent = relay_site_sent_count(s, DERP_SEND_PACKET);
	tap_int((long long)sent, 30, "and a second's worth");
	relay_site_fini(&site);
}

static void
drop_key(struct relay_site *site)
{
	relays_set_key(site->relays, NULL, site->set->now);
}

static void
answer(struct relay_site *site)
{
	uint8_t data[1300] = { WG_MESSAGE_TRANSPORT_DATA };

	(void)relays_send(site->relays, 2, &bob, data, sizeof(data), site->set->now);
	(void)relays_set_map(site->relays, NULL, site->set->now);
}

static void
other_key(struct relay_site *site)
{
	site->client.bytes[9] ^= 1;
	key_public(&site->client_public, &site->client);
	relays_set_key(site->relays, &site->client, site->set->now);
}

// What is left of an old connection is nothing to a new one.
static void
test_fresh_start(void)
{
	static const uint8_t cut[] = { 0x7f, 0, 0, 0xff, 0xff }; // an unknown frame's head
	uint8_t frames[DERP_HEADER_LEN + KEY_LEN + sizeof(cut)] = {};

	derp_header_write(frames, DERP_RECV_PACKET, KEY_LEN);
	memcpy(frames + DERP_HEADER_LEN + KEY_LEN, cut, sizeof(cut));
	for (int i = 0; i < 2; i++) {
		struct relay_site site;
		struct stream *s = init_connected(&site);

		if (i == 1)
			site.on_packet = other_key;
		fake_stream_feed(s, frames, sizeof(frames));
		if (i == 0) {
			fake_stream_end(s, STREAM_RESET, "connection reset");
			(void)relay_site_pass(&site, 1 * NS_PER_S);
		}
		s = fake_stream_to(site.set, "a.example");
		if (tap_ok(s != NULL, "another connection"))
			relay_site_connect(&site, s);
		tap_int(relay_site_state(&site, 1), RELAY_CONNECTED, "begins with its own bytes");
		relay_site_fini(&site);
	}
}

static void
test_calls_inside(void)
{
	static void (*const all[])(struct relay_site * site) = { drop_key, answer };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct relay_site site;
		struct stream *s = init_connected(&site);
		uint8_t two[2 * (DERP_HEADER_LEN + KEY_LEN)] = {};

		site.on_packet = all[i];
		derp_header_write(two, DERP_RECV_PACKET, KEY_LEN);
		memcpy(two + sizeof(two) / 2, two, DERP_HEADER_LEN);
		fake_stream_feed(s, two, sizeof(two));
		tap_ok(!s->is_open && relay_site_count(&site, EVENT_PACKET) == 1,
			"a packet that ends its own connection is the last of it");
		(void)relay_site_pass(&site, 1);
		relay_site_fini(&site);
	}
}

int
main(void)
{
	test_pace();
	test_records();
	test_before_connection();
	test_urgent_first();
	test_full_queue();
	test_old_packets();
	test_slow_connection();
	test_stall();
	test_receive();
	test_in_pieces();
	test_idle();
	test_way_back();
	test_pings();
	test_network_changed();
	test_complaints();
	test_limit();
	test_calls_inside();
	test_fresh_start();
	return tap_done();
}
