/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The peers that shall be: taken over from the configuration, said to the data plane as rows, and
 * spoken with once it has them.
 */

#include <string.h>

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/peer_note.h"
#include "lib/base/secret.h"

static void
take_identity(struct engine *e, const struct secret_key *key)
{
	if (e->has_identity && secret_equal(key->bytes, e->identity->static_secret.bytes, KEY_LEN))
		return;
	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		p->remote_ready = false;
		if (!e->has_identity)
			continue;
		// Sessions of another identity: the peer would go on with somebody who is gone.
		engine_drop_pending(e, p);
		engine_drop_answer(p);
		engine_forget_sessions(e, p);
	}
	wg_identity_init(e->identity, key);
	e->has_identity = true;
}

static void
take_later(struct wg_tai64n *have, const struct wg_tai64n *stamp)
{
	if (wg_tai64n_compare(stamp, have) > 0)
		*have = *stamp;
}

static void
take_preshared_key(struct peer *p, const struct secret_key *key)
{
	if (secret_equal(key->bytes, p->remote.preshared_key.bytes, KEY_LEN))
		return;
	p->remote.preshared_key = *key;
	if (p->remote_ready)
		wg_remote_set_preshared_key(&p->remote, key);
}

// A new address in the file moves the peer; the same one does not undo its roaming.
static void
take_endpoint(struct engine *e, struct peer *p, const struct desired_peer *d)
{
	const struct addr any = {};

	if (p->is_member)
		return; // disco's affair
	p->endpoint_is_name = d->endpoint_is_name;
	if (d->endpoint_is_name && d->endpoint.addr.family == ADDR_NONE)
		return; // the address comes by itself
	if (endpoint_equal(&p->configured, &d->endpoint))
		return;
	p->configured = d->endpoint;
	if (d->endpoint.addr.family != ADDR_NONE && !p->has_noted_path)
		engine_set_path(e, p, &d->endpoint, &any);
	p->has_noted_path = false;
}

static int
take_peer(struct engine *e, const struct desired_peer *d)
{
	struct peer *p = peers_find(&e->peers, &d->public_key);
	int err;

	if (p == NULL) {
		err = peers_add(&e->peers, &d->public_key, SHM_NO_PEER, &p);
		if (err < 0)
			return err;
		p->has_noted_path = peer_note_read(e->dp, p);
	} else if (p->state == PEER_FOREIGN) {
		p->has_noted_path = p->endpoint.addr.family != ADDR_NONE;
	}
	p->state = PEER_WANTED;
	p->seen = true;
	p->is_member = d->is_member;
	memcpy(p->name, d->name, sizeof(p->name));
	take_later(&p->latest.timestamp, &d->rx_timestamp);
	take_later(&p->tx_timestamp, &d->tx_timestamp);
	take_preshared_key(p, &d->preshared_key);
	wg_timers_set_persistent(&p->timers, d->keepalive_s);
	take_endpoint(e, p, d);
	peer_note_write(e->dp, p);
	return 0;
}

int
engine_take_desired(struct engine *e, const struct desired *desired, struct mono now)
{
	int err, first_err = 0;

	take_identity(e, &desired->private_key);
	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1))
		p->seen = false;
	for (size_t i = 0; i < desired->n_peers; i++) {
		err = take_peer(e, &desired->peers[i]);
		if (err < 0 && first_err == 0)
			first_err = err;
	}
	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		if (p->seen || p->state != PEER_WANTED)
			continue;
		engine_drop_pending(e, p);
		engine_drop_answer(p);
		p->state = PEER_LEAVING;
	}
	e->scan_due = now; // new keepalive intervals count from now
	return first_err;
}

struct rows *
engine_rows(const struct engine *e,
	const struct desired *desired,
	const struct prefix *exceptions,
	size_t n_exceptions)
{
	struct rows *rows = rows_create(
		desired->n_peers, desired->n_prefixes + n_exceptions + 2 * desired->n_addresses);

	if (rows == NULL)
		return NULL;
	rows->settings = desired->settings;
	rows_set_filter(rows, desired->filter);
	for (size_t i = 0; i < desired->n_peers; i++) {
		const struct desired_peer *d = &desired->peers[i];
		const struct peer *p = peers_find(&e->peers, &d->public_key);

		if (p == NULL)
			continue; // no room was left for it, which was said
		rows_add_peer(rows, p->number, &d->public_key);
		for (uint32_t k = 0; k < d->n_prefixes; k++)
			rows_add_prefix(rows, &desired->prefixes[d->first_prefix + k], p->number);
	}
	for (size_t i = 0; i < desired->n_addresses; i++) {
		struct prefix own = desired->addresses[i];

		// The network leads to us and, where no peer has a part of it, no further.
		if (own.len < addr_bits(own.addr.family))
			rows_add_prefix(rows, &own, SHM_TO_NOBODY);
		own.len = (uint8_t)addr_bits(own.addr.family);
		rows_add_prefix(rows, &own, SHM_TO_HOST);
	}
	for (size_t i = 0; i < n_exceptions; i++)
		rows_add_prefix(rows, &exceptions[i], SHM_TO_HOST);
	rows_seal(rows);
	return rows;
}

// Whether a timestamp is younger than that.
static bool
is_younger(const struct wg_tai64n *stamp, uint64_t wall, int64_t age_ns)
{
	uint64_t since = wall - (uint64_t)age_ns;
	struct wg_tai64n then = wg_tai64n_from_unix(since / NS_PER_S, (uint32_t)(since % NS_PER_S));

	return wg_tai64n_compare(stamp, &then) > 0;
}

/*
 * The first time that the data plane has this peer and we may speak with it.  What a control plane
 * before us had begun and we cannot finish is begun again: an initiation of the last 90 s without a
 * younger session, a session of ours that nothing was sent with yet.  And where there is no session
 * though one was agreed on lately, everything was stopped: the peer goes on sending with it until
 * it hears of another.
 */
static void
resume(struct engine *e, struct peer *p, struct mono now)
{
	uint64_t wall = e->calls.wall_ns(e->calls.context);
	struct dataplane_keypairs k;
	struct shm_peer_counters c;
	bool handshaking = is_younger(&p->tx_timestamp, wall, WG_REKEY_ATTEMPT_TIME_NS);
	bool agreed = is_younger(&p->tx_timestamp, wall, WG_REJECT_AFTER_TIME_NS) ||
	              is_younger(&p->latest.timestamp, wall, WG_REJECT_AFTER_TIME_NS);

	dataplane_keypairs(e->dp, p->number, &k);
	dataplane_counters(e->dp, p->number, &c);
	if (k.current.receiver_index != 0) {
		int64_t age = mono_diff_ns(now, k.current.birth);
		uint64_t born = wall - (uint64_t)(age > 0 ? age : 0);
		struct wg_tai64n birth =
			wg_tai64n_from_unix(born / NS_PER_S, (uint32_t)(born % NS_PER_S));

		p->session_birth = k.current.birth;
		handshaking = handshaking && wg_tai64n_compare(&p->tx_timestamp, &birth) > 0;
		if (k.current.initiator && c.last_tx_ns < k.current.birth.ns &&
			age < WG_REJECT_AFTER_TIME_NS)
			engine_push_one(e, SHM_CMD_KEEPALIVE, p->number);
	}
	if (k.current.receiver_index == 0 && k.next.receiver_index == 0 && agreed &&
		peer_is_reachable(p))
		p->wants_session = true;
	if (handshaking || p->wants_session)
		engine_want_session(e, p, now);
	p->wants_session = false;
}

void
engine_published(struct engine *e, const struct rows *rows, struct mono now)
{
	size_t at = 0;

	for (struct peer *p = peers_next(&e->peers, 0); p != NULL;
		p = peers_next(&e->peers, p->number + 1)) {
		bool there;

		while (at < rows->n_peers && rows->peers[at].number < p->number)
			at++;
		there = at < rows->n_peers && rows->peers[at].number == p->number;
		p->published = there;
		if (!there && p->state != PEER_WANTED) {
			engine_remove_peer(e, p);
			continue;
		}
		if (there && !p->resumed && p->state == PEER_WANTED) {
			p->resumed = true;
			resume(e, p, now);
		}
	}
}

void
engine_endpoint_resolved(struct engine *e,
	const struct public_key *key,
	const struct endpoint *endpoint,
	struct mono now)
{
	struct peer *p = peers_find(&e->peers, key);
	const struct addr any = {};
	bool moved;

	if (p == NULL || p->state != PEER_WANTED || !p->endpoint_is_name)
		return;
	if (endpoint->addr.family == ADDR_NONE) {
		if (p->endpoint.addr.family == ADDR_NONE && p->wants_session)
			engine_push_one(e, SHM_CMD_UNREACHABLE, p->number);
		p->wants_session = false;
		return;
	}
	moved = !endpoint_equal(&p->configured, endpoint);
	p->configured = *endpoint;
	// A path that was found by roaming is left alone as long as it answers.
	if (p->endpoint.addr.family == ADDR_NONE || (moved && !p->has_noted_path) ||
		(p->timers.handshaking && p->timers.attempts > 2))
		engine_set_path(e, p, endpoint, &any);
	p->has_noted_path = false;
	if (p->wants_session && engine_can_shake(e, p)) {
		p->wants_session = false;
		engine_want_session(e, p, now);
	}
	if (engine_can_shake(e, p))
		engine_step(e, p, now);
}
