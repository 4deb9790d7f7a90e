/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/handshake/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/peer_note.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "lib/base/secret.h"

static_assert(sizeof(struct pending) % 16 == 0, "cells of a pool");

int
engine_init(struct engine *e, struct dataplane *dp, const struct engine_calls *calls)
{
	*e = (struct engine){ .dp = dp, .calls = *calls, .pendings.size = sizeof(struct pending) };
	random_bytes(&e->random_state, sizeof(e->random_state));
	e->random_state |= 1;
	e->identity = secret_memory_map(sizeof(*e->identity));
	if (e->identity == NULL || peers_init(&e->peers) < 0 || slots_init(&e->slots) < 0 ||
		load_init(&e->load) < 0) {
		engine_fini(e);
		return -ENOMEM;
	}
	return 0;
}

void
engine_drop_answer(struct peer *p)
{
	free(p->answer); // its slot is the data plane's: SESSION_FREED gives it back
	p->answer = NULL;
}

void
engine_drop_pending(struct engine *e, struct peer *p)
{
	if (p->pending == NULL)
		return;
	slots_set(&e->slots, p->pending->handshake.local_index, SLOT_FREE);
	wg_handshake_fini(&p->pending->handshake);
	secret_pool_give(&e->pendings, p->pending);
	p->pending = NULL;
}

void
engine_remove_peer(struct engine *e, struct peer *p)
{
	engine_drop_pending(e, p);
	engine_drop_answer(p);
	if (deadlines_set(&e->deadlines, p->number, (struct mono){}) < 0)
		assert(!"removing needs no memory");
	peers_remove(&e->peers, p);
}

void
engine_fini(struct engine *e)
{
	struct peer *p;

	if (e->slots.items != NULL)
		while ((p = peers_next(&e->peers, 0)) != NULL)
			engine_remove_peer(e, p);
	peers_fini(&e->peers);
	slots_fini(&e->slots);
	load_fini(&e->load);
	deadlines_fini(&e->deadlines);
	secret_pool_fini(&e->pendings);
	secret_memory_unmap(e->identity, sizeof(*e->identity));
	e->identity = NULL;
	secret_wipe(&e->cookie_secret, sizeof(e->cookie_secret));
}

const struct wg_remote *
engine_remote(struct engine *e, struct peer *p)
{
	struct public_key public = p->remote.static_public;
	struct secret_key preshared = p->remote.preshared_key;

	if (!p->remote_ready) {
		p->remote_ready = wg_remote_init(&p->remote, e->identity, &public, &preshared) == 0;
		if (!p->remote_ready) {
			p->remote.static_public = public;
			p->remote.preshared_key = preshared;
		}
	}
	secret_wipe(&preshared, sizeof(preshared));
	return p->remote_ready ? &p->remote : NULL;
}

bool
engine_can_shake(const struct engine *e, const struct peer *p)
{
	return e->dp->attached && e->has_identity && p->state == PEER_WANTED && p->published;
}

/* --- commands --- */

void
engine_push_one(struct engine *e, enum shm_command_kind kind, uint32_t peer)
{
	struct shm_command c = { .kind = kind, .one = { .peer = peer } };

	dataplane_push(e->dp, &c);
}

void
engine_push_session(struct engine *e,
	const struct peer *p,
	const struct wg_session_keys *keys,
	struct mono birth)
{
	struct shm_command c = { .kind = SHM_CMD_SESSION,
		.session = { .peer = p->number,
			.receiver_index = keys->local_index,
			.sender_index = keys->remote_index,
			.role = keys->initiator ? SHM_ROLE_INITIATOR : SHM_ROLE_RESPONDER,
			.birth_ns = birth.ns } };

	memcpy(c.session.key_receive, keys->receive, KEY_LEN);
	memcpy(c.session.key_send, keys->send, KEY_LEN);
	slots_set(&e->slots, keys->local_index, SLOT_OFFERED);
	dataplane_push(e->dp, &c);
	secret_wipe(&c, sizeof(c));
}

static void
push_session_gone(struct engine *e, const struct dataplane_session *s)
{
	struct shm_command c = { .kind = SHM_CMD_SESSION_GONE,
		.session_gone = { .peer = s->peer, .receiver_index = s->receiver_index } };

	if (s->receiver_index != 0)
		dataplane_push(e->dp, &c);
}

void
engine_forget_sessions(struct engine *e, const struct peer *p)
{
	struct dataplane_keypairs k;

	dataplane_keypairs(e->dp, p->number, &k);
	push_session_gone(e, &k.previous);
	push_session_gone(e, &k.current);
	push_session_gone(e, &k.next);
}

bool
engine_path(const struct engine *e, uint32_t peer, struct shm_path *ret_path)
{
	const struct peer *p = peers_get(&e->peers, peer);

	if (p == NULL || (p->endpoint.addr.family == ADDR_NONE && !p->relay))
		return false;
	*ret_path = shm_path_of(&p->endpoint, &p->local);
	ret_path->relay = p->relay;
	return true;
}

static void
set_path(struct engine *e,
	struct peer *p,
	const struct endpoint *remote,
	const struct addr *local,
	bool relay)
{
	struct shm_command c = { .kind = SHM_CMD_PATH, .path = { .peer = p->number } };

	if (endpoint_equal(&p->endpoint, remote) && addr_equal(&p->local, local) &&
		p->relay == relay)
		return;
	p->endpoint = *remote;
	p->local = *local;
	p->relay = relay;
	peer_note_write(e->dp, p);
	c.path.path = shm_path_of(remote, local);
	c.path.path.relay = relay;
	dataplane_push(e->dp, &c);
}

void
engine_set_path(struct engine *e,
	struct peer *p,
	const struct endpoint *remote,
	const struct addr *local)
{
	if (!p->is_member)
		set_path(e, p, remote, local, false);
}

void
engine_set_member_path(struct engine *e,
	uint32_t peer,
	const struct endpoint *remote,
	const struct addr *local,
	bool relay)
{
	struct peer *p = peers_get(&e->peers, peer);

	if (p != NULL && p->is_member)
		set_path(e, p, remote, local, relay);
}

/* --- attach --- */

static void
adopt_session(void *context, uint32_t slot, const struct dataplane_session *s)
{
	struct engine *e = context;

	(void)slot;
	slots_adopt(&e->slots, s->receiver_index, s->peer);
}

// Numbers that the data plane knows keep their keys; whether we want them is seen later.
static void
adopt_peers(struct engine *e)
{
	const struct shm_applied_half *half;
	uint32_t n_peers, n_prefixes;
	uint64_t generation;

	half = dataplane_applied(e->dp, &generation, &n_peers, &n_prefixes);
	for (uint32_t i = 0; half != NULL && generation != 0 && i < n_peers; i++) {
		struct public_key key;
		struct peer *p;

		if ((half->peers[i].flags & SHM_PEER_USED) == 0)
			continue;
		memcpy(key.bytes, half->peers[i].public_key, KEY_LEN);
		if (peers_add(&e->peers, &key, i, &p) < 0)
			continue; // twice the same key: the full generation puts it right
		p->state = PEER_FOREIGN;
		p->published = true;
		peer_note_read(e->dp, p);
	}
}

// What an old attachment had begun will not be answered any more.
static void
drop_unfinished(struct engine *e)
{
	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		engine_drop_pending(e, p);
		engine_drop_answer(p);
		p->confirm_index = 0;
	}
}

static size_t
lose_sessions(struct engine *e, struct mono now)
{
	size_t n_lost = 0;

	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		bool had_session = !mono_is_never(p->session_birth) &&
		                   mono_diff_ns(now, p->session_birth) < WG_REJECT_AFTER_TIME_NS;

		p->published = p->resumed = false;
		p->wants_session = had_session && peer_is_reachable(p);
		p->session_birth = (struct mono){};
		n_lost += had_session;
		peer_note_write(e->dp, p); // the new keeper's memory knows nothing
	}
	return n_lost;
}

size_t
engine_attached(struct engine *e, struct mono now)
{
	bool first = e->known_boot == 0, same = e->known_boot == e->dp->boot_of_keeper_ns;
	size_t n_lost = 0;

	drop_unfinished(e);
	slots_clear(&e->slots);
	if (first)
		adopt_peers(e);
	if (first || same)
		dataplane_sessions_foreach(e->dp, adopt_session, e);
	else
		n_lost = lose_sessions(e, now);

	if (first)
		cookie_note_read(e->dp, &e->cookie_secret);
	else
		cookie_note_write(e->dp, &e->cookie_secret);
	e->known_boot = e->dp->boot_of_keeper_ns;
	e->scan_at = UINT32_MAX;
	e->scan_due = now;
	return n_lost;
}

/* --- for the state file --- */

struct peer_stamps *
engine_stamps(struct engine *e, size_t *ret_n)
{
	static const struct wg_tai64n never;
	struct peer_stamps *stamps = malloc((e->peers.end + 1) * sizeof(stamps[0]));
	size_t n = 0;

	e->stamps_changed = false;
	*ret_n = 0;
	if (stamps == NULL)
		return NULL;
	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		if (wg_tai64n_compare(&p->latest.timestamp, &never) == 0 &&
			wg_tai64n_compare(&p->tx_timestamp, &never) == 0)
			continue;
		stamps[n++] = (struct peer_stamps){ .key = p->remote.static_public,
			.rx = p->latest.timestamp,
			.tx = p->tx_timestamp };
	}
	*ret_n = n;
	return stamps;
}
