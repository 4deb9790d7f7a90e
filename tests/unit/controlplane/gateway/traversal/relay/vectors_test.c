/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the reference's client made of single frames, and our client of the same (argv[1]:
 * tests/vectors/derp.json, a copy of ../shared/vectors/derp.json).
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/lib/relay_site.h"
#include "tests/lib/tap.h"

static const char *
text_of(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

static size_t
unhex(const char *hex, uint8_t *out, size_t max)
{
	size_t n = 0;

	for (; n < max && hex[2 * n] != '\0'; n++)
		if (sscanf(hex + 2 * n, "%2hhx", &out[n]) != 1)
			tap_ok(false, "hex in the vector");
	return n;
}

static void
init(struct relay_site *site, const json_t *keys)
{
	struct secret_key a;

	relay_site_init(site);
	(void)unhex(text_of(json_object_get(keys, "a"), "private"), a.bytes, KEY_LEN);
	(void)unhex(
		text_of(json_object_get(keys, "server"), "private"), site->server.bytes, KEY_LEN);
	key_public(&site->client_public, &a);
	key_public(&site->server_public, &site->server);
	relays_set_key(site->relays, &a, site->set->now);
	relays_set_home(site->relays, 2, site->set->now);
}

// What our client tells of it, in the words of the vector; the frame's beginning says what it is.
static void
describe(const struct relay_site *site, const struct stream *s, char text[static 512])
{
	const struct relay_event *e = relay_site_last(site, EVENT_PACKET);
	struct relay_facts facts = {};
	struct derp_message m;
	size_t at;

	(void)relays_facts(site->relays, 0, &facts);
	text[0] = '\0';
	if (!s->is_open) {
		strcpy(text, "error");
	} else if (relay_site_count(site, EVENT_PACKET) > 0) {
		at = (size_t)sprintf(text, "RecvPacket from=");
		for (size_t i = 0; i < KEY_LEN; i++)
			at += (size_t)sprintf(text + at, "%02x", e->key.bytes[i]);
		sprintf(text + at, " data=%s", e->len > 0 ? "?" : "");
	} else if (relay_site_count(site, EVENT_GONE) > 0) {
		e = relay_site_last(site, EVENT_GONE);
		at = (size_t)sprintf(text, "PeerGone peer=");
		for (size_t i = 0; i < KEY_LEN; i++)
			at += (size_t)sprintf(text + at, "%02x", e->key.bytes[i]);
		sprintf(text + at, " reason=%u", e->reason);
	} else if (facts.health[0] != '\0') {
		sprintf(text, "Health \"%s\"", facts.health);
	} else if (relay_site_sent(s, 0, &m) && m.type == DERP_PONG) {
		at = (size_t)sprintf(text, "Ping ");
		for (size_t i = 0; i < DERP_PING_LEN; i++)
			at += (size_t)sprintf(text + at, "%02x", m.ping[i]);
	}
}

// Whether the vector's words are of something that shows in what describe() looks at.
static bool
is_visible(const char *parsed)
{
	static const char *const shown[] = { "RecvPacket", "PeerGone", "Health \"c", "Ping " };

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (strncmp(parsed, shown[i], strlen(shown[i])) == 0)
			return true;
	return false;
}

static void
check_case(const json_t *keys, const json_t *row)
{
	const char *hex = text_of(row, "frame"), *parsed = text_of(row, "client_parsed");
	bool is_info = strncmp(hex, "03", 2) == 0;
	struct relay_site site;
	struct stream *s;
	uint8_t frame[512];
	char told[512];
	size_t len = unhex(hex, frame, sizeof(frame));

	init(&site, keys);
	s = fake_stream_to(site.set, "c.example");
	fake_stream_opened(s, false, NULL, -1);
	relay_site_answer(s, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	relay_site_greet(&site, s);
	if (!is_info)
		relay_site_info(&site, s, 0, 0);
	fake_stream_clear(s);
	fake_stream_feed(s, frame, len);
	describe(&site, s, told);
	if (strncmp(parsed, "error", 5) == 0)
		tap_text(told, "error", text_of(row, "name"));
	else
		tap_text(told, is_visible(parsed) ? parsed : "", text_of(row, "name"));
	if (is_info)
		tap_ok((relay_site_state(&site, 2) == RELAY_CONNECTED) ==
				(strncmp(parsed, "ServerInfo", 10) == 0),
			"%s: connected or not", text_of(row, "name"));
	relay_site_fini(&site);
}

int
main(int argc, char **argv)
{
	json_t *vectors = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;
	const json_t *cases = json_object_get(json_object_get(vectors, "client_recv"), "cases");
	size_t i;
	json_t *row;

	if (!tap_ok(json_array_size(cases) > 0, "cases are there"))
		return tap_done();
	json_array_foreach((json_t *)cases, i, row)
		check_case(json_object_get(vectors, "keys"), row);
	json_decref(vectors);
	return tap_done();
}
