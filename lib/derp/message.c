/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/derp/message.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/crypto/box.h"
#include "lib/net/ip16.h"

#define MAGIC_LEN          8
#define SERVER_KEY_LEN     (MAGIC_LEN + KEY_LEN)
#define SERVER_KEY_MAX_LEN 1024
#define BOX_MIN_LEN        (BOX_NONCE_LEN + BOX_TAG_LEN)
#define PRESENT_LEN        (KEY_LEN + AP18_LEN) /* without flags */
#define RESTARTING_LEN     8

static_assert(DERP_HEAD_MAX_LEN >= DERP_HEADER_LEN + SERVER_KEY_LEN);
static_assert(DERP_HEAD_MAX_LEN >= DERP_HEADER_LEN + PRESENT_LEN + 1);

static const uint8_t magic[MAGIC_LEN] = { 'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91 };

// The fixed part of a payload, without which a frame is not understood.
static size_t
fixed_len(enum derp_type type)
{
	switch (type) {
	case DERP_SERVER_KEY:
		return SERVER_KEY_LEN;
	case DERP_CLIENT_INFO:
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
	case DERP_PEER_GONE:
	case DERP_PEER_PRESENT:
	case DERP_CLOSE_PEER:
		return KEY_LEN;
	case DERP_FORWARD_PACKET:
		return 2 * KEY_LEN;
	case DERP_NOTE_PREFERRED:
		return 1;
	case DERP_PING:
	case DERP_PONG:
		return DERP_PING_LEN;
	case DERP_RESTARTING:
		return RESTARTING_LEN;
	case DERP_SERVER_INFO:
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
	case DERP_HEALTH:
	case DERP_NONE:
		break;
	}
	return 0;
}

static void
present_read(const uint8_t *p, size_t len, struct derp_message *m)
{
	memset(&m->present, 0, sizeof(m->present));
	if (len < PRESENT_LEN)
		return;
	ap18_read(p + KEY_LEN, &m->present.endpoint);
	if (len > PRESENT_LEN)
		m->present.flags = p[PRESENT_LEN];
}

static int
server_key_read(const uint8_t *p, size_t len, struct derp_message *m)
{
	if (len > SERVER_KEY_MAX_LEN || memcmp(p, magic, MAGIC_LEN) != 0)
		return ERR_BAD_FORMAT;
	memcpy(m->key.bytes, p + MAGIC_LEN, KEY_LEN);
	return 0;
}

static int
data_read(const struct derp_frame *frame, size_t min_len, size_t max_len, struct derp_message *m)
{
	size_t fixed = fixed_len(frame->type);

	m->data = frame->payload + fixed;
	m->data_len = frame->len - fixed;
	return m->data_len >= min_len && m->data_len <= max_len ? 0 : ERR_BAD_FORMAT;
}

// The fixed part is there.
static int
body_read(const struct derp_frame *frame, struct derp_message *m)
{
	const uint8_t *p = frame->payload;

	switch (frame->type) {
	case DERP_SERVER_KEY:
		return server_key_read(p, frame->len, m);
	case DERP_CLIENT_INFO:
		memcpy(m->key.bytes, p, KEY_LEN);
		return data_read(frame, BOX_MIN_LEN, DERP_PAYLOAD_MAX_LEN, m);
	case DERP_SERVER_INFO:
		return data_read(frame, BOX_MIN_LEN, DERP_PAYLOAD_MAX_LEN, m);
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
		memcpy(m->key.bytes, p, KEY_LEN);
		return data_read(frame, 0, DERP_PACKET_MAX_LEN, m);
	case DERP_FORWARD_PACKET:
		memcpy(m->key.bytes, p, KEY_LEN);
		memcpy(m->destination.bytes, p + KEY_LEN, KEY_LEN);
		return data_read(frame, 0, DERP_PACKET_MAX_LEN, m);
	case DERP_HEALTH:
		return data_read(frame, 0, DERP_PAYLOAD_MAX_LEN, m);
	case DERP_NOTE_PREFERRED:
		m->preferred = p[0] != 0;
		return 0;
	case DERP_PEER_GONE:
		memcpy(m->key.bytes, p, KEY_LEN);
		m->gone_reason = frame->len > KEY_LEN ? p[KEY_LEN] : DERP_GONE_DISCONNECTED;
		return 0;
	case DERP_PEER_PRESENT:
		memcpy(m->key.bytes, p, KEY_LEN);
		present_read(p, frame->len, m);
		return 0;
	case DERP_CLOSE_PEER:
		memcpy(m->key.bytes, p, KEY_LEN);
		return 0;
	case DERP_PING:
	case DERP_PONG:
		memcpy(m->ping, p, DERP_PING_LEN);
		return 0;
	case DERP_RESTARTING:
		m->restarting.reconnect_ms = load_be32(p);
		m->restarting.try_for_ms = load_be32(p + 4);
		return 0;
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
		return 0;
	case DERP_NONE:
		break;
	}
	return ERR_BAD_FORMAT;
}

int
derp_message_read(const struct derp_frame *frame, struct derp_message *ret_message)
{
	struct derp_message m = { .type = frame->type };
	int err;

	if (frame->len < fixed_len(frame->type))
		return ERR_TRUNCATED;
	err = body_read(frame, &m);
	if (err < 0)
		return err;
	*ret_message = m;
	return 0;
}

// :: and port 0 where the address is not known, as the reference writes it.
static size_t
present_write(uint8_t *p, const struct derp_message *m)
{
	ap18_write(p, &m->present.endpoint);
	p[AP18_LEN] = m->present.flags;
	return AP18_LEN + 1;
}

static size_t
key_write(uint8_t *p, const struct public_key *key)
{
	memcpy(p, key->bytes, KEY_LEN);
	return KEY_LEN;
}

// What lies between the header and the data.  Returns its length.
static size_t
body_write(uint8_t *p, const struct derp_message *m)
{
	switch (m->type) {
	case DERP_SERVER_KEY:
		memcpy(p, magic, MAGIC_LEN);
		return MAGIC_LEN + key_write(p + MAGIC_LEN, &m->key);
	case DERP_CLIENT_INFO:
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
	case DERP_CLOSE_PEER:
		return key_write(p, &m->key);
	case DERP_FORWARD_PACKET:
		return key_write(p, &m->key) + key_write(p + KEY_LEN, &m->destination);
	case DERP_PEER_GONE:
		p[KEY_LEN] = m->gone_reason;
		return key_write(p, &m->key) + 1;
	case DERP_PEER_PRESENT:
		return key_write(p, &m->key) + present_write(p + KEY_LEN, m);
	case DERP_NOTE_PREFERRED:
		p[0] = m->preferred;
		return 1;
	case DERP_PING:
	case DERP_PONG:
		memcpy(p, m->ping, DERP_PING_LEN);
		return DERP_PING_LEN;
	case DERP_RESTARTING:
		store_be32(p, m->restarting.reconnect_ms);
		store_be32(p + 4, m->restarting.try_for_ms);
		return RESTARTING_LEN;
	case DERP_SERVER_INFO:
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
	case DERP_HEALTH:
	case DERP_NONE:
		break;
	}
	return 0;
}

size_t
derp_head_write(uint8_t out[static DERP_HEAD_MAX_LEN], const struct derp_message *message)
{
	size_t len = body_write(out + DERP_HEADER_LEN, message);

	assert(message->data_len <= DERP_PAYLOAD_MAX_LEN);
	derp_header_write(out, message->type, (uint32_t)(len + message->data_len));
	return DERP_HEADER_LEN + len;
}
