/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source: ../shared/protocol/peer.md 2.4, 2.7 and 3.4.
 */

#include "controlplane/gateway/traversal/paths/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/paths/member.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define MEMBERS_PER_TICK 64

struct member *
paths_member(const struct paths *paths, uint32_t number)
{
	return number < paths->room ? paths->members[number] : NULL;
}

int
paths_create(const struct paths_calls *calls, struct paths **ret_paths)
{
	struct paths *paths = calloc(1, sizeof(*paths));
	uint64_t seed[4];
	int err;

	if (paths == NULL)
		return -ENOMEM;
	paths->calls = *calls;
	calls->random(calls->context, seed, sizeof(seed));
	err = disco_keys_init(&paths->keys, seed);
	if (err < 0) {
		free(paths);
		return err;
	}
	*ret_paths = paths;
	return 0;
}

static void
free_member(struct member *m)
{
	candidates_fini(&m->candidates);
	pings_fini(&m->pings);
	free(m);
}

void
paths_destroy(struct paths *paths)
{
	if (paths == NULL)
		return;
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->members[i] != NULL)
			free_member(paths->members[i]);
	free(paths->members);
	deadlines_fini(&paths->deadlines);
	disco_keys_fini(&paths->keys);
	secret_memory_unmap(paths->self_secret, sizeof(*paths->self_secret));
	free(paths);
}

/* --- who we are --- */

static void
fall_silent(struct paths *paths, struct member *m, struct mono now)
{
	rounds_cancel_pings(paths, m);
	rounds_stop_waiting(paths, m);
	if (!m->is_wireguard_only)
		choice_forget(m);
	m->heartbeat = m->kick = (struct mono){};
	choice_settle(paths, m, now);
}

static void
forget_self(struct paths *paths, struct mono now)
{
	secret_memory_unmap(paths->self_secret, sizeof(*paths->self_secret));
	paths->self_secret = NULL;
	disco_keys_wipe(&paths->keys);
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->members[i] != NULL)
			fall_silent(paths, paths->members[i], now);
}

int
paths_set_self(struct paths *paths,
	const struct public_key *node_key,
	const struct secret_key *disco_key,
	struct mono now)
{
	paths->self_node = *node_key;
	if (disco_key == NULL) {
		forget_self(paths, now);
		return 0;
	}
	if (paths->self_secret == NULL)
		paths->self_secret = secret_memory_map(sizeof(*paths->self_secret));
	if (paths->self_secret == NULL)
		return -ENOMEM;
	if (secret_equal(paths->self_secret, disco_key, sizeof(*disco_key)))
		return 0;
	*paths->self_secret = *disco_key;
	key_public(&paths->self_disco, disco_key);
	disco_keys_wipe(&paths->keys);
	return 0;
}

/* --- peers come, change and go --- */

static int
make_room(struct paths *paths, uint32_t number)
{
	uint32_t room = paths->room != 0 ? paths->room : 64;
	struct member **members;

	if (number < paths->room)
		return 0;
	if (number >= PATHS_MAX_PEERS)
		return ERR_FULL;
	while (room <= number)
		room *= 2;
	members = realloc(paths->members, room * sizeof(members[0]));
	if (members == NULL)
		return -ENOMEM;
	memset(members + paths->room, 0, (room - paths->room) * sizeof(members[0]));
	paths->members = members;
	paths->room = room;
	return 0;
}

static int
add_member(struct paths *paths,
	uint32_t number,
	const struct paths_peer *wanted,
	struct mono now,
	struct member **ret_member)
{
	struct member *m;
	int err = make_room(paths, number);

	// A first deadline, so that later ones need no memory.
	if (err == 0)
		err = deadlines_set(&paths->deadlines, number, now);
	if (err < 0)
		return err;
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		(void)deadlines_set(&paths->deadlines, number, (struct mono){});
		return -ENOMEM;
	}
	m->number = number;
	m->node_key = wanted->node_key;
	m->is_new = true;
	paths->members[number] = m;
	*ret_member = m;
	return 0;
}

static void
remove_member(struct paths *paths, struct member *m)
{
	paths->members[m->number] = NULL;
	(void)deadlines_set(&paths->deadlines, m->number, (struct mono){});
	disco_keys_drop(&paths->keys, m);
	rounds_stop_waiting(paths, m);
	rounds_cancel_pings(paths, m);
	free_member(m);
}

static bool
has_disco(const struct paths_peer *wanted)
{
	static const struct public_key none;

	return !wanted->is_expired && !wanted->is_wireguard_only &&
	       memcmp(&wanted->disco_key, &none, sizeof(none)) != 0;
}

static bool
is_same_disco(const struct member *m, const struct paths_peer *wanted)
{
	if (m->disco == NULL || !has_disco(wanted))
		return m->disco == NULL && !has_disco(wanted);
	return memcmp(&m->disco->key, &wanted->disco_key, sizeof(wanted->disco_key)) == 0;
}

// All that disco found out was found out with the earlier process.
static void
restart_disco(struct paths *paths, struct member *m)
{
	rounds_cancel_pings(paths, m);
	rounds_stop_waiting(paths, m);
	choice_forget(m);
	candidates_restart(&m->candidates);
	m->last_ping_all = m->last_call_me_maybe = (struct mono){};
}

// ret_reset: it is another process than the one that the sessions are with.
static int
change_disco(struct paths *paths,
	struct member *m,
	const struct paths_peer *wanted,
	bool *ret_reset)
{
	struct disco_key *key = NULL;

	*ret_reset = false;
	if (is_same_disco(m, wanted))
		return 0;
	if (has_disco(wanted)) {
		key = disco_keys_get(&paths->keys, &wanted->disco_key);
		if (key == NULL)
			return -ENOMEM;
	}
	*ret_reset = m->disco != NULL && key != NULL;
	if (m->disco != NULL)
		restart_disco(paths, m);
	disco_keys_drop(&paths->keys, m);
	if (key != NULL)
		disco_keys_give(key, m);
	return 0;
}

// Without disco nobody can tell which endpoint is best.  The one in use stays while it is listed.
static void
choose_endpoint(struct paths *paths, struct member *m)
{
	uint32_t random;

	if (!m->is_wireguard_only || m->is_expired) {
		if (m->disco == NULL)
			choice_forget(m);
		return;
	}
	if (candidates_find(&m->candidates, &m->best.endpoint) != NULL)
		return;
	choice_forget(m);
	if (m->candidates.n == 0)
		return;
	paths->calls.random(paths->calls.context, &random, sizeof(random));
	m->best.endpoint = m->candidates.items[random % m->candidates.n].endpoint;
}

static int
change_endpoints(struct paths *paths,
	struct member *m,
	const struct paths_peer *wanted,
	struct mono now)
{
	// What stays although it is not listed: a path that disco keeps looking at.
	struct endpoint keep = m->disco != NULL ? m->best.endpoint : (struct endpoint){};
	bool changed;
	int err = candidates_take_list(&m->candidates, CANDIDATES_OF_MAP, wanted->endpoints,
		wanted->n_endpoints, &keep, &changed, now);

	choose_endpoint(paths, m);
	if (changed && member_is_active(m, now))
		rounds_on_activity(paths, m, now);
	return err;
}

int
paths_set_peer(struct paths *paths, uint32_t peer, const struct paths_peer *wanted, struct mono now)
{
	struct member *m = paths_member(paths, peer);
	bool reset;
	int err;

	if (m != NULL && memcmp(&m->node_key, &wanted->node_key, sizeof(m->node_key)) != 0) {
		remove_member(paths, m);
		m = NULL;
	}
	if (m == NULL) {
		err = add_member(paths, peer, wanted, now, &m);
		if (err < 0)
			return err;
	}
	if (m->is_wireguard_only != wanted->is_wireguard_only)
		choice_forget(m);
	m->home_region = wanted->home_region;
	m->is_wireguard_only = wanted->is_wireguard_only;
	m->is_expired = wanted->is_expired;
	err = change_disco(paths, m, wanted, &reset);
	if (err == 0)
		err = change_endpoints(paths, m, wanted, now);
	choice_settle(paths, m, now);
	if (reset)
		paths->calls.session_reset(paths->calls.context, peer);
	return err;
}

void
paths_remove_peer(struct paths *paths, uint32_t peer)
{
	struct member *m = paths_member(paths, peer);

	if (m != NULL)
		remove_member(paths, m);
}

/* --- what the gateway notices --- */

void
paths_sent(struct paths *paths, uint32_t peer, struct mono last_tx, struct mono now)
{
	struct member *m = paths_member(paths, peer);

	if (m == NULL || m->is_expired || mono_is_never(last_tx))
		return;
	if (last_tx.ns > now.ns)
		last_tx = now;
	if (last_tx.ns > m->last_sent.ns)
		m->last_sent = last_tx;
	if (!member_is_active(m, now))
		return;
	rounds_on_activity(paths, m, now);
	choice_settle(paths, m, now);
}

bool
paths_send(struct paths *paths, uint32_t peer, const uint8_t *data, size_t len, struct mono now)
{
	struct member *m = paths_member(paths, peer);
	struct paths_choice choice;
	bool sent = false;

	if (m == NULL)
		return false;
	// The time may have come at which the direct path is not trusted, and not its tick.
	choice = choice_of(m, now);
	if (choice.direct.addr.family != ADDR_NONE)
		sent = paths->calls.send_udp(
			paths->calls.context, &choice.direct, &choice.local, data, len);
	if (choice.relay)
		sent |= paths->calls.send_relay(
			paths->calls.context, choice.region, &m->node_key, data, len);
	paths_sent(paths, peer, now, now);
	return sent;
}

static void
take_over(struct paths *paths,
	uint32_t peer,
	const struct endpoint *endpoint,
	const struct addr *local,
	bool is_trusted,
	struct mono now)
{
	struct member *m = paths_member(paths, peer);

	if (m == NULL || m->is_expired || !candidate_is_usable(endpoint))
		return;
	if (m->is_wireguard_only) {
		// One that it still has.
		if (candidates_find(&m->candidates, endpoint) != NULL)
			m->best.endpoint = *endpoint;
	} else if (m->disco != NULL) {
		(void)candidates_hear(&m->candidates, endpoint, NULL, &m->best.endpoint, now);
		choice_adopt(m, endpoint, local, is_trusted, now);
		if (is_trusted)
			m->kick = now;
	}
	m->is_new = false;
	choice_settle(paths, m, now);
}

void
paths_adopt(struct paths *paths,
	uint32_t peer,
	const struct endpoint *endpoint,
	const struct addr *local,
	struct mono now)
{
	take_over(paths, peer, endpoint, local, true, now);
}

void
paths_remember(struct paths *paths,
	uint32_t peer,
	const struct endpoint *endpoint,
	const struct addr *local,
	struct mono now)
{
	take_over(paths, peer, endpoint, local, false, now);
}

void
paths_relay_heard(struct paths *paths, uint32_t peer, uint16_t region, struct mono now)
{
	struct member *m = paths_member(paths, peer);

	if (m == NULL || region == 0 || m->heard_region == region)
		return;
	m->heard_region = region;
	choice_settle(paths, m, now);
}

void
paths_ping(struct paths *paths, uint32_t peer, uint64_t token, size_t size, struct mono now)
{
	struct member *m = paths_member(paths, peer);

	if (m == NULL) {
		paths->calls.pong(paths->calls.context, token, &(struct paths_pong){});
		return;
	}
	rounds_ping_asked(paths, m, token, size, now);
	choice_settle(paths, m, now);
}

static void
doubt(struct paths *paths, struct member *m, struct mono now)
{
	choice_distrust(m);
	m->local = (struct addr){}; // may not be ours any more
	candidates_forget_pings(&m->candidates);
	m->last_call_me_maybe = (struct mono){};
	if (member_is_active(m, now))
		m->kick = now;
	choice_settle(paths, m, now);
}

void
paths_network_changed(struct paths *paths, struct mono now)
{
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->members[i] != NULL && paths->members[i]->disco != NULL)
			doubt(paths, paths->members[i], now);
}

void
paths_endpoints_fresh(struct paths *paths, struct mono now)
{
	for (uint32_t i = 0; i < paths->room && paths->n_waiting > 0; i++) {
		struct member *m = paths->members[i];

		if (m != NULL && !mono_is_never(m->wants_call_me_maybe))
			rounds_call_me_maybe(paths, m, true, now);
	}
}

/* --- time --- */

struct mono
paths_next(const struct paths *paths)
{
	return deadlines_next(&paths->deadlines);
}

struct mono
paths_tick(struct paths *paths, struct mono now)
{
	uint32_t number;

	for (unsigned i = 0; i < MEMBERS_PER_TICK; i++) {
		struct member *m;

		if (!deadlines_take(&paths->deadlines, now, &number))
			break;
		m = paths_member(paths, number);
		rounds_step(paths, m, now);
		choice_settle(paths, m, now);
	}
	return paths_next(paths);
}
