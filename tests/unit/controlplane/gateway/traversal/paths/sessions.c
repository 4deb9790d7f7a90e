/* SPDX-License-Identifier: BSD-3-Clause
 *
 * WireGuard at a node: sessions and handshakes.  Messages of handshakes are real ones, packets in
 * sessions are names of packets.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "tests/unit/controlplane/gateway/traversal/paths/node.h"

#define DATA_LEN 48

/* --- data plane --- */

static bool
is_usable(const struct node *n, const struct node_session *s)
{
	return s->mine != 0 && mono_diff_ns(n->line->now, s->birth) < WG_REJECT_AFTER_TIME_NS;
}

static void
transmit(struct node *n, int to, const uint8_t *data, size_t len)
{
	const struct paths_choice *c = &n->peers[to].choice;

	if (c->direct.addr.family != ADDR_NONE)
		line_send_udp(n->line, n->number, &c->direct, data, len);
	if (c->relay)
		line_send_relay(n->line, n->number, c->region, to, data, len);
}

// sequence UINT32_MAX: a keepalive
static void
transport(struct node *n, int to, uint32_t sequence)
{
	struct node_peer *p = &n->peers[to];
	uint8_t message[DATA_LEN] = { WG_MESSAGE_TRANSPORT_DATA };
	bool is_data = sequence != UINT32_MAX;

	if (!is_usable(n, &p->current))
		return;
	store_le32(message + 4, p->current.theirs);
	store_le32(message + 16, sequence);
	p->activity.last_tx = n->line->now;
	if (is_data) {
		p->activity.last_tx_data = n->line->now;
		p->data[sequence].directly = p->choice.direct.addr.family != ADDR_NONE;
		p->data[sequence].by_relay = p->choice.relay;
	}
	transmit(n, to, message, is_data ? DATA_LEN : WG_TRANSPORT_MIN_LEN);
}

static void
flush(struct node *n, int to)
{
	struct node_peer *p = &n->peers[to];
	unsigned waiting = p->n_waiting;

	p->n_waiting = 0;
	for (unsigned i = 0; i < waiting; i++)
		transport(n, to, p->waiting[i]);
	if (waiting == 0)
		transport(n, to, UINT32_MAX);
}

void
node_send_data(struct node *n, int to)
{
	struct node_peer *p = &n->peers[to];
	uint32_t sequence = p->n_data++;

	assert(p->n_data <= NODE_MAX_DATA);
	p->data[sequence] = (struct node_data){ .sent = n->line->now };
	if (is_usable(n, &p->current)) {
		transport(n, to, sequence);
		return;
	}
	if (p->n_waiting < NODE_MAX_WAITING)
		p->waiting[p->n_waiting++] = sequence;
	wg_timers_on_want_session(&p->timers, n->line->now);
	node_step(n, to);
}

static void
replace_current(struct node_peer *p, const struct node_session *session)
{
	p->old[p->n_old++ % NODE_OLD_SESSIONS] = p->current;
	p->current = *session;
}

void
node_forget_sessions(struct node_peer *p)
{
	memset(p->old, 0, sizeof(p->old));
	p->current = p->next = (struct node_session){};
}

static bool
is_known(const struct node *n, const struct node_peer *p, uint32_t index)
{
	if (index == p->current.mine)
		return is_usable(n, &p->current);
	for (unsigned i = 0; i < NODE_OLD_SESSIONS; i++)
		if (index == p->old[i].mine && is_usable(n, &p->old[i]))
			return true;
	return false;
}

static void
receive_transport(struct node *n, const struct line_datagram *d)
{
	uint32_t index = load_le32(d->data + 4);

	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct node_peer *p = &n->peers[i];

		if (index == p->next.mine && is_usable(n, &p->next)) {
			replace_current(p, &p->next);
			p->next = (struct node_session){};
			wg_timers_on_handshake_complete(&p->timers, n->line->now);
			if (p->n_waiting > 0)
				flush(n, i);
		} else if (!is_known(n, p, index)) {
			continue;
		}
		p->activity.last_rx = n->line->now;
		if (d->len == DATA_LEN) {
			p->activity.last_rx_data = n->line->now;
			n->nodes[i].peers[n->number].data[load_le32(d->data + 16)].arrived = true;
		}
		if (d->region != 0)
			paths_relay_heard(n->paths, (uint32_t)i, d->region, n->line->now);
		return;
	}
}

/* --- WireGuard's control plane --- */

void
node_secret(struct node *n, struct secret_key *ret_key)
{
	for (size_t i = 0; i < KEY_LEN; i++)
		ret_key->bytes[i] = (uint8_t)line_random(n->line);
	ret_key->bytes[0] &= 248;
	ret_key->bytes[31] = (uint8_t)((ret_key->bytes[31] & 127) | 64);
}

static void
initiate(struct node *n, int to)
{
	struct node_peer *p = &n->peers[to];
	struct wg_tai64n clock = wg_tai64n_from_unix(
		n->line->now.ns / 1000000000, (uint32_t)(n->line->now.ns % 1000000000));
	uint8_t message[WG_INITIATION_LEN];
	struct secret_key ephemeral;

	node_secret(n, &ephemeral);
	p->last_timestamp = wg_tai64n_after(&p->last_timestamp, &clock);
	if (wg_initiation_create(&n->identity, &p->remote, n->next_index++, &p->last_timestamp,
		    &ephemeral, message, &p->handshake) < 0)
		abort();
	p->n_initiations++;
	p->activity.last_tx = n->line->now;
	(void)paths_send(n->paths, (uint32_t)to, message, sizeof(message), n->line->now);
}

void
node_step(struct node *n, int peer)
{
	struct node_peer *p = &n->peers[peer];
	struct wg_session_view view = { p->current.mine != 0, p->current.initiator,
		p->current.birth };
	unsigned actions;

	if (!mono_is_never(p->activity.last_tx) && p->told.ns != p->activity.last_tx.ns) {
		p->told = p->activity.last_tx;
		paths_sent(n->paths, (uint32_t)peer, p->told, n->line->now);
	}
	actions = wg_timers_step(&p->timers, &p->activity, &view, n->line->now,
		line_below(n->line, 333) * NS_PER_MS, &p->deadline);
	if ((actions & WG_GIVE_UP) != 0)
		p->n_waiting = 0;
	if ((actions & WG_ZERO_KEYS) != 0)
		node_forget_sessions(p);
	if ((actions & WG_SEND_INITIATION) != 0)
		initiate(n, peer);
	if ((actions & WG_SEND_KEEPALIVE) != 0)
		transport(n, peer, UINT32_MAX);
}

static void
answer(struct node *n, int to, const struct wg_initiation *initiation)
{
	struct node_peer *p = &n->peers[to];
	struct wg_session_keys keys;
	struct secret_key ephemeral;
	uint8_t message[WG_RESPONSE_LEN];

	node_secret(n, &ephemeral);
	if (wg_response_create(
		    initiation, &p->remote, n->next_index++, &ephemeral, message, &keys) < 0)
		return;
	p->next = (struct node_session){ keys.local_index, keys.remote_index, false, n->line->now };
	wg_timers_on_handshake_received(&p->timers, n->line->now);
	wg_timers_on_response_sent(&p->timers, n->line->now);
	p->activity.last_tx = n->line->now;
	(void)paths_send(n->paths, (uint32_t)to, message, sizeof(message), n->line->now);
}

static void
receive_initiation(struct node *n, const uint8_t *message)
{
	struct wg_initiation initiation;
	struct wg_claim claim;

	if (!wg_mac1_is_valid(&n->identity, message, WG_INITIATION_LEN) ||
		wg_initiation_open(&n->identity, message, &claim) < 0)
		return;
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct node_peer *p = &n->peers[i];

		if (wg_initiation_verify(&claim, &p->remote, message, &initiation) < 0 ||
			wg_latest_check(&p->latest, &initiation.timestamp, n->line->now) < 0)
			continue;
		wg_latest_accept(&p->latest, &initiation.timestamp, n->line->now);
		answer(n, i, &initiation);
	}
}

static void
receive_response(struct node *n, const uint8_t *message)
{
	struct wg_session_keys keys;

	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct node_peer *p = &n->peers[i];

		if (wg_response_consume(&p->handshake, &n->identity, &p->remote, message, &keys) <
			0)
			continue;
		replace_current(p, &(struct node_session){ keys.local_index, keys.remote_index,
					   true, n->line->now });
		wg_timers_on_handshake_received(&p->timers, n->line->now);
		wg_timers_on_handshake_complete(&p->timers, n->line->now);
		flush(n, i);
	}
}

void
node_receive_wireguard(struct node *n, const struct line_datagram *d)
{
	switch (wg_message_type(d->data, d->len)) {
	case WG_MESSAGE_INITIATION:
		receive_initiation(n, d->data);
		break;
	case WG_MESSAGE_RESPONSE:
		receive_response(n, d->data);
		break;
	case WG_MESSAGE_TRANSPORT_DATA:
		receive_transport(n, d);
		break;
	default:
		break;
	}
}
