/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/traversal/paths/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/traversal/datagram.h"
#include "lib/traversal/disco.h"
#include "lib/traversal/path.h"

#define MAP_DELAY_NS (800 * NS_PER_MS)
#define STUN_NS      (100 * NS_PER_MS)
#define NO_STUN_NS   (3 * NS_PER_S) /* until a report without answers */

int
node_next_peer(const struct node *n, int after)
{
	int i = after + 1;

	if (i == n->number)
		i++;
	return i < n->line->n_hosts ? i : -1;
}

/* --- what paths call --- */

static bool
call_send_udp(void *context,
	const struct endpoint *to,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	struct node *n = context;

	(void)local;
	line_send_udp(n->line, n->number, to, data, len);
	return true;
}

static bool
call_send_relay(void *context,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len)
{
	struct node *n = context;

	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i))
		if (memcmp(to, &n->nodes[i].identity.static_public, sizeof(*to)) == 0)
			line_send_relay(n->line, n->number, region, i, data, len);
	return true;
}

static void
call_chosen(void *context, uint32_t peer, const struct paths_choice *choice)
{
	struct node *n = context;
	struct node_peer *p = &n->peers[peer];

	assert(memcmp(choice, &p->choice, sizeof(*choice)) != 0 || p->n_chosen == 0);
	p->choice = *choice;
	p->n_chosen++;
}

static size_t
call_own_endpoints(void *context, struct endpoint *ret_endpoints, size_t max, bool *ret_is_fresh)
{
	struct node *n = context;

	assert(max >= 2);
	memcpy(ret_endpoints, n->own, n->n_own * sizeof(n->own[0]));
	*ret_is_fresh = mono_diff_ns(n->line->now, n->last_stun) < PATH_ENDPOINTS_FRESH_NS;
	if (!*ret_is_fresh && mono_is_never(n->stun_due))
		n->stun_due = mono_add_ns(n->line->now, STUN_NS);
	return n->n_own;
}

static void
reset(struct node_peer *p)
{
	node_forget_sessions(p);
	wg_handshake_fini(&p->handshake);
	p->n_reset++;
}

// The peer may have made a session with us before the map told its new key, and would go on
// sending by it: begin another.
static void
call_session_reset(void *context, uint32_t peer)
{
	struct node *n = context;
	struct node_peer *p = &n->peers[peer];

	reset(p);
	if (mono_diff_ns(n->line->now, p->activity.last_rx) < WG_UNANSWERED_NS) {
		wg_timers_on_rekey_wanted(&p->timers, n->line->now);
		node_step(n, (int)peer);
	}
}

static void
call_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	struct node *n = context;

	n->peers[token].pong = *pong;
}

static void
call_random(void *context, void *out, size_t len)
{
	struct node *n = context;
	uint8_t *bytes = out;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(line_random(n->line) >> 40);
}

/* --- itself --- */

static void
look_outside(struct node *n)
{
	struct endpoint own[2] = {};
	size_t n_own = 0;

	if (line_stun(n->line, n->number, &own[0]))
		n_own++;
	own[n_own++] = n->line->hosts[n->number].inner;
	if (n_own != n->n_own || memcmp(own, n->own, sizeof(own)) != 0)
		n->map_due = mono_add_ns(n->line->now, MAP_DELAY_NS);
	memcpy(n->own, own, sizeof(own));
	n->n_own = n_own;
	n->last_stun = n->line->now;
	n->stun_due = (struct mono){};
}

static void
tell_map(struct node *n)
{
	struct paths_peer peer = {
		.node_key = n->identity.static_public,
		.disco_key = n->disco_key,
		.home_region = n->home,
		.capver = 116,
		.endpoints = n->own,
		.n_endpoints = n->n_own,
	};

	n->map_due = (struct mono){};
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i))
		if (paths_set_peer(n->nodes[i].paths, (uint32_t)n->number, &peer, n->line->now) < 0)
			abort();
}

static void
open_paths(struct node *n)
{
	const struct paths_calls calls = {
		.send_udp = call_send_udp,
		.send_relay = call_send_relay,
		.chosen = call_chosen,
		.own_endpoints = call_own_endpoints,
		.session_reset = call_session_reset,
		.pong = call_pong,
		.random = call_random,
		.context = n,
	};

	if (paths_create(&calls, &n->paths) < 0 ||
		paths_set_self(
			n->paths, &n->identity.static_public, &n->disco_secret, n->line->now) < 0)
		abort();
}

static void
new_disco_key(struct node *n)
{
	node_secret(n, &n->disco_secret);
	key_public(&n->disco_key, &n->disco_secret);
}

void
node_open(struct node *n)
{
	struct secret_key secret;

	node_secret(n, &secret);
	wg_identity_init(&n->identity, &secret);
	new_disco_key(n);
	n->next_index = 1000;
	n->next_scan = mono_add_ns(n->line->now, line_below(n->line, 1000) * NS_PER_MS);
	n->line->hosts[n->number].regions |= 1u << n->home;
	open_paths(n);
}

// Who the others are, as the map says; their addresses follow when they have found them.
static void
learn_peers(struct node *n)
{
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		const struct node *other = &n->nodes[i];
		struct paths_peer peer = {
			.node_key = other->identity.static_public,
			.disco_key = other->disco_key,
			.home_region = other->home,
			.endpoints = other->own,
			.n_endpoints = other->n_own,
		};

		if (paths_set_peer(n->paths, (uint32_t)i, &peer, n->line->now) < 0)
			abort();
	}
}

void
node_meet(struct node *n)
{
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		if (wg_remote_init(&n->peers[i].remote, &n->identity,
			    &n->nodes[i].identity.static_public, NULL) < 0)
			abort();
		wg_timers_init(&n->peers[i].timers, 0);
	}
	look_outside(n);
	learn_peers(n);
}

void
node_close(struct node *n)
{
	paths_destroy(n->paths);
	n->paths = NULL;
}

void
node_restart_control(struct node *n)
{
	paths_destroy(n->paths);
	open_paths(n);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct node_peer *p = &n->peers[i];

		wg_handshake_fini(&p->handshake);
		wg_timers_init(&p->timers, 0);
		p->told = (struct mono){};
		p->n_chosen = 0;
	}
	learn_peers(n);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct paths_choice used = n->peers[i].choice;

		if (used.direct.addr.family == ADDR_NONE)
			continue;
		if (used.relay)
			paths_remember(
				n->paths, (uint32_t)i, &used.direct, &used.local, n->line->now);
		else
			paths_adopt(n->paths, (uint32_t)i, &used.direct, &used.local, n->line->now);
		n->peers[i].last_pong = n->line->now; // is what adopting supposes
	}
}

void
node_restart(struct node *n)
{
	paths_destroy(n->paths);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		struct node_peer *p = &n->peers[i];

		reset(p);
		wg_timers_init(&p->timers, 0);
		p->choice = (struct paths_choice){};
		p->activity = (struct wg_activity){};
		p->told = (struct mono){};
		p->n_chosen = p->n_waiting = 0;
	}
	new_disco_key(n);
	open_paths(n);
	learn_peers(n);
	look_outside(n);
	n->map_due = mono_add_ns(n->line->now, MAP_DELAY_NS);
}

void
node_move(struct node *n, bool another_address, bool noticed)
{
	line_rebind(n->line, n->number, another_address);
	if (!noticed)
		return;
	paths_network_changed(n->paths, n->line->now);
	n->last_stun = (struct mono){ 1 };
	n->stun_due = mono_add_ns(n->line->now, STUN_NS);
}

void
node_set_home(struct node *n, uint16_t home)
{
	n->home = home;
	n->line->hosts[n->number].regions |= 1u << home;
	n->map_due = mono_add_ns(n->line->now, MAP_DELAY_NS);
}

/* --- time --- */

static void
sooner(struct mono *next, struct mono at)
{
	if (!mono_is_never(at) && (mono_is_never(*next) || at.ns < next->ns))
		*next = at;
}

struct mono
node_next(const struct node *n)
{
	struct mono next = n->next_scan;

	sooner(&next, paths_next(n->paths));
	sooner(&next, n->stun_due);
	sooner(&next, n->map_due);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		sooner(&next, n->peers[i].deadline);
		if (n->data_every_ns[i] > 0)
			sooner(&next, n->next_data[i]);
	}
	return next;
}

static bool
is_past(const struct node *n, struct mono at)
{
	return !mono_is_never(at) && at.ns <= n->line->now.ns;
}

static bool
is_active(const struct node *n)
{
	struct paths_state state;

	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i))
		if (paths_state(n->paths, (uint32_t)i, n->line->now, &state) && state.is_active)
			return true;
	return false;
}

static void
run_scan(struct node *n)
{
	n->next_scan = mono_add_ns(n->line->now, NS_PER_S);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i))
		node_step(n, i);
	if (is_active(n) && mono_is_never(n->stun_due) &&
		mono_diff_ns(n->line->now, n->last_stun) > 22 * NS_PER_S)
		n->stun_due = mono_add_ns(n->line->now, STUN_NS);
}

static void
run_stun(struct node *n)
{
	const struct nat *nat = &n->line->hosts[n->number].nat;

	// Without answers it takes longer.
	if ((nat->no_in || nat->no_out) &&
		mono_diff_ns(n->line->now, n->stun_due) < NO_STUN_NS - STUN_NS) {
		look_outside(n);
		n->last_stun = mono_add_ns(n->line->now, -PATH_ENDPOINTS_FRESH_NS + NS_PER_S);
		return;
	}
	look_outside(n);
	paths_endpoints_fresh(n->paths, n->line->now);
}

void
node_run(struct node *n)
{
	if (is_past(n, n->stun_due))
		run_stun(n);
	if (is_past(n, n->map_due))
		tell_map(n);
	for (int i = node_next_peer(n, -1); i >= 0; i = node_next_peer(n, i)) {
		if (n->data_every_ns[i] > 0 && is_past(n, n->next_data[i])) {
			n->next_data[i] = mono_add_ns(n->line->now, n->data_every_ns[i]);
			node_send_data(n, i);
		}
		if (is_past(n, n->peers[i].deadline))
			node_step(n, i);
	}
	if (is_past(n, n->next_scan))
		run_scan(n);
	(void)paths_tick(n->paths, n->line->now);
}

/* --- arrivals --- */

// What the invariants of the test need: when a pong came, which is known by its length.
static void
note_pong(struct node *n, const struct line_datagram *d)
{
	if (d->region == 0 && d->len == DISCO_PONG_LEN)
		n->peers[d->from_host].last_pong = n->line->now;
}

static void
receive_disco(struct node *n, const struct line_datagram *d)
{
	struct paths_source source = { .endpoint = d->from };
	uint8_t data[LINE_MTU];

	if (d->region != 0)
		source = (struct paths_source){
			.region = d->region,
			.relay_key = n->nodes[d->from_host].identity.static_public,
		};
	note_pong(n, d);
	memcpy(data, d->data, d->len);
	paths_receive(n->paths, &source, data, d->len, n->line->now);
}

void
node_receive(struct node *n, const struct line_datagram *d)
{
	if (datagram_kind_of_relay(d->data, d->len) == DATAGRAM_DISCO)
		receive_disco(n, d);
	else
		node_receive_wireguard(n, d);
}
