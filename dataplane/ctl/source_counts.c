/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/source_counts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

#define MIN_PLACES 64

void
source_counts_fini(struct source_counts *c)
{
	free(c->places);
	c->places = NULL;
	c->n_places = c->n_used = 0;
}

static struct counted_source
key_of(uint8_t family, const uint8_t *bytes, uint16_t port)
{
	struct counted_source key = { .family = family, .port = port };

	memcpy(key.bytes, bytes, family == 4 ? 4 : 16);
	return key;
}

static size_t
home(const struct source_counts *c, const struct counted_source *key)
{
	uint64_t x = (load_le64(key->bytes) ^ c->seed) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 32;
	x = (x ^ load_le64(key->bytes + 8) ^ key->family ^ (uint64_t)key->port << 16) *
	    UINT64_C(0xbf58476d1ce4e5b9);
	return (x ^ x >> 29) & (c->n_places - 1);
}

static bool
is_same(const struct counted_source *a, const struct counted_source *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

// The place of a key, or the free one where it belongs.  There is always a free one.
static struct counted_source *
place_of(const struct source_counts *c, const struct counted_source *key)
{
	size_t i = home(c, key);

	while (c->places[i].family != 0 && !is_same(&c->places[i], key))
		i = (i + 1) & (c->n_places - 1);
	return &c->places[i];
}

static bool
grow(struct source_counts *c)
{
	struct source_counts wider = { .seed = c->seed, .n_used = c->n_used };

	wider.n_places = c->n_places == 0 ? MIN_PLACES : 2 * c->n_places;
	wider.places = calloc(wider.n_places, sizeof(*wider.places));
	if (wider.places == NULL)
		return false;
	for (size_t i = 0; i < c->n_places; i++)
		if (c->places[i].family != 0)
			*place_of(&wider, &c->places[i]) = c->places[i];
	free(c->places);
	*c = wider;
	return true;
}

struct counted_source *
source_counts_find(const struct source_counts *c,
	uint8_t family,
	const uint8_t *bytes,
	uint16_t port)
{
	struct counted_source key = key_of(family, bytes, port), *place;

	if (c->n_places == 0)
		return NULL;
	place = place_of(c, &key);
	return place->family != 0 ? place : NULL;
}

struct counted_source *
source_counts_get(struct source_counts *c, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	struct counted_source key = key_of(family, bytes, port), *place;

	if (c->n_used * 2 >= c->n_places && !grow(c))
		return NULL;
	place = place_of(c, &key);
	if (place->family == 0) {
		*place = key;
		c->n_used++;
	}
	return place;
}

void
source_counts_remove(struct source_counts *c, struct counted_source *entry)
{
	size_t mask = c->n_places - 1, hole = (size_t)(entry - c->places);

	// What was displaced by it moves back, so that no look-up ends at the hole.
	for (size_t i = (hole + 1) & mask; c->places[i].family != 0; i = (i + 1) & mask) {
		size_t wish = home(c, &c->places[i]);

		if (((i - wish) & mask) < ((i - hole) & mask))
			continue;
		c->places[hole] = c->places[i];
		hole = i;
	}
	c->places[hole] = (struct counted_source){};
	c->n_used--;
}
