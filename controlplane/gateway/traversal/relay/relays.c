/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/relays.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/secret_memory.h"
#include "controlplane/gateway/traversal/relay/node_target.h"
#include "controlplane/gateway/traversal/relay/relay.h"
#include "lib/base/secret.h"

#define URGENT_MAX_PACKETS 128
#define URGENT_MAX_BYTES   (64 << 10)
#define DATA_MAX_PACKETS   1024
#define DATA_MAX_BYTES     (512 << 10) /* 0.4 s at 10 Mbit/s */

const char *
relay_state_name(enum relay_state state)
{
	switch (state) {
	case RELAY_WAITING:
		return "waiting";
	case RELAY_CONNECTING:
		return "connecting";
	case RELAY_CONNECTED:
		return "connected";
	case RELAY_CLOSED:
		break;
	}
	return "closed";
}

int
relays_create(struct stream_set *set, const struct relays_calls *calls, struct relays **ret_relays)
{
	struct relays *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->key = secret_memory_map(sizeof(*r->key));
	if (r->key == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->set = set;
	r->calls = *calls;
	*ret_relays = r;
	return 0;
}

static void
free_relay(struct relay *relay)
{
	stream_close(relay->stream);
	(void)send_queue_clear(&relay->urgent);
	(void)send_queue_clear(&relay->data);
	free(relay->batch);
	free(relay);
}

void
relays_destroy(struct relays *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		free_relay(r->list[i]);
	derp_map_destroy(r->map);
	secret_memory_unmap(r->key, sizeof(*r->key));
	free(r);
}

void
relays_set_plain_http(struct relays *r, bool plain)
{
	r->is_plain = plain;
}

// The first place whose region is not below `region`.
static size_t
place_of(const struct relays *r, uint16_t region)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->list[middle]->region < region)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct relay *
find(const struct relays *r, uint16_t region)
{
	size_t at = place_of(r, region);

	return at < r->n && r->list[at]->region == region ? r->list[at] : NULL;
}

static void
remove_at(struct relays *r, size_t at)
{
	free_relay(r->list[at]);
	r->n--;
	memmove(r->list + at, r->list + at + 1, (r->n - at) * sizeof(r->list[0]));
}

static struct relay *
add(struct relays *r, uint16_t region)
{
	size_t at = place_of(r, region);
	struct relay *relay;

	if (r->n == RELAYS_MAX_CONNECTIONS)
		return NULL;
	relay = calloc(1, sizeof(*relay));
	if (relay == NULL)
		return NULL;
	relay->all = r;
	relay->region = region;
	relay->urgent.max_packets = URGENT_MAX_PACKETS;
	relay->urgent.max_bytes = URGENT_MAX_BYTES;
	relay->data.max_packets = DATA_MAX_PACKETS;
	relay->data.max_bytes = DATA_MAX_BYTES;
	memmove(r->list + at + 1, r->list + at, (r->n - at) * sizeof(r->list[0]));
	r->list[at] = relay;
	r->n++;
	return relay;
}

// The relay of a region, connected or on its way.  NULL: there is none.
static struct relay *
want(struct relays *r, uint16_t region, struct mono now)
{
	struct relay *relay = find(r, region);

	if (!r->has_key || r->map == NULL || derp_map_find(r->map, region) == NULL || region == 0)
		return NULL;
	if (relay == NULL)
		relay = add(r, region);
	if (relay == NULL)
		return NULL;
	relay->wanted_at = now;
	if (relay->state == RELAY_CLOSED)
		relay_start(relay, now);
	return relay;
}

// Home must have a place: where there is none, the one that was used the longest ago goes.
static void
make_room(struct relays *r, struct mono now)
{
	struct relay *oldest = NULL;

	if (r->n < RELAYS_MAX_CONNECTIONS || find(r, r->home) != NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (oldest == NULL || r->list[i]->wanted_at.ns < oldest->wanted_at.ns)
			oldest = r->list[i];
	relay_stop(oldest, "its place is needed for the home region", now);
}

static void
sweep(struct relays *r)
{
	for (size_t i = r->n; i > 0; i--)
		if (r->list[i - 1]->state == RELAY_CLOSED)
			remove_at(r, i - 1);
}

void
relays_set_key(struct relays *r, const struct secret_key *node_key, struct mono now)
{
	if (node_key != NULL && r->has_key && secret_equal(r->key, node_key, sizeof(*node_key)))
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->list[i]->state != RELAY_CLOSED)
			relay_stop(r->list[i], "our node key has changed", now);
	secret_wipe(r->key, sizeof(*r->key));
	r->has_key = node_key != NULL;
	if (node_key == NULL)
		return;
	*r->key = *node_key;
	key_public(&r->public_key, r->key);
	for (size_t i = 0; i < r->n; i++)
		if (relay_is_wanted(r->list[i], now))
			relay_start(r->list[i], now);
	if (r->home != 0)
		(void)want(r, r->home, now);
}

// The node in the new map by which `relay` is connected; NULL: it is not there any more.
static const struct derp_node *
same_node(const struct relay *relay, const struct derp_region *region)
{
	const struct derp_node *node;

	if (region == NULL || relay->node == NULL || relay->node_at >= region->n_nodes)
		return NULL;
	node = &region->nodes[relay->node_at];
	return node_target_same(node, relay->node) ? node : NULL;
}

// Whether the connection may stay; relay->node is of the new map then.
static bool
move_to_map(struct relay *relay, const struct derp_map *map)
{
	relay->node = same_node(relay, map != NULL ? derp_map_find(map, relay->region) : NULL);
	return relay->node != NULL;
}

int
relays_set_map(struct relays *r, const struct derp_map *map, struct mono now)
{
	struct derp_map *copy = NULL, *old = r->map;
	bool stays[RELAYS_MAX_CONNECTIONS];
	size_t n = r->n;

	if (map != NULL && derp_map_copy(map, &copy) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		stays[i] = move_to_map(r->list[i], copy);
	r->map = copy;
	derp_map_destroy(old);
	for (size_t i = 0; i < n; i++)
		if (!stays[i] && r->list[i]->state != RELAY_CLOSED) {
			relay_stop(r->list[i], "it is not in the map any more", now);
			if (relay_is_wanted(r->list[i], now))
				relay_start(r->list[i], now);
		}
	if (r->home != 0)
		(void)want(r, r->home, now);
	return 0;
}

void
relays_set_home(struct relays *r, uint16_t region, struct mono now)
{
	struct relay *old = find(r, r->home);

	if (region == r->home)
		return;
	r->home = region;
	if (old != NULL) {
		relay_note_home(old);
		old->wanted_at = now; // others send there until they know better
	}
	if (region != 0 && want(r, region, now) != NULL)
		relay_note_home(find(r, region));
}

// A connection that stands, through which `to` was heard.
static struct relay *
way_back(const struct relays *r, const struct public_key *to)
{
	const struct reverse_route *route = reverse_routes_find(&r->routes, to);
	struct relay *relay = route != NULL ? find(r, route->region) : NULL;

	return relay != NULL && relay->opening == route->opening ? relay : NULL;
}

bool
relays_send(struct relays *r,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	struct relay *relay = find(r, region);

	if (len > RELAYS_MAX_PACKET_LEN)
		return false;
	if (relay == NULL || relay->state == RELAY_CLOSED)
		relay = way_back(r, to);
	if (relay == NULL)
		relay = want(r, region, now);
	if (relay == NULL)
		return false;
	relay->wanted_at = now;
	relay_send_packet(relay, to, data, len, now);
	return true;
}

void
relays_flush(struct relays *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (relay_is_ready(r->list[i]))
			relay_send_batch(r->list[i]);
}

void
relays_network_changed(struct relays *r, struct mono now)
{
	for (size_t i = 0; i < r->n; i++)
		relay_network_changed(r->list[i], now);
}

struct mono
relays_tick(struct relays *r, struct mono now)
{
	struct mono next = {};

	if (r->home != 0 && find(r, r->home) == NULL) {
		make_room(r, now);
		sweep(r);
		(void)want(r, r->home, now);
	}
	for (size_t i = 0; i < r->n; i++) {
		struct mono t = relay_tick(r->list[i], now);

		if (!mono_is_never(t) && (mono_is_never(next) || t.ns < next.ns))
			next = t;
	}
	sweep(r);
	return next;
}

bool
relays_facts(const struct relays *r, size_t i, struct relay_facts *ret_facts)
{
	const struct relay *relay = i < r->n ? r->list[i] : NULL;

	if (relay == NULL)
		return false;
	*ret_facts = (struct relay_facts){
		.region = relay->region,
		.state = relay->state,
		.is_home = relay->region == r->home,
		.is_fast_start = relay->is_fast_start,
		.is_ideal = relay->node != NULL && relay->node_at == 0,
		.has_server_key = relay->phase == RELAY_PHASE_PROVEN,
		.server_key = relay->server_key,
		.since = relay->since,
		.retry_at = relay->retry_at,
		.last_rx = relay->last_rx,
		.last_tx = relay->last_tx,
		.ping_ns = relay->ping_ns,
		.n_failures = relay->state == RELAY_CONNECTED ? 0 : relay->n_failures,
		.rx_packets = relay->rx_packets,
		.rx_bytes = relay->rx_bytes,
		.tx_packets = relay->tx_packets,
		.tx_bytes = relay->tx_bytes,
		.n_dropped = relay->n_dropped,
		.queued_bytes = relay->urgent.bytes + relay->data.bytes,
	};
	memcpy(ret_facts->why, relay->why, sizeof(ret_facts->why));
	memcpy(ret_facts->health, relay->health, sizeof(ret_facts->health));
	if (relay->node != NULL)
		snprintf(ret_facts->host, sizeof(ret_facts->host), "%s", relay->node->host_name);
	return true;
}
