/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/relay_site.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/crypto/box.h"
#include "lib/derp/info.h"

static struct relay_event *
new_event(struct relay_site *site, uint16_t region, int kind)
{
	// A test that makes more events than fit is not interested in each.
	size_t at = site->n_events < RELAY_SITE_EVENTS ? site->n_events++ : RELAY_SITE_EVENTS - 1;

	site->events[at] = (struct relay_event){ .kind = kind, .region = region };
	return &site->events[at];
}

static void
on_packet(void *context, uint16_t region, const struct public_key *from, uint8_t *data, size_t len)
{
	struct relay_site *site = context;
	struct relay_event *e = new_event(site, region, EVENT_PACKET);
	size_t kept = len < sizeof(e->data) ? len : sizeof(e->data);

	e->key = *from;
	e->len = len;
	if (len > 0) {
		memcpy(e->data, data, kept);
		memset(data, 0xee, len); // may be changed
	}
	if (site->on_packet != NULL)
		site->on_packet(site);
}

static void
on_gone(void *context, uint16_t region, const struct public_key *peer, uint8_t reason)
{
	struct relay_event *e = new_event(context, region, EVENT_GONE);

	e->key = *peer;
	e->reason = reason;
}

static void
on_state(void *context, uint16_t region, enum relay_state state, const char *why)
{
	struct relay_event *e = new_event(context, region, EVENT_STATE);

	e->state = state;
	snprintf(e->why, sizeof(e->why), "%s", why != NULL ? why : "");
}

void
relay_site_map(struct relay_site *site, const char *json)
{
	struct json_budget budget = { JSON_MESSAGE_BUDGET };
	struct derp_map *map = NULL;
	json_t *tree = json_loads(json, 0, NULL);
	int err = tree != NULL ? derp_map_decode_new(tree, &map, &budget) : -1;

	assert(err == 0);
	err = relays_set_map(site->relays, map, site->set->now);
	assert(err == 0);
	json_decref(tree);
	derp_map_destroy(map);
}

void
relay_site_init(struct relay_site *site)
{
	struct relays_calls calls = {
		.packet = on_packet, .peer_gone = on_gone, .state = on_state, .context = site
	};
	int err = crypto_init();

	assert(err == 0);
	*site = (struct relay_site){ .set = fake_set_create((struct mono){ 1000 * NS_PER_S }) };
	memset(site->client.bytes, 7, sizeof(site->client.bytes));
	memset(site->server.bytes, 9, sizeof(site->server.bytes));
	key_public(&site->client_public, &site->client);
	key_public(&site->server_public, &site->server);
	err = relays_create(site->set, &calls, &site->relays);
	assert(err == 0);
	relays_set_key(site->relays, &site->client, site->set->now);
	relay_site_map(site,
		"{\"Regions\":{\"1\":{\"Nodes\":[{\"Name\":\"1a\",\"HostName\":\"a.example\"},"
		"{\"Name\":\"1b\",\"HostName\":\"b.example\"}]},"
		"\"2\":{\"Nodes\":[{\"Name\":\"2c\",\"HostName\":\"c.example\"}]}}}");
}

void
relay_site_fini(struct relay_site *site)
{
	relays_destroy(site->relays);
	fake_set_destroy(site->set);
}

struct mono
relay_site_pass(struct relay_site *site, int64_t ns)
{
	site->set->now = mono_add_ns(site->set->now, ns);
	return relays_tick(site->relays, site->set->now);
}

enum relay_state
relay_site_state(const struct relay_site *site, uint16_t region)
{
	for (size_t i = site->n_events; i > 0; i--)
		if (site->events[i - 1].kind == EVENT_STATE && site->events[i - 1].region == region)
			return site->events[i - 1].state;
	return RELAY_CLOSED;
}

size_t
relay_site_count(const struct relay_site *site, int kind)
{
	size_t n = 0;

	for (size_t i = 0; i < site->n_events; i++)
		n += (int)site->events[i].kind == kind;
	return n;
}

const struct relay_event *
relay_site_last(const struct relay_site *site, int kind)
{
	static const struct relay_event none;

	for (size_t i = site->n_events; i > 0; i--)
		if ((int)site->events[i - 1].kind == kind)
			return &site->events[i - 1];
	return &none;
}

// ---------- the relay's part ----------

void
relay_site_answer(struct stream *s, const char *head)
{
	fake_stream_feed(s, head, strlen(head));
}

void
relay_site_frame(struct stream *s, enum derp_type type, const void *data, size_t len)
{
	uint8_t *frame = malloc(DERP_HEADER_LEN + len);

	assert(frame != NULL);
	derp_header_write(frame, type, (uint32_t)len);
	if (len > 0)
		memcpy(frame + DERP_HEADER_LEN, data, len);
	fake_stream_feed(s, frame, DERP_HEADER_LEN + len);
	free(frame);
}

void
relay_site_greet(const struct relay_site *site, struct stream *s)
{
	struct derp_message message = { .type = DERP_SERVER_KEY, .key = site->server_public };
	uint8_t head[DERP_HEAD_MAX_LEN];
	size_t len = derp_head_write(head, &message);

	fake_stream_feed(s, head, len);
}

void
relay_site_info(const struct relay_site *site, struct stream *s, int64_t rate, int64_t burst)
{
	struct derp_server_info info = {
		.version = DERP_VERSION, .bytes_per_second = rate, .bytes_burst = burst
	};
	uint8_t sealed[DERP_SERVER_INFO_MAX_LEN], nonce[BOX_NONCE_LEN] = { 5 };
	struct box_key key;
	size_t len;
	int err = box_key_init(&key, &site->server, &site->client_public);

	assert(err == 0);
	len = derp_server_info_seal(sealed, &info, &key, nonce);
	relay_site_frame(s, DERP_SERVER_INFO, sealed, len);
}

void
relay_site_connect(struct relay_site *site, struct stream *s)
{
	fake_stream_opened(s, false, NULL, -1);
	relay_site_answer(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n");
	relay_site_greet(site, s);
	relay_site_info(site, s, 0, 0);
}

void
relay_site_packet(struct stream *s, const struct public_key *from, const void *data, size_t len)
{
	uint8_t *payload = malloc(KEY_LEN + len);

	assert(payload != NULL);
	memcpy(payload, from->bytes, KEY_LEN);
	if (len > 0)
		memcpy(payload + KEY_LEN, data, len);
	relay_site_frame(s, DERP_RECV_PACKET, payload, KEY_LEN + len);
	free(payload);
}

bool
relay_site_sent(const struct stream *s, size_t i, struct derp_message *ret_message)
{
	const uint8_t *end = s->sent_len < 4 || memcmp(s->sent, "GET ", 4) != 0
	                             ? s->sent
	                             : memmem(s->sent, s->sent_len, "\r\n\r\n", 4) + 4;
	size_t at = (size_t)(end - s->sent), used;
	struct derp_reader reader = {};
	struct derp_frame frame;

	for (; derp_reader_next(&reader, s->sent + at, s->sent_len - at, &used, &frame) == 0 &&
		frame.type != DERP_NONE;
		at += used)
		if (i-- == 0)
			return derp_message_read(&frame, ret_message) == 0;
	return false;
}

size_t
relay_site_sent_count(const struct stream *s, enum derp_type type)
{
	struct derp_message message;
	size_t n = 0;

	for (size_t i = 0; relay_site_sent(s, i, &message); i++)
		n += message.type == type;
	return n;
}
