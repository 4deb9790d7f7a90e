/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pings that people ask for: by disco, and by TSMP through the tunnel.
 */

#include <string.h>

#include "controlplane/gateway/wire/wire_state.h"
#include "lib/crypto/key.h"

void
wire_send_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_PONG);

	letter->number = token;
	letter->pong = *pong;
	mailbox_post(w->outbox, letter);
}

void
wire_ping_member(struct wire *w, const struct letter *letter)
{
	struct peer *p = peers_find(&w->engine.peers, &letter->key);
	struct paths_pong none = {};

	if (p == NULL || !p->is_member || p->state != PEER_WANTED)
		wire_send_pong(w, letter->number, &none);
	else
		traversal_ping(w->traversal, p->number, letter->number, letter->n, w->now);
}

void
wire_ping_inside(struct wire *w, const struct letter *letter)
{
	uint8_t packet[TSMP_PING_MAX_LEN], token[TSMP_TOKEN_LEN];
	const struct addr *from = NULL;
	size_t i = letter->number % WIRE_MAX_INSIDE;

	for (size_t k = 0; w->desired != NULL && k < w->desired->n_addresses; k++)
		if (w->desired->addresses[k].addr.family == letter->endpoint.addr.family)
			from = &w->desired->addresses[k].addr;
	if (from == NULL)
		return; // coord's patience ends
	random_bytes(token, sizeof(token));
	w->inside[i] = (struct wire_inside_ping){ .number = letter->number, .sent = w->now };
	memcpy(w->inside[i].token, token, sizeof(token));
	dataplane_inject_inner(
		&w->dp, packet, tsmp_ping_write(packet, from, &letter->endpoint.addr, token));
}

void
wire_take_tsmp(struct wire *w, const uint8_t *data, size_t len)
{
	struct tsmp_pong pong;
	struct letter *letter;

	if (!tsmp_pong_read(data, len, &pong))
		return; // refusals and disco keys: of no use to a router
	for (size_t i = 0; i < WIRE_MAX_INSIDE; i++) {
		struct wire_inside_ping *p = &w->inside[i];

		if (p->number == 0 || memcmp(p->token, pong.token, sizeof(p->token)) != 0)
			continue;
		letter = letter_create(LETTER_PONG);
		letter->number = p->number;
		letter->pong = (struct paths_pong){ .is_answered = true,
			.latency_ns = mono_diff_ns(w->now, p->sent) };
		letter->endpoint.port = pong.peer_api_port;
		mailbox_post(w->outbox, letter);
		p->number = 0;
	}
}
