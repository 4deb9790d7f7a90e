/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/peer_note.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "lib/crypto/key.h"

/*
 * Who is made to pay: the address, or, through a relay, the sender as the relay says; else all of a
 * relay's would share one account.
 */
static struct endpoint
payer(const struct datagram *d)
{
	struct endpoint e = d->remote;

	if (d->relayed_from != NULL) {
		e.addr.family = ADDR_V6;
		memcpy(e.addr.bytes, d->relayed_from->bytes, sizeof(e.addr.bytes));
	}
	return e;
}

static void
refuse_with_cookie(struct engine *e, const struct datagram *d, struct mono now)
{
	const struct endpoint from = payer(d);
	uint8_t random[WG_COOKIE_SECRET_LEN], nonce[WG_NONCE_LEN], reply[WG_COOKIE_REPLY_LEN];

	if (wg_cookie_secret_is_stale(&e->cookie_secret, now)) {
		random_bytes(random, sizeof(random));
		wg_cookie_secret_renew(&e->cookie_secret, random, now);
		cookie_note_write(e->dp, &e->cookie_secret);
	}
	random_bytes(nonce, sizeof(nonce));
	wg_cookie_reply_create(
		e->identity, &e->cookie_secret, &from, d->data, d->len, nonce, reply);
	e->calls.send(
		e->calls.context, &d->remote, &d->local, d->relayed_from, reply, sizeof(reply));
	e->counters.cookies_out++;
}

// The cheap tests, before any X25519.
static bool
may_cost_us(struct engine *e, const struct datagram *d, struct mono now)
{
	const struct endpoint from = payer(d);

	if (!wg_mac1_is_valid(e->identity, d->data, d->len)) {
		e->counters.bad_mac1++;
		return false;
	}
	if (!load_on_message(&e->load, now))
		return true;
	if (!wg_mac2_is_valid(&e->cookie_secret, &from, d->data, d->len, now)) {
		refuse_with_cookie(e, d, now);
		return false;
	}
	if (!load_accept(&e->load, &from.addr, now)) {
		e->counters.rate_limited++;
		return false;
	}
	return true;
}

void
engine_datagram(struct engine *e, const struct datagram *d, struct mono now)
{
	struct shm_path path;

	if (!e->has_identity || !e->dp->attached || d->remote.addr.family == ADDR_NONE ||
		d->remote.port == 0)
		return;
	switch (wg_message_type(d->data, d->len)) {
	case WG_MESSAGE_INITIATION:
		if (may_cost_us(e, d, now))
			engine_on_initiation(e, d, now);
		break;
	case WG_MESSAGE_RESPONSE:
		if (may_cost_us(e, d, now))
			engine_on_response(e, d, now);
		break;
	case WG_MESSAGE_COOKIE_REPLY:
		engine_on_cookie_reply(e, d, now);
		break;
	case WG_MESSAGE_TRANSPORT_DATA: // it came merged behind something that is ours
		path = (struct shm_path){ .relay = d->relayed_from != NULL };
		if (!path.relay)
			path = shm_path_of(&d->remote, &d->local);
		dataplane_inject(e->dp, &path, d->data, d->len);
		e->counters.injected++;
		break;
	case WG_MESSAGE_INVALID:
		e->counters.malformed++;
		break;
	}
}
