/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/ratelimit.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/crypto/hash.h"
#include "lib/wg/limits.h"

#define COST_NS (NS_PER_S / WG_RATE_PER_SECOND)
#define FULL_NS (COST_NS * WG_RATE_BURST)
#define IDLE_NS NS_PER_S

static_assert(IDLE_NS >= FULL_NS, "a source that is forgotten has a full bucket anyway");

void
wg_ratelimit_init(struct wg_ratelimit *limit,
	struct wg_ratelimit_entry *entries,
	uint32_t capacity,
	const uint8_t random[static WG_RATELIMIT_KEY_LEN])
{
	assert(capacity > 0 && (capacity & (capacity - 1)) == 0);
	*limit = (struct wg_ratelimit){ .entries = entries, .capacity = capacity };
	memcpy(limit->key, random, sizeof(limit->key));
}

// What makes a source: an IPv4 address, or a /64, which is what one IPv6 subscriber has at least.
static struct wg_ratelimit_entry
source_of(const struct addr *addr)
{
	struct wg_ratelimit_entry e = { .family = addr->family };

	memcpy(e.source, addr->bytes, addr->family == ADDR_V4 ? 4 : 8);
	return e;
}

static bool
same_source(const struct wg_ratelimit_entry *a, const struct wg_ratelimit_entry *b)
{
	return a->family == b->family && memcmp(a->source, b->source, sizeof(a->source)) == 0;
}

// The chain that a source belongs to: where the index of its first entry is.
static uint32_t *
chain_of(struct wg_ratelimit *limit, const struct wg_ratelimit_entry *e)
{
	uint8_t text[sizeof(e->source) + 1], mac[MAC_LEN];

	memcpy(text, e->source, sizeof(e->source));
	text[sizeof(e->source)] = e->family;
	mac_blake2s(mac, limit->key, sizeof(limit->key), text, sizeof(text));
	return &limit->entries[load_le32(mac) & (limit->capacity - 1)].head;
}

// The link that points at the source's entry, or the 0 at the end of its chain.
static uint32_t *
find_link(struct wg_ratelimit *limit, const struct wg_ratelimit_entry *e)
{
	uint32_t *link = chain_of(limit, e);

	while (*link != 0 && !same_source(&limit->entries[*link - 1], e))
		link = &limit->entries[*link - 1].next;
	return link;
}

static void
forget(struct wg_ratelimit *limit, uint32_t i)
{
	struct wg_ratelimit_entry *e = &limit->entries[i];

	*find_link(limit, e) = e->next;
	e->updated = (struct mono){};
	e->next = limit->free;
	limit->free = i + 1;
	limit->count--;
}

void
wg_ratelimit_collect(struct wg_ratelimit *limit, struct mono now)
{
	limit->collected = now;
	for (uint32_t i = 0; i < limit->touched && limit->count > 0; i++) {
		const struct wg_ratelimit_entry *e = &limit->entries[i];

		if (!mono_is_never(e->updated) && mono_diff_ns(now, e->updated) > IDLE_NS)
			forget(limit, i);
	}
	if (limit->count == 0) // nothing to keep: the next sweep is short again
		limit->touched = limit->free = 0;
}

// A free entry's index + 1, or 0 when there is none.
static uint32_t
take_free(struct wg_ratelimit *limit)
{
	uint32_t taken = limit->free;

	if (taken != 0)
		limit->free = limit->entries[taken - 1].next;
	else if (limit->touched < limit->capacity)
		taken = ++limit->touched;
	return taken;
}

// Add a source with a full bucket, at the end of its chain.
static struct wg_ratelimit_entry *
remember(struct wg_ratelimit *limit,
	uint32_t *link,
	const struct wg_ratelimit_entry *source,
	struct mono now)
{
	struct wg_ratelimit_entry *e;
	uint32_t taken = take_free(limit);

	if (taken == 0)
		return NULL;
	*link = taken;
	e = &limit->entries[taken - 1];
	memcpy(e->source, source->source, sizeof(e->source));
	e->family = source->family;
	e->updated = now;
	e->tokens_ns = FULL_NS;
	e->next = 0;
	limit->count++;
	return e;
}

// Tokens are time: what has passed is added, up to a burst.
static void
refill(struct wg_ratelimit_entry *e, struct mono now)
{
	int64_t passed = mono_diff_ns(now, e->updated);

	if (passed <= 0)
		return;
	e->tokens_ns = passed >= FULL_NS - e->tokens_ns ? FULL_NS : e->tokens_ns + passed;
	e->updated = now;
}

bool
wg_ratelimit_accept(struct wg_ratelimit *limit, const struct addr *source, struct mono now)
{
	struct wg_ratelimit_entry key = source_of(source), *e;
	uint32_t *link;

	if (mono_diff_ns(now, limit->collected) >= IDLE_NS)
		wg_ratelimit_collect(limit, now);
	link = find_link(limit, &key);
	e = *link != 0 ? &limit->entries[*link - 1] : remember(limit, link, &key, now);
	if (e == NULL)
		return false;
	refill(e, now);
	if (e->tokens_ns < COST_NS)
		return false;
	e->tokens_ns -= COST_NS;
	return true;
}
