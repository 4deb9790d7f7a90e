/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/disco.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/net/ip16.h"

#define PONG_LEN             (DISCO_TXID_LEN + AP18_LEN)
#define PING_KEY_END         (DISCO_TXID_LEN + KEY_LEN)
#define BIND_LEN             (4 + 4 + KEY_LEN + DISCO_CHALLENGE_LEN)
#define RELAY_FIXED_LEN      124
#define ALLOCATE_REQUEST_LEN (2 * KEY_LEN + 4)
#define GENERATION_LEN       4 /* in front of the relay endpoint of a response */

static_assert(DISCO_ENDPOINT_LEN == AP18_LEN);
static_assert(sizeof(struct public_key) == KEY_LEN, "the sender is read through a pointer");
static_assert(DISCO_PING_LEN == 124 && DISCO_PONG_LEN == 110, "peer.md 2.2");
static_assert(BIND_LEN == 72 && ALLOCATE_REQUEST_LEN == 68, "peer.md 2.2");

static const uint8_t magic[DISCO_MAGIC_LEN] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

bool
disco_is_envelope(const uint8_t *data, size_t len)
{
	return len >= DISCO_SENDER_END && memcmp(data, magic, sizeof(magic)) == 0;
}

int
disco_envelope_read(uint8_t *data, size_t len, struct disco_envelope *ret_envelope)
{
	if (!disco_is_envelope(data, len))
		return ERR_BAD_FORMAT;
	if (len < DISCO_OVERHEAD + DISCO_TYPE_LEN)
		return ERR_TRUNCATED;
	*ret_envelope = (struct disco_envelope){
		.sender = (const void *)(data + DISCO_MAGIC_LEN),
		.nonce = data + DISCO_SENDER_END,
		.box = data + DISCO_HEADER_LEN,
		.box_len = len - DISCO_HEADER_LEN,
	};
	return 0;
}

int
disco_open(const struct disco_envelope *envelope,
	const struct box_key *key,
	const uint8_t **ret_plain,
	size_t *ret_len)
{
	uint8_t *plain = envelope->box + BOX_TAG_LEN;
	int err = box_open(plain, envelope->box, envelope->box_len, envelope->nonce, key);

	if (err < 0)
		return err;
	*ret_plain = plain;
	*ret_len = envelope->box_len - BOX_TAG_LEN;
	return 0;
}

int
disco_key_compare(const struct public_key *a, const struct public_key *b)
{
	return memcmp(a->bytes, b->bytes, KEY_LEN);
}

void
disco_endpoint_at(const struct disco_endpoints *endpoints, size_t i, struct endpoint *ret_endpoint)
{
	assert(i < endpoints->n);
	ap18_read(endpoints->bytes + i * AP18_LEN, ret_endpoint);
}

struct disco_endpoints
disco_endpoints_write(uint8_t *out, const struct endpoint *endpoints, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ap18_write(out + i * AP18_LEN, &endpoints[i]);
	return (struct disco_endpoints){ .bytes = out, .n = n };
}

// --- reading: p is the body, len its length, type and version are off ---

static int
read_ping(const uint8_t *p, size_t len, struct disco_ping *ping)
{
	if (len < DISCO_TXID_LEN)
		return ERR_TRUNCATED;
	*ping = (struct disco_ping){ .padding = len - DISCO_TXID_LEN };
	memcpy(ping->txid, p, DISCO_TXID_LEN);
	if (len >= PING_KEY_END) {
		memcpy(ping->node_key.bytes, p + DISCO_TXID_LEN, KEY_LEN);
		ping->padding = len - PING_KEY_END;
	}
	return 0;
}

static int
read_pong(const uint8_t *p, size_t len, struct disco_pong *pong)
{
	if (len < PONG_LEN)
		return ERR_TRUNCATED;
	memcpy(pong->txid, p, DISCO_TXID_LEN);
	ap18_read(p + DISCO_TXID_LEN, &pong->source);
	return 0;
}

static int
read_call_me_maybe(const uint8_t *p, size_t len, uint8_t version, struct disco_endpoints *endpoints)
{
	bool understood = version == 0 && len % AP18_LEN == 0;

	*endpoints = (struct disco_endpoints){ .bytes = p, .n = understood ? len / AP18_LEN : 0 };
	return 0;
}

static int
read_bind(const uint8_t *p, size_t len, struct disco_bind *bind)
{
	if (len < BIND_LEN)
		return ERR_TRUNCATED;
	bind->vni = load_be32(p);
	bind->generation = load_be32(p + 4);
	memcpy(bind->remote_key.bytes, p + 8, KEY_LEN);
	memcpy(bind->challenge, p + 8 + KEY_LEN, DISCO_CHALLENGE_LEN);
	return 0;
}

static int
read_relay_endpoint(const uint8_t *p, size_t len, struct disco_relay_endpoint *relay)
{
	if (len < RELAY_FIXED_LEN + AP18_LEN)
		return ERR_TRUNCATED;
	if ((len - RELAY_FIXED_LEN) % AP18_LEN != 0)
		return ERR_BAD_FORMAT;
	memcpy(relay->server_disco.bytes, p, KEY_LEN);
	memcpy(relay->client_disco[0].bytes, p + 32, KEY_LEN);
	memcpy(relay->client_disco[1].bytes, p + 64, KEY_LEN);
	relay->lamport_id = load_be64(p + 96);
	relay->vni = load_be32(p + 104);
	relay->bind_lifetime_ns = load_be64(p + 108);
	relay->steady_state_lifetime_ns = load_be64(p + 116);
	relay->endpoints = (struct disco_endpoints){
		.bytes = p + RELAY_FIXED_LEN,
		.n = (len - RELAY_FIXED_LEN) / AP18_LEN,
	};
	return 0;
}

static int
read_allocate_request(const uint8_t *p, size_t len, struct disco_allocate_request *request)
{
	if (len < ALLOCATE_REQUEST_LEN)
		return ERR_TRUNCATED;
	memcpy(request->client_disco[0].bytes, p, KEY_LEN);
	memcpy(request->client_disco[1].bytes, p + KEY_LEN, KEY_LEN);
	request->generation = load_be32(p + 2 * KEY_LEN);
	return 0;
}

static int
read_allocate_response(const uint8_t *p, size_t len, struct disco_allocate_response *response)
{
	if (len < GENERATION_LEN)
		return ERR_TRUNCATED;
	response->generation = load_be32(p);
	return read_relay_endpoint(p + GENERATION_LEN, len - GENERATION_LEN, &response->relay);
}

static int
read_body(uint8_t version, const uint8_t *p, size_t len, struct disco_message *m)
{
	switch (m->type) {
	case DISCO_PING:
		return read_ping(p, len, &m->ping);
	case DISCO_PONG:
		return read_pong(p, len, &m->pong);
	case DISCO_CALL_ME_MAYBE:
		return read_call_me_maybe(p, len, version, &m->call_me_maybe);
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return read_bind(p, len, &m->bind);
	case DISCO_CALL_ME_MAYBE_VIA:
		return version != 0 ? ERR_VERSION
		                    : read_relay_endpoint(p, len, &m->call_me_maybe_via);
	case DISCO_ALLOCATE_REQUEST:
		return version != 0 ? ERR_VERSION
		                    : read_allocate_request(p, len, &m->allocate_request);
	case DISCO_ALLOCATE_RESPONSE:
		return version != 0 ? ERR_VERSION
		                    : read_allocate_response(p, len, &m->allocate_response);
	}
	return ERR_BAD_FORMAT;
}

int
disco_message_read(const uint8_t *plain, size_t len, struct disco_message *ret_message)
{
	struct disco_message m = {};
	int err;

	if (len < DISCO_TYPE_LEN)
		return ERR_TRUNCATED;
	m.type = plain[0];
	err = read_body(plain[1], plain + DISCO_TYPE_LEN, len - DISCO_TYPE_LEN, &m);
	if (err < 0)
		return err;
	*ret_message = m;
	return 0;
}

// --- writing ---

static bool
has_node_key(const struct disco_ping *ping)
{
	static const struct public_key none;

	return memcmp(&ping->node_key, &none, sizeof(none)) != 0;
}

static size_t
relay_endpoint_len(const struct disco_relay_endpoint *relay)
{
	return RELAY_FIXED_LEN + relay->endpoints.n * AP18_LEN;
}

static size_t
body_len(const struct disco_message *m)
{
	switch (m->type) {
	case DISCO_PING:
		return (has_node_key(&m->ping) ? PING_KEY_END : DISCO_TXID_LEN) + m->ping.padding;
	case DISCO_PONG:
		return PONG_LEN;
	case DISCO_CALL_ME_MAYBE:
		return m->call_me_maybe.n * AP18_LEN;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return BIND_LEN;
	case DISCO_CALL_ME_MAYBE_VIA:
		return relay_endpoint_len(&m->call_me_maybe_via);
	case DISCO_ALLOCATE_REQUEST:
		return ALLOCATE_REQUEST_LEN;
	case DISCO_ALLOCATE_RESPONSE:
		return GENERATION_LEN + relay_endpoint_len(&m->allocate_response.relay);
	}
	assert(!"no such type");
	return 0;
}

size_t
disco_plain_len(const struct disco_message *message)
{
	return DISCO_TYPE_LEN + body_len(message);
}

size_t
disco_envelope_len(const struct disco_message *message)
{
	return DISCO_OVERHEAD + disco_plain_len(message);
}

static void
write_ping(uint8_t *p, const struct disco_ping *ping)
{
	memcpy(p, ping->txid, DISCO_TXID_LEN);
	p += DISCO_TXID_LEN;
	if (has_node_key(ping)) {
		memcpy(p, ping->node_key.bytes, KEY_LEN);
		p += KEY_LEN;
	}
	memset(p, 0, ping->padding);
}

static void
write_pong(uint8_t *p, const struct disco_pong *pong)
{
	memcpy(p, pong->txid, DISCO_TXID_LEN);
	ap18_write(p + DISCO_TXID_LEN, &pong->source);
}

static void
write_endpoints(uint8_t *p, const struct disco_endpoints *endpoints)
{
	if (endpoints->n > 0)
		memcpy(p, endpoints->bytes, endpoints->n * AP18_LEN);
}

static void
write_bind(uint8_t *p, const struct disco_bind *bind)
{
	store_be32(p, bind->vni);
	store_be32(p + 4, bind->generation);
	memcpy(p + 8, bind->remote_key.bytes, KEY_LEN);
	memcpy(p + 8 + KEY_LEN, bind->challenge, DISCO_CHALLENGE_LEN);
}

static void
write_relay_endpoint(uint8_t *p, const struct disco_relay_endpoint *relay)
{
	memcpy(p, relay->server_disco.bytes, KEY_LEN);
	memcpy(p + 32, relay->client_disco[0].bytes, KEY_LEN);
	memcpy(p + 64, relay->client_disco[1].bytes, KEY_LEN);
	store_be64(p + 96, relay->lamport_id);
	store_be32(p + 104, relay->vni);
	store_be64(p + 108, relay->bind_lifetime_ns);
	store_be64(p + 116, relay->steady_state_lifetime_ns);
	write_endpoints(p + RELAY_FIXED_LEN, &relay->endpoints);
}

static void
write_allocate_request(uint8_t *p, const struct disco_allocate_request *request)
{
	memcpy(p, request->client_disco[0].bytes, KEY_LEN);
	memcpy(p + KEY_LEN, request->client_disco[1].bytes, KEY_LEN);
	store_be32(p + 2 * KEY_LEN, request->generation);
}

void
disco_message_write(uint8_t *out, const struct disco_message *message)
{
	uint8_t *p = out + DISCO_TYPE_LEN;

	out[0] = (uint8_t)message->type;
	out[1] = 0; // version
	switch (message->type) {
	case DISCO_PING:
		write_ping(p, &message->ping);
		break;
	case DISCO_PONG:
		write_pong(p, &message->pong);
		break;
	case DISCO_CALL_ME_MAYBE:
		write_endpoints(p, &message->call_me_maybe);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		write_bind(p, &message->bind);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		write_relay_endpoint(p, &message->call_me_maybe_via);
		break;
	case DISCO_ALLOCATE_REQUEST:
		write_allocate_request(p, &message->allocate_request);
		break;
	case DISCO_ALLOCATE_RESPONSE:
		store_be32(p, message->allocate_response.generation);
		write_relay_endpoint(p + GENERATION_LEN, &message->allocate_response.relay);
		break;
	}
}

void
disco_seal(uint8_t *out,
	const struct disco_message *message,
	const struct public_key *sender,
	const struct box_key *key,
	const uint8_t nonce[static BOX_NONCE_LEN])
{
	uint8_t *plain = out + DISCO_OVERHEAD;

	memcpy(out, magic, sizeof(magic));
	memcpy(out + DISCO_MAGIC_LEN, sender->bytes, KEY_LEN);
	memcpy(out + DISCO_SENDER_END, nonce, BOX_NONCE_LEN);
	disco_message_write(plain, message);
	box_seal(out + DISCO_HEADER_LEN, plain, disco_plain_len(message), nonce, key);
}
