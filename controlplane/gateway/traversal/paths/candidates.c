/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/candidates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/traversal/path.h"

void
candidates_fini(struct candidates *c)
{
	free(c->items);
	*c = (struct candidates){};
}

struct candidate *
candidates_find(const struct candidates *c, const struct endpoint *endpoint)
{
	for (uint16_t i = 0; i < c->n; i++)
		if (endpoint_equal(&c->items[i].endpoint, endpoint))
			return &c->items[i];
	return NULL;
}

static bool
is_usable_v4(const struct addr *addr)
{
	// "This network", multicast and all above it with the broadcast address.
	return addr->bytes[0] != 0 && addr->bytes[0] < 224;
}

static bool
is_usable_v6(const struct addr *addr, uint32_t scope_id)
{
	static const uint8_t unspecified[16];

	if (addr->bytes[0] == 0xff || memcmp(addr->bytes, unspecified, 16) == 0)
		return false;
	// Link-local addresses mean nothing without the link, which no list tells.
	return addr->bytes[0] != 0xfe || (addr->bytes[1] & 0xc0) != 0x80 || scope_id != 0;
}

bool
candidate_is_usable(const struct endpoint *endpoint)
{
	if (endpoint->port == 0)
		return false;
	if (endpoint->addr.family == ADDR_V4)
		return is_usable_v4(&endpoint->addr);
	return endpoint->addr.family == ADDR_V6 &&
	       is_usable_v6(&endpoint->addr, endpoint->scope_id);
}

static bool
has_reason(const struct candidate *c, const struct endpoint *keep, struct mono now)
{
	if (c->from_map || c->from_peer || c->is_listed || endpoint_equal(&c->endpoint, keep))
		return true;
	return !mono_is_never(c->last_heard) &&
	       mono_diff_ns(now, c->last_heard) <= PATH_SESSION_ACTIVE_NS;
}

void
candidates_prune(struct candidates *c, const struct endpoint *keep, struct mono now)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < c->n; i++)
		if (has_reason(&c->items[i], keep, now))
			c->items[kept++] = c->items[i];
	c->n = kept;
	if (kept == 0)
		candidates_fini(c);
}

static bool
is_only_heard(const struct candidate *c, const struct endpoint *keep)
{
	return !c->from_map && !c->from_peer && !c->is_listed &&
	       !endpoint_equal(&c->endpoint, keep);
}

// The lists are bounded, so there is always one that was only heard when there is no room.
static void
evict(struct candidates *c, const struct endpoint *keep)
{
	struct candidate *oldest = NULL;

	for (uint16_t i = 0; i < c->n; i++) {
		struct candidate *item = &c->items[i];

		if (is_only_heard(item, keep) &&
			(oldest == NULL || item->last_heard.ns < oldest->last_heard.ns))
			oldest = item;
	}
	if (oldest != NULL)
		*oldest = c->items[--c->n];
}

// NULL: no memory.
static struct candidate *
add(struct candidates *c,
	const struct endpoint *endpoint,
	const struct endpoint *keep,
	struct mono now)
{
	if (c->n >= PATH_MAX_CANDIDATES)
		candidates_prune(c, keep, now);
	if (c->n >= CANDIDATES_MAX)
		evict(c, keep);
	if (c->n >= CANDIDATES_MAX)
		return NULL;
	if (c->n == c->room) {
		uint16_t room = c->room == 0 ? 4 : 2 * c->room;
		struct candidate *items = realloc(c->items, room * sizeof(items[0]));

		if (items == NULL)
			return NULL;
		c->items = items;
		c->room = room;
	}
	c->items[c->n] = (struct candidate){ .endpoint = *endpoint };
	return &c->items[c->n++];
}

static bool *
reason_of(struct candidate *c, enum candidate_list list)
{
	return list == CANDIDATES_OF_MAP ? &c->from_map : &c->from_peer;
}

// Whether all of the list has a place.
static bool
mark_listed(struct candidates *c,
	const struct endpoint *endpoints,
	size_t n,
	const struct endpoint *keep,
	struct mono now)
{
	size_t taken = 0;

	for (size_t i = 0; i < n && taken < CANDIDATES_MAX_LISTED; i++) {
		struct candidate *item;

		if (!candidate_is_usable(&endpoints[i]))
			continue;
		item = candidates_find(c, &endpoints[i]);
		if (item == NULL) {
			item = add(c, &endpoints[i], keep, now);
			if (item == NULL)
				return false;
		}
		if (!item->is_listed)
			taken++;
		item->is_listed = true;
	}
	return true;
}

int
candidates_take_list(struct candidates *c,
	enum candidate_list list,
	const struct endpoint *endpoints,
	size_t n,
	const struct endpoint *keep,
	bool *ret_changed,
	struct mono now)
{
	bool complete;

	*ret_changed = false;
	complete = mark_listed(c, endpoints, n, keep, now);
	for (uint16_t i = 0; i < c->n; i++) {
		bool *reason = reason_of(&c->items[i], list);

		*ret_changed |= *reason != c->items[i].is_listed;
		*reason = c->items[i].is_listed;
		c->items[i].is_listed = false;
	}
	candidates_prune(c, keep, now);
	return complete ? 0 : -ENOMEM;
}

bool
candidates_hear(struct candidates *c,
	const struct endpoint *endpoint,
	const uint8_t *txid,
	const struct endpoint *keep,
	struct mono now)
{
	struct candidate *item = candidates_find(c, endpoint);

	if (item == NULL)
		item = add(c, endpoint, keep, now);
	if (item == NULL)
		return false;
	if (txid != NULL && item->has_heard_txid &&
		memcmp(item->heard_txid, txid, DISCO_TXID_LEN) == 0)
		return true;
	if (txid != NULL) {
		memcpy(item->heard_txid, txid, DISCO_TXID_LEN);
		item->has_heard_txid = true;
	}
	item->last_heard = now;
	return false;
}

void
candidates_restart(struct candidates *c)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < c->n; i++)
		if (c->items[i].from_map)
			c->items[kept++] = (struct candidate){
				.endpoint = c->items[i].endpoint,
				.from_map = true,
			};
	c->n = kept;
}

void
candidates_forget_pings(struct candidates *c)
{
	for (uint16_t i = 0; i < c->n; i++)
		c->items[i].last_ping = (struct mono){};
}
