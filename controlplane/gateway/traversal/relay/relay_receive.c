/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "relay"

#include "controlplane/gateway/traversal/relay/relay.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"
#include "lib/crypto/box.h"
#include "lib/derp/info.h"
#include "lib/derp/upgrade.h"

static struct mono
time_of(const struct relay *relay)
{
	return stream_set_now(relay->all->set);
}

static void
fail(struct relay *relay, const char *why)
{
	relay_fail(relay, why, time_of(relay));
}

// The answer to the request.  Returns how many bytes it has, 0: not all of it is there.
static size_t
take_head(struct relay *relay, const uint8_t *data, size_t len)
{
	char why[64];
	unsigned status;
	size_t head_len;
	int err = derp_upgrade_response_read((const char *)data, len, &status, &head_len);

	if (err == ERR_TRUNCATED)
		return 0;
	if (err < 0) {
		fail(relay, "what it answers is no HTTP");
		return len;
	}
	if (status != 101) {
		snprintf(why, sizeof(why), "it answers with HTTP status %u instead of relaying",
			status);
		fail(relay, why);
		return len;
	}
	relay->phase = RELAY_PHASE_KEY;
	return head_len;
}

static void
take_server_key(struct relay *relay, const struct derp_message *message)
{
	relay->server_key = message->key;
	if (!relay_send_info(relay, time_of(relay)))
		fail(relay, "its key gives no secret");
}

static void
take_server_info(struct relay *relay, const struct derp_message *message)
{
	struct derp_server_info info;
	struct box_key key;
	int err;

	if (relay->phase != RELAY_PHASE_INFO)
		return; // once is enough
	if (box_key_init(&key, relay->all->key, &relay->server_key) < 0) {
		fail(relay, "its key gives no secret");
		return;
	}
	err = derp_server_info_open(message->data, message->data_len, &key, &info);
	secret_wipe(&key, sizeof(key));
	if (err == ERR_BAD_MAC) {
		fail(relay, "it does not have the key that it claims");
	} else if (err < 0) {
		fail(relay, "what it says about itself cannot be read");
	} else {
		relay->limit_per_s = info.bytes_per_second;
		relay->limit_burst = info.bytes_burst;
		relay->tokens = (double)info.bytes_burst;
		relay->tokens_at = time_of(relay);
		relay_proven(relay, time_of(relay));
	}
}

// The packet lies in `data`, where it may be changed.
static void
take_packet(struct relay *relay, const struct derp_message *message, uint8_t *data)
{
	const struct relays_calls *calls = &relay->all->calls;

	relay->rx_packets++;
	relay->rx_bytes += message->data_len;
	reverse_routes_heard(&relay->all->routes, &message->key, relay->region, relay->opening);
	if (calls->packet != NULL)
		calls->packet(calls->context, relay->region, &message->key,
			data + (message->data - data), message->data_len);
}

static void
take_gone(struct relay *relay, const struct derp_message *message)
{
	const struct relays_calls *calls = &relay->all->calls;

	reverse_routes_forget(&relay->all->routes, &message->key, relay->opening);
	if (calls->peer_gone != NULL)
		calls->peer_gone(
			calls->context, relay->region, &message->key, message->gone_reason);
}

static void
take_pong(struct relay *relay, const struct derp_message *message)
{
	if (mono_is_never(relay->probe_sent) ||
		memcmp(message->ping, relay->probe, sizeof(relay->probe)) != 0)
		return;
	relay->ping_ns = mono_diff_ns(time_of(relay), relay->probe_sent);
	relay->probe_sent = (struct mono){};
}

// The text is a stranger's: what is no plain character becomes a question mark.
static void
take_health(struct relay *relay, const struct derp_message *message)
{
	size_t n = message->data_len;
	char text[RELAYS_TEXT_LEN];

	if (n > sizeof(text) - 1)
		n = sizeof(text) - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = message->data[i] >= ' ' && message->data[i] <= '~'
		                  ? (char)message->data[i]
		                  : '?';
	text[n] = '\0';
	if (strcmp(text, relay->health) == 0)
		return;
	if (relay->health[0] == '\0') // once until it is well again, whatever it says meanwhile
		log_warning(
			"a relay complains, going on region=%u text=\"%s\"", relay->region, text);
	memcpy(relay->health, text, sizeof(text));
}

static int64_t
bounded_ns(uint32_t ms)
{
	int64_t ns = (int64_t)ms * NS_PER_MS;

	return ns < RELAY_MAX_RESTART_NS ? ns : RELAY_MAX_RESTART_NS;
}

static void
take_restarting(struct relay *relay, const struct derp_message *message)
{
	relay->restart_delay_ns = bounded_ns(message->restarting.reconnect_ms);
	relay->restart_until = mono_add_ns(time_of(relay),
		relay->restart_delay_ns + bounded_ns(message->restarting.try_for_ms));
}

// Before the server has proven its key it has nothing to tell but who it is.
static void
take_proven(struct relay *relay, const struct derp_message *message, uint8_t *data)
{
	switch (message->type) {
	case DERP_RECV_PACKET:
		take_packet(relay, message, data);
		break;
	case DERP_PEER_GONE:
		take_gone(relay, message);
		break;
	case DERP_PING:
		relay_send_pong(relay, message);
		break;
	case DERP_PONG:
		take_pong(relay, message);
		break;
	case DERP_HEALTH:
		take_health(relay, message);
		break;
	case DERP_RESTARTING:
		take_restarting(relay, message);
		break;
	default: // a sign of life, or not for us
		break;
	}
}

// frame lies in `data`, where it may be changed.
static void
take_frame(struct relay *relay, const struct derp_frame *frame, uint8_t *data)
{
	struct derp_message message;
	int err = derp_message_read(frame, &message);

	if (relay->phase == RELAY_PHASE_KEY && (err < 0 || message.type != DERP_SERVER_KEY))
		fail(relay, "it does not begin with its key");
	else if (err == ERR_BAD_FORMAT)
		fail(relay, "what it sends cannot be read");
	else if (err < 0)
		return; // too short for its type: to be ignored
	else if (relay->phase == RELAY_PHASE_KEY)
		take_server_key(relay, &message);
	else if (message.type == DERP_SERVER_INFO)
		take_server_info(relay, &message);
	else if (relay->phase == RELAY_PHASE_PROVEN)
		take_proven(relay, &message, data);
}

// As long as it is the same connection: a call may have ended it, or begun another.
static size_t
take_frames(struct relay *relay, uint8_t *data, size_t len)
{
	uint64_t opening = relay->opening;
	size_t at = 0;

	while (relay->opening == opening) {
		struct derp_frame frame;
		size_t used;

		if (derp_reader_next(&relay->reader, data + at, len - at, &used, &frame) < 0) {
			fail(relay, "what it sends is too large");
			return len;
		}
		if (frame.type != DERP_NONE)
			take_frame(relay, &frame, data);
		at += used;
		if (frame.type == DERP_NONE && used == 0)
			break;
	}
	return relay->opening == opening ? at : len;
}

size_t
relay_received(void *context, uint8_t *data, size_t len)
{
	struct relay *relay = context;
	uint64_t opening = relay->opening;
	size_t at = 0;

	relay->last_rx = time_of(relay);
	if (relay->phase == RELAY_PHASE_HEAD) {
		at = take_head(relay, data, len);
		if (at == 0 || relay->opening != opening)
			return at;
	}
	at += take_frames(relay, data + at, len - at);
	if (relay->opening == opening)
		relay_send_batch(relay); // pongs
	return at;
}
