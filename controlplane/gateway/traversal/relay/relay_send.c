/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/relay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/secret.h"
#include "lib/crypto/box.h"
#include "lib/derp/info.h"
#include "lib/derp/upgrade.h"
#include "lib/traversal/disco.h"
#include "lib/wg/message.h"

bool
relay_is_ready(const struct relay *relay)
{
	return relay->phase >= RELAY_PHASE_INFO;
}

bool
relay_is_urgent(const uint8_t *data, size_t len)
{
	enum wg_message_type type = wg_message_type(data, len);

	return disco_is_envelope(data, len) || type == WG_MESSAGE_INITIATION ||
	       type == WG_MESSAGE_RESPONSE || type == WG_MESSAGE_COOKIE_REPLY;
}

// After an error a part of a frame may be missing: the connection is of no use any more.
static void
hand_over(struct relay *relay, const void *data, size_t len)
{
	if (stream_send(relay->stream, data, len) < 0)
		relay->is_torn = true;
}

void
relay_send_batch(struct relay *relay)
{
	if (relay->stream == NULL || relay->batch_len == 0)
		return;
	hand_over(relay, relay->batch, relay->batch_len);
	relay->batch_len = 0;
}

static void
append(struct relay *relay, const void *data, size_t len)
{
	assert(relay->batch_len + len <= RELAY_BATCH_LEN);
	if (len > 0)
		memcpy(relay->batch + relay->batch_len, data, len);
	relay->batch_len += len;
}

void
relay_send_frame(struct relay *relay, const struct derp_message *message)
{
	uint8_t head[DERP_HEAD_MAX_LEN];
	size_t head_len = derp_head_write(head, message);

	if (relay->batch_len + head_len + message->data_len > RELAY_BATCH_LEN)
		relay_send_batch(relay);
	append(relay, head, head_len);
	if (relay->batch_len + message->data_len > RELAY_BATCH_LEN) { // larger than any batch
		relay_send_batch(relay);
		hand_over(relay, message->data, message->data_len);
	} else {
		append(relay, message->data, message->data_len);
	}
}

void
relay_send_request(struct relay *relay, struct mono now)
{
	const struct derp_region *region = derp_map_find(relay->all->map, relay->region);
	const char *common_name = stream_last_common_name(relay->stream);
	int64_t serial = stream_last_serial(relay->stream); // the protocol's version, 2 so far
	struct derp_upgrade_request request = {};
	char text[DERP_REQUEST_MAX_LEN], host[RELAYS_HOST_LEN + 2];
	size_t len;

	snprintf(host, sizeof(host), strchr(relay->node->host_name, ':') != NULL ? "[%s]" : "%s",
		relay->node->host_name);
	request.host = host;
	if (relay->node_at > 0)
		request.ideal_node = region->nodes[0].name;
	request.fast_start =
		!relay->no_fast_start && stream_is_tls13(relay->stream) && common_name != NULL &&
		serial >= 1 && serial <= UINT8_MAX &&
		derp_meta_name_read(common_name, strlen(common_name), &relay->server_key) == 0;
	if (request.ideal_node != NULL && *request.ideal_node == '\0')
		request.ideal_node = NULL;
	if (derp_upgrade_request_write(text, &request, &len) < 0) {
		relay_fail(relay, "its name in the map cannot be asked for", now);
		return;
	}
	append(relay, text, len);
	relay->is_fast_start = request.fast_start;
	relay->phase = RELAY_PHASE_HEAD;
	if (!request.fast_start)
		relay_send_batch(relay);
	else if (!relay_send_info(relay, now))
		relay_fail(relay, "the key in its certificate gives no secret", now);
}

bool
relay_send_info(struct relay *relay, struct mono now)
{
	static const struct derp_client_info info = { .version = DERP_VERSION,
		.can_ack_pings = true };
	uint8_t sealed[DERP_CLIENT_INFO_MAX_LEN], nonce[BOX_NONCE_LEN];
	struct derp_message message = { .type = DERP_CLIENT_INFO, .data = sealed };
	struct box_key key;

	if (box_key_init(&key, relay->all->key, &relay->server_key) < 0)
		return false;
	random_bytes(nonce, sizeof(nonce));
	message.key = relay->all->public_key;
	message.data_len = derp_client_info_seal(sealed, &info, &key, nonce);
	secret_wipe(&key, sizeof(key));
	relay_send_frame(relay, &message);
	relay->phase = RELAY_PHASE_INFO;
	relay_note_home(relay);
	relay_pump(relay, now);
	return true;
}

void
relay_note_home(struct relay *relay)
{
	bool is_home = relay->all->home == relay->region;
	struct derp_message message = { .type = DERP_NOTE_PREFERRED, .preferred = is_home };

	if (!relay_is_ready(relay) || relay->is_noted == is_home)
		return;
	relay->is_noted = is_home;
	relay_send_frame(relay, &message);
	relay_send_batch(relay);
}

void
relay_send_ping(struct relay *relay, bool is_binding, struct mono now)
{
	struct derp_message message = { .type = DERP_PING };

	random_bytes(relay->probe, sizeof(relay->probe));
	memcpy(message.ping, relay->probe, sizeof(message.ping));
	relay->probe_sent = now;
	relay->is_probe_binding = is_binding;
	relay_send_frame(relay, &message);
	relay_send_batch(relay);
}

// What the server wants us to keep to: more than that is dropped, as the reference's client does.
static bool
is_within_limit(struct relay *relay, size_t len, struct mono now)
{
	double passed_s = (double)mono_diff_ns(now, relay->tokens_at) / (double)NS_PER_S;

	if (relay->limit_per_s == 0)
		return true;
	if (passed_s > 0) {
		relay->tokens += passed_s * (double)relay->limit_per_s;
		relay->tokens_at = now;
	}
	if (relay->tokens > (double)relay->limit_burst)
		relay->tokens = (double)relay->limit_burst;
	if (relay->tokens < (double)len)
		return false;
	relay->tokens -= (double)len;
	return true;
}

static void
put_packet(struct relay *relay,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	struct derp_message message = {
		.type = DERP_SEND_PACKET, .key = *to, .data = data, .data_len = len
	};

	if (!is_within_limit(relay, DERP_HEADER_LEN + KEY_LEN + len, now)) {
		relay->n_dropped++;
		return;
	}
	relay_send_frame(relay, &message);
	relay->tx_packets++;
	relay->tx_bytes += len;
	relay->last_tx = now;
}

static bool
has_room(const struct relay *relay)
{
	return stream_queued(relay->stream) < STREAM_LOW;
}

// Whoever pings and does not read gets no more pongs than fit.
void
relay_send_pong(struct relay *relay, const struct derp_message *ping)
{
	struct derp_message message = { .type = DERP_PONG };

	if (!has_room(relay))
		return;
	memcpy(message.ping, ping->ping, sizeof(message.ping));
	relay_send_frame(relay, &message);
}

/*
 * Relays keep 32 packets for a client and drop what is more: of a burst of 100 a third is lost,
 * though the same packets in 5 ms would all arrive.  So data leaves evenly.
 */
static bool
is_in_pace(const struct relay *relay, struct mono now)
{
	return mono_diff_ns(relay->paced, now) <= RELAY_PACE_NS - RELAY_PACE_NS / RELAY_PACE;
}

static void
put_data(struct relay *relay,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	if (mono_diff_ns(relay->paced, now) < 0)
		relay->paced = now;
	relay->paced = mono_add_ns(relay->paced, RELAY_PACE_NS / RELAY_PACE);
	put_packet(relay, to, data, len, now);
}

void
relay_drop_old(struct relay *relay, struct mono now)
{
	relay->n_dropped += send_queue_expire(&relay->urgent, RELAY_MAX_AGE_NS, now);
	relay->n_dropped += send_queue_expire(&relay->data, RELAY_MAX_AGE_NS, now);
}

void
relay_pump(struct relay *relay, struct mono now)
{
	struct queued_packet *p;

	if (!relay_is_ready(relay))
		return;
	// What has waited for a connection leaves with it.
	if (relay->state == RELAY_CONNECTED && mono_diff_ns(now, relay->since) > RELAY_MAX_AGE_NS)
		relay_drop_old(relay, now);
	while (has_room(relay) && (p = send_queue_pop(&relay->urgent)) != NULL) {
		put_packet(relay, &p->to, p->data, p->len, now);
		free(p);
	}
	while (has_room(relay) && is_in_pace(relay, now) &&
		(p = send_queue_pop(&relay->data)) != NULL) {
		put_data(relay, &p->to, p->data, p->len, now);
		free(p);
	}
	relay_send_batch(relay);
}

void
relay_send_packet(struct relay *relay,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	bool urgent = relay_is_urgent(data, len);
	bool at_once = relay_is_ready(relay) && has_room(relay) && relay->urgent.n == 0;

	// Nothing overtakes what already waits, but for what is urgent.
	if (at_once && urgent)
		put_packet(relay, to, data, len, now);
	else if (at_once && relay->data.n == 0 && is_in_pace(relay, now))
		put_data(relay, to, data, len, now);
	else
		relay->n_dropped +=
			send_queue_push(urgent ? &relay->urgent : &relay->data, to, data, len, now);
}
