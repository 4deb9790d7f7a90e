/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source: ../shared/protocol/peer.md 2.4, 2.7 and 3.4.
 */

#include "controlplane/gateway/traversal/paths/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/paths/path_peer.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define PEERS_PER_TICK 64

struct path_peer *
paths_peer_at(const struct paths *paths, uint32_t number)
{
	return number < paths->room ? paths->peers[number] : NULL;
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
free_peer(struct path_peer *p)
{
	candidates_fini(&p->candidates);
	pings_fini(&p->pings);
	free(p);
}

void
paths_destroy(struct paths *paths)
{
	if (paths == NULL)
		return;
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->peers[i] != NULL)
			free_peer(paths->peers[i]);
	free(paths->peers);
	deadlines_fini(&paths->deadlines);
	disco_keys_fini(&paths->keys);
	secret_memory_unmap(paths->self_secret, sizeof(*paths->self_secret));
	free(paths);
}

/* --- who we are --- */

static void
fall_silent(struct paths *paths, struct path_peer *p, struct mono now)
{
	rounds_cancel_pings(paths, p);
	rounds_stop_waiting(paths, p);
	if (!p->is_wireguard_only)
		choice_forget(p);
	p->heartbeat = p->kick = (struct mono){};
	choice_settle(paths, p, now);
}

static void
forget_self(struct paths *paths, struct mono now)
{
	secret_memory_unmap(paths->self_secret, sizeof(*paths->self_secret));
	paths->self_secret = NULL;
	disco_keys_wipe(&paths->keys);
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->peers[i] != NULL)
			fall_silent(paths, paths->peers[i], now);
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
	struct path_peer **peers;

	if (number < paths->room)
		return 0;
	if (number >= PATHS_MAX_PEERS)
		return ERR_FULL;
	while (room <= number)
		room *= 2;
	peers = realloc(paths->peers, room * sizeof(peers[0]));
	if (peers == NULL)
		return -ENOMEM;
	memset(peers + paths->room, 0, (room - paths->room) * sizeof(peers[0]));
	paths->peers = peers;
	paths->room = room;
	return 0;
}

static int
add_peer(struct paths *paths,
	uint32_t number,
	const struct paths_peer *wanted,
	struct mono now,
	struct path_peer **ret_peer)
{
	struct path_peer *p;
	int err = make_room(paths, number);

	// A first deadline, so that later ones need no memory.
	if (err == 0)
		err = deadlines_set(&paths->deadlines, number, now);
	if (err < 0)
		return err;
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		(void)deadlines_set(&paths->deadlines, number, (struct mono){});
		return -ENOMEM;
	}
	p->number = number;
	p->node_key = wanted->node_key;
	p->is_new = true;
	paths->peers[number] = p;
	*ret_peer = p;
	return 0;
}

static void
remove_peer(struct paths *paths, struct path_peer *p)
{
	paths->peers[p->number] = NULL;
	(void)deadlines_set(&paths->deadlines, p->number, (struct mono){});
	disco_keys_drop(&paths->keys, p);
	rounds_stop_waiting(paths, p);
	rounds_cancel_pings(paths, p);
	free_peer(p);
}

static bool
has_disco(const struct paths_peer *wanted)
{
	static const struct public_key none;

	return !wanted->is_expired && !wanted->is_wireguard_only &&
	       memcmp(&wanted->disco_key, &none, sizeof(none)) != 0;
}

static bool
is_same_disco(const struct path_peer *p, const struct paths_peer *wanted)
{
	if (p->disco == NULL || !has_disco(wanted))
		return p->disco == NULL && !has_disco(wanted);
	return memcmp(&p->disco->key, &wanted->disco_key, sizeof(wanted->disco_key)) == 0;
}

// All that disco found out was found out with the earlier process.
static void
restart_disco(struct paths *paths, struct path_peer *p)
{
	rounds_cancel_pings(paths, p);
	rounds_stop_waiting(paths, p);
	choice_forget(p);
	candidates_restart(&p->candidates);
	p->last_ping_all = p->last_call_me_maybe = (struct mono){};
}

// ret_reset: it is another process than the one that the sessions are with.
static int
change_disco(struct paths *paths,
	struct path_peer *p,
	const struct paths_peer *wanted,
	bool *ret_reset)
{
	struct disco_key *key = NULL;

	*ret_reset = false;
	if (is_same_disco(p, wanted))
		return 0;
	if (has_disco(wanted)) {
		key = disco_keys_get(&paths->keys, &wanted->disco_key);
		if (key == NULL)
			return -ENOMEM;
	}
	*ret_reset = p->disco != NULL && key != NULL;
	if (p->disco != NULL)
		restart_disco(paths, p);
	disco_keys_drop(&paths->keys, p);
	if (key != NULL)
		disco_keys_give(key, p);
	return 0;
}

// Without disco nobody can tell which endpoint is best.  The one in use stays while it is listed.
static void
choose_endpoint(struct paths *paths, struct path_peer *p)
{
	uint32_t random;

	if (!p->is_wireguard_only || p->is_expired) {
		if (p->disco == NULL)
			choice_forget(p);
		return;
	}
	if (candidates_find(&p->candidates, &p->best.endpoint) != NULL)
		return;
	choice_forget(p);
	if (p->candidates.n == 0)
		return;
	paths->calls.random(paths->calls.context, &random, sizeof(random));
	p->best.endpoint = p->candidates.items[random % p->candidates.n].endpoint;
}

static int
change_endpoints(struct paths *paths,
	struct path_peer *p,
	const struct paths_peer *wanted,
	struct mono now)
{
	// What stays although it is not listed: a path that disco keeps looking at.
	struct endpoint keep = p->disco != NULL ? p->best.endpoint : (struct endpoint){};
	bool changed;
	int err = candidates_take_list(&p->candidates, CANDIDATES_OF_MAP, wanted->endpoints,
		wanted->n_endpoints, &keep, &changed, now);

	choose_endpoint(paths, p);
	if (changed && path_peer_is_active(p, now))
		rounds_on_activity(paths, p, now);
	return err;
}

int
paths_set_peer(struct paths *paths, uint32_t peer, const struct paths_peer *wanted, struct mono now)
{
	struct path_peer *p = paths_peer_at(paths, peer);
	bool reset;
	int err;

	if (p != NULL && memcmp(&p->node_key, &wanted->node_key, sizeof(p->node_key)) != 0) {
		remove_peer(paths, p);
		p = NULL;
	}
	if (p == NULL) {
		err = add_peer(paths, peer, wanted, now, &p);
		if (err < 0)
			return err;
	}
	if (p->is_wireguard_only != wanted->is_wireguard_only)
		choice_forget(p);
	p->home_region = wanted->home_region;
	p->is_wireguard_only = wanted->is_wireguard_only;
	p->is_expired = wanted->is_expired;
	err = change_disco(paths, p, wanted, &reset);
	if (err == 0)
		err = change_endpoints(paths, p, wanted, now);
	choice_settle(paths, p, now);
	if (reset)
		paths->calls.session_reset(paths->calls.context, peer);
	return err;
}

void
paths_remove_peer(struct paths *paths, uint32_t peer)
{
	struct path_peer *p = paths_peer_at(paths, peer);

	if (p != NULL)
		remove_peer(paths, p);
}

/* --- what the gateway notices --- */

void
paths_sent(struct paths *paths, uint32_t peer, struct mono last_tx, struct mono now)
{
	struct path_peer *p = paths_peer_at(paths, peer);

	if (p == NULL || p->is_expired || mono_is_never(last_tx))
		return;
	if (last_tx.ns > now.ns)
		last_tx = now;
	if (last_tx.ns > p->last_sent.ns)
		p->last_sent = last_tx;
	if (!path_peer_is_active(p, now))
		return;
	rounds_on_activity(paths, p, now);
	choice_settle(paths, p, now);
}

bool
paths_send(struct paths *paths, uint32_t peer, const uint8_t *data, size_t len, struct mono now)
{
	struct path_peer *p = paths_peer_at(paths, peer);
	struct paths_choice choice;
	bool sent = false;

	if (p == NULL)
		return false;
	// The time may have come at which the direct path is not trusted, and not its tick.
	choice = choice_of(p, now);
	if (choice.direct.addr.family != ADDR_NONE)
		sent = paths->calls.send_udp(
			paths->calls.context, &choice.direct, &choice.local, data, len);
	if (choice.relay)
		sent |= paths->calls.send_relay(
			paths->calls.context, choice.region, &p->node_key, data, len);
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
	struct path_peer *p = paths_peer_at(paths, peer);

	if (p == NULL || p->is_expired || !candidate_is_usable(endpoint))
		return;
	if (p->is_wireguard_only) {
		// One that it still has.
		if (candidates_find(&p->candidates, endpoint) != NULL)
			p->best.endpoint = *endpoint;
	} else if (p->disco != NULL) {
		(void)candidates_hear(&p->candidates, endpoint, NULL, &p->best.endpoint, now);
		choice_adopt(p, endpoint, local, is_trusted, now);
		if (is_trusted)
			p->kick = now;
	}
	p->is_new = false;
	choice_settle(paths, p, now);
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
	struct path_peer *p = paths_peer_at(paths, peer);

	if (p == NULL || region == 0 || p->heard_region == region)
		return;
	p->heard_region = region;
	choice_settle(paths, p, now);
}

void
paths_ping(struct paths *paths, uint32_t peer, uint64_t token, size_t size, struct mono now)
{
	struct path_peer *p = paths_peer_at(paths, peer);

	if (p == NULL) {
		paths->calls.pong(paths->calls.context, token, &(struct paths_pong){});
		return;
	}
	rounds_ping_asked(paths, p, token, size, now);
	choice_settle(paths, p, now);
}

static void
doubt(struct paths *paths, struct path_peer *p, struct mono now)
{
	choice_distrust(p);
	p->local = (struct addr){}; // may not be ours any more
	candidates_forget_pings(&p->candidates);
	p->last_call_me_maybe = (struct mono){};
	if (path_peer_is_active(p, now))
		p->kick = now;
	choice_settle(paths, p, now);
}

void
paths_network_changed(struct paths *paths, struct mono now)
{
	for (uint32_t i = 0; i < paths->room; i++)
		if (paths->peers[i] != NULL && paths->peers[i]->disco != NULL)
			doubt(paths, paths->peers[i], now);
}

void
paths_endpoints_fresh(struct paths *paths, struct mono now)
{
	for (uint32_t i = 0; i < paths->room && paths->n_waiting > 0; i++) {
		struct path_peer *p = paths->peers[i];

		if (p != NULL && !mono_is_never(p->wants_call_me_maybe))
			rounds_call_me_maybe(paths, p, true, now);
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

	for (unsigned i = 0; i < PEERS_PER_TICK; i++) {
		struct path_peer *p;

		if (!deadlines_take(&paths->deadlines, now, &number))
			break;
		p = paths_peer_at(paths, number);
		rounds_step(paths, p, now);
		choice_settle(paths, p, now);
	}
	return paths_next(paths);
}
