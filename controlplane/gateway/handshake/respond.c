/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "handshake"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/peer_note.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

/*
 * Authentic, but too old: a replay, or the peer's clock went back.  If we have nothing that works
 * with this peer, a handshake of our own finds out; the timers keep it to one in 5 s.
 * Source: ../shared/design/reliability.md T-33 (CVE-2021-46873).
 */
static void
on_old_initiation(struct engine *e, struct peer *p, struct mono now)
{
	struct dataplane_keypairs k;
	struct shm_peer_counters c;
	struct wg_session_view view;
	bool heard;

	e->counters.replayed++;
	dataplane_keypairs(e->dp, p->number, &k);
	dataplane_counters(e->dp, p->number, &c);
	view = (struct wg_session_view){ .exists = k.current.receiver_index != 0,
		.birth = k.current.birth };
	heard = c.last_rx_ns != 0 &&
	        mono_diff_ns(now, (struct mono){ c.last_rx_ns }) < WG_UNANSWERED_NS;
	if (!peer_is_reachable(p) || (wg_session_is_usable(&view, now) && heard))
		return;
	wg_timers_on_rekey_wanted(&p->timers, now);
	engine_step(e, p, now);
}

// The peer that an initiation names and proves to be from, and whether it may be answered.
static struct peer *
judge(struct engine *e,
	const struct datagram *d,
	struct wg_initiation *ret_initiation,
	struct mono now)
{
	const struct wg_remote *remote;
	struct wg_claim claim;
	struct peer *p;
	int err;

	if (wg_initiation_open(e->identity, d->data, &claim) < 0) {
		e->counters.not_authentic++;
		return NULL;
	}
	p = peers_find(&e->peers, &claim.static_public);
	remote = p != NULL && engine_can_shake(e, p) ? engine_remote(e, p) : NULL;
	if (remote == NULL) {
		wg_claim_fini(&claim);
		e->counters.unknown_peer++;
		return NULL;
	}
	err = wg_initiation_verify(&claim, remote, d->data, ret_initiation);
	wg_claim_fini(&claim);
	if (err < 0) {
		e->counters.not_authentic++;
		return NULL;
	}
	err = wg_latest_check(&p->latest, &ret_initiation->timestamp, now);
	if (err == 0)
		return p;
	wg_initiation_fini(ret_initiation);
	if (err == -EAGAIN)
		e->counters.too_fast++;
	else
		on_old_initiation(e, p, now);
	return NULL;
}

/*
 * Make the response and the session's keys.  The response waits until the data plane has the keys:
 * the peer's next packet uses them.
 */
static void
answer(struct engine *e,
	struct peer *p,
	const struct datagram *d,
	const struct wg_initiation *initiation,
	struct mono now)
{
	struct wg_session_keys keys;
	struct secret_key ephemeral;
	struct answer *a;
	uint32_t index;
	int err;

	engine_drop_answer(p); // an older one that still waits is worth nothing now
	if (slots_take(&e->slots, p->number, &index) < 0) {
		e->counters.no_slot++;
		return;
	}
	a = calloc(1, sizeof(*a));
	key_generate(&ephemeral);
	err = a != NULL ? wg_response_create(
				  initiation, &p->remote, index, &ephemeral, a->message, &keys)
	                : -ENOMEM;
	secret_wipe(&ephemeral, sizeof(ephemeral));
	if (err < 0) {
		free(a);
		slots_set(&e->slots, index, SLOT_FREE);
		return;
	}
	a->index = index;
	a->remote = d->remote;
	a->local = d->local;
	a->relayed = d->relayed_from != NULL;
	a->created = now;
	p->answer = a;
	engine_push_session(e, p, &keys, now);
	wg_session_keys_fini(&keys);
}

void
engine_on_initiation(struct engine *e, const struct datagram *d, struct mono now)
{
	struct wg_initiation initiation;
	struct peer *p = judge(e, d, &initiation, now);

	if (p == NULL)
		return;
	e->counters.initiations_in++;
	wg_latest_accept(&p->latest, &initiation.timestamp, now);
	peer_note_write(e->dp, p); // before the answer: who comes after us must refuse it
	e->stamps_changed = true;
	wg_timers_on_handshake_received(&p->timers, now);
	engine_set_path(e, p, &d->remote, &d->local);
	answer(e, p, d, &initiation, now);
	wg_initiation_fini(&initiation);
}

void
engine_send_answer(struct engine *e, struct peer *p, struct mono now)
{
	struct answer *a = p->answer;

	wg_mac2_add(&p->cookie, a->message, sizeof(a->message), now);
	e->calls.send(e->calls.context, &a->remote, &a->local,
		a->relayed ? &p->remote.static_public : NULL, a->message, sizeof(a->message));
	e->counters.responses_out++;
	wg_timers_on_response_sent(&p->timers, now);
	log_debug("response sent peer=%s", PEER_ARGS(p));
	engine_drop_answer(p);
}
