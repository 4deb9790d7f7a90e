/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "handshake"

#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/peer_note.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

/* After so many initiations without answer we go back to the configured endpoint. */
#define ATTEMPTS_BEFORE_CONFIGURED 3

/*
 * Nobody answers at the endpoint in use: perhaps our source address is stale, perhaps the peer
 * roamed and came back.  If it writes to us from elsewhere, we follow again.
 */
static void
doubt_path(struct engine *e, struct peer *p)
{
	const struct addr any = {};

	if (p->timers.attempts < 2 || p->is_member)
		return;
	if (p->timers.attempts % ATTEMPTS_BEFORE_CONFIGURED == 0 && p->endpoint_is_name)
		e->calls.resolve(e->calls.context, &p->remote.static_public);
	if (p->timers.attempts >= ATTEMPTS_BEFORE_CONFIGURED &&
		p->configured.addr.family != ADDR_NONE)
		engine_set_path(e, p, &p->configured, &any);
	else
		engine_set_path(e, p, &p->endpoint, &any);
}

static struct wg_tai64n
next_timestamp(const struct engine *e, const struct peer *p)
{
	uint64_t wall = e->calls.wall_ns(e->calls.context);
	struct wg_tai64n clock = wg_tai64n_from_unix(
		wall / (uint64_t)NS_PER_S, (uint32_t)(wall % (uint64_t)NS_PER_S));

	return wg_tai64n_after(&p->tx_timestamp, &clock);
}

// A pending handshake with a fresh index; what was pending before is forgotten.
static struct pending *
fresh_pending(struct engine *e, struct peer *p, uint32_t *ret_index)
{
	engine_drop_pending(e, p);
	if (slots_take(&e->slots, p->number, ret_index) < 0) {
		e->counters.no_slot++;
		return NULL;
	}
	p->pending = secret_pool_take(&e->pendings);
	if (p->pending == NULL)
		slots_set(&e->slots, *ret_index, SLOT_FREE);
	return p->pending;
}

void
engine_initiate(struct engine *e, struct peer *p, struct mono now)
{
	const struct wg_remote *remote = engine_remote(e, p);
	uint8_t message[WG_INITIATION_LEN];
	struct secret_key ephemeral;
	struct pending *pending;
	uint32_t index;

	if (remote == NULL || !peer_is_reachable(p))
		return;
	doubt_path(e, p);
	pending = fresh_pending(e, p, &index);
	if (pending == NULL)
		return;
	p->tx_timestamp = next_timestamp(e, p);
	// Before it leaves: the next one must be greater, whatever happens to us.
	peer_note_write(e->dp, p);
	e->stamps_changed = true;

	key_generate(&ephemeral);
	if (wg_initiation_create(e->identity, remote, index, &p->tx_timestamp, &ephemeral, message,
		    &pending->handshake) < 0) {
		pending->handshake.local_index = index;
		engine_drop_pending(e, p);
		return;
	}
	secret_wipe(&ephemeral, sizeof(ephemeral));
	pending->sent = now;
	wg_mac2_add(&p->cookie, message, sizeof(message), now);
	if (p->is_member)
		e->calls.send_to_member(e->calls.context, p->number, message, sizeof(message));
	else
		e->calls.send(
			e->calls.context, &p->endpoint, &p->local, NULL, message, sizeof(message));
	e->counters.initiations_out++;
	log_debug("initiation sent peer=%s attempt=%u", PEER_ARGS(p), p->timers.attempts);
}

void
engine_on_response(struct engine *e, const struct datagram *d, struct mono now)
{
	uint32_t index = wg_message_receiver_index(d->data), number;
	const struct wg_remote *remote;
	struct wg_session_keys keys;
	struct peer *p;

	if (slots_use(&e->slots, index, &number) != SLOT_RESERVED) {
		e->counters.unknown_index++;
		return;
	}
	p = peers_get(&e->peers, number);
	remote = p != NULL && p->pending != NULL && engine_can_shake(e, p) ? engine_remote(e, p)
	                                                                   : NULL;
	if (remote == NULL) {
		e->counters.unknown_index++;
		return;
	}
	if (wg_response_consume(&p->pending->handshake, e->identity, remote, d->data, &keys) < 0) {
		e->counters.not_authentic++;
		return;
	}
	secret_pool_give(&e->pendings, p->pending); // its slot goes to the session
	p->pending = NULL;
	e->counters.responses_in++;
	wg_timers_on_handshake_received(&p->timers, now);
	engine_set_path(e, p, &d->remote, &d->local);
	engine_push_session(e, p, &keys, now);
	wg_session_keys_fini(&keys);
	p->confirm_index = index;
}

void
engine_on_cookie_reply(struct engine *e, const struct datagram *d, struct mono now)
{
	uint32_t number;
	const struct wg_remote *remote;
	struct peer *p;

	if (slots_use(&e->slots, wg_message_receiver_index(d->data), &number) == SLOT_FREE) {
		e->counters.unknown_index++;
		return;
	}
	p = peers_get(&e->peers, number);
	remote = p != NULL && engine_can_shake(e, p) ? engine_remote(e, p) : NULL;
	if (remote == NULL || wg_cookie_reply_consume(&p->cookie, remote, d->data, now) < 0) {
		e->counters.not_authentic++;
		return;
	}
	e->counters.cookies_in++;
}
