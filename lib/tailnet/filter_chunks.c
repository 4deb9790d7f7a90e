/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/filter_chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"

#define BASE_NAME "base" // PacketFilter is the list of this name
#define ALL_NAME  "*"

// A change made ready, so that a bad list leaves everything as it was.
struct change {
	const char *name;
	bool deletes;
	struct filter_rules rules;
};

struct changes {
	struct change *list;
	size_t n;
	bool clears; // first of all
};

// The index of a name, or where it belongs.
static size_t
place_of(const struct filter_chunks *c, const char *name, bool *ret_found)
{
	size_t i = 0;
	int order = 1;

	while (i < c->n && (order = strcmp(c->chunks[i].name, name)) < 0)
		i++;
	*ret_found = i < c->n && order == 0;
	return i;
}

static void
chunk_fini(struct filter_chunk *chunk)
{
	filter_rules_fini(&chunk->rules);
	free(chunk->name);
}

static void
remove_all(struct filter_chunks *c)
{
	for (size_t i = 0; i < c->n; i++)
		chunk_fini(&c->chunks[i]);
	c->n = 0;
}

static void
remove_at(struct filter_chunks *c, size_t i)
{
	chunk_fini(&c->chunks[i]);
	memmove(c->chunks + i, c->chunks + i + 1, (c->n - i - 1) * sizeof(*c->chunks));
	c->n--;
}

// `name` and the rules become the list's; there is room.
static void
insert_at(struct filter_chunks *c, size_t i, char *name, struct change *change)
{
	memmove(c->chunks + i + 1, c->chunks + i, (c->n - i) * sizeof(*c->chunks));
	c->chunks[i] = (struct filter_chunk){ .name = name, .rules = change->rules };
	change->rules = (struct filter_rules){};
	c->n++;
}

static void
replace_at(struct filter_chunks *c, size_t i, struct change *change)
{
	filter_rules_fini(&c->chunks[i].rules);
	c->chunks[i].rules = change->rules;
	change->rules = (struct filter_rules){};
}

static void
apply_one(struct filter_chunks *c, struct change *change, char **name)
{
	bool found;
	size_t i = place_of(c, change->name, &found);

	if (change->deletes) {
		if (found)
			remove_at(c, i);
	} else if (found) {
		replace_at(c, i, change);
	} else {
		insert_at(c, i, *name, change);
		*name = NULL;
	}
}

// How many lists there may be while the changes are made.
static size_t
count_most(const struct filter_chunks *c, const struct changes *changes)
{
	size_t n = changes->clears ? 0 : c->n;

	for (size_t i = 0; i < changes->n; i++) {
		bool found;

		(void)place_of(c, changes->list[i].name, &found);
		n += !changes->list[i].deletes && (changes->clears || !found);
	}
	return n;
}

// Everything that can fail is done before the first change.
static int
apply_all(struct filter_chunks *c, struct changes *changes)
{
	struct filter_chunk *grown;
	char **names;
	int err = 0;

	if (count_most(c, changes) > FILTER_MAX_CHUNKS)
		return -E2BIG;
	grown = realloc(c->chunks, (c->n + changes->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	c->chunks = grown;
	names = calloc(changes->n + 1, sizeof(*names));
	if (names == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < changes->n; i++) {
		names[i] = strdup(changes->list[i].name);
		if (names[i] == NULL) {
			err = -ENOMEM;
			goto free_names;
		}
	}

	if (changes->clears)
		remove_all(c);
	for (size_t i = 0; i < changes->n; i++)
		apply_one(c, &changes->list[i], &names[i]);
free_names:
	for (size_t i = 0; i < changes->n; i++)
		free(names[i]);
	free(names);
	return err;
}

static int
prepare(struct changes *changes, const char *name, const json_t *value)
{
	struct change *change = &changes->list[changes->n];
	int err;

	change->name = name;
	change->deletes = json_is_null(value);
	if (!change->deletes) {
		err = filter_rules_parse(value, &change->rules);
		if (err < 0)
			return err;
	}
	changes->n++;
	return 0;
}

static int
prepare_all(struct changes *changes, const json_t *filter, json_t *filters)
{
	json_t *value;
	const char *name;
	int err = 0;

	if (filter != NULL)
		err = prepare(changes, BASE_NAME, filter);
	if (err < 0)
		return err;
	value = json_object_get(filters, ALL_NAME);
	if (value != NULL && json_is_null(value)) {
		// It also undoes this response's PacketFilter, which comes before.
		for (size_t i = 0; i < changes->n; i++)
			filter_rules_fini(&changes->list[i].rules);
		changes->n = 0;
		changes->clears = true;
	}
	json_object_foreach(filters, name, value)
	{
		if (strcmp(name, ALL_NAME) == 0) // with a list it is no list's name
			continue;
		err = prepare(changes, name, value);
		if (err < 0)
			return err;
	}
	return 0;
}

int
filter_chunks_apply(struct filter_chunks *c,
	const struct json_t *packet_filter,
	const struct json_t *packet_filters)
{
	const json_t *filter = json_is_null(packet_filter) ? NULL : packet_filter;
	json_t *filters = json_is_null(packet_filters) ? NULL : (json_t *)packet_filters;
	struct changes changes = {};
	int err;

	if (filters != NULL && !json_is_object(filters))
		return ERR_BAD_FORMAT;
	if (json_object_size(filters) > FILTER_MAX_CHUNKS)
		return -E2BIG;
	changes.list = calloc(json_object_size(filters) + 1, sizeof(*changes.list));
	if (changes.list == NULL)
		return -ENOMEM;
	err = prepare_all(&changes, filter, filters);
	if (err == 0)
		err = apply_all(c, &changes);
	if (err == 0 && (changes.n > 0 || changes.clears))
		c->has_any = true;
	for (size_t i = 0; i < changes.n; i++)
		filter_rules_fini(&changes.list[i].rules);
	free(changes.list);
	return err;
}

int
filter_chunks_join(const struct filter_chunks *c, struct filter_rules *ret_rules)
{
	struct filter_rules joined = {};
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->chunks[i].rules.n;
	if (n > FILTER_MAX_RULES)
		return -E2BIG;
	joined.rules = calloc(n + 1, sizeof(*joined.rules));
	if (joined.rules == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		const struct filter_rules *r = &c->chunks[i].rules;

		if (r->n > 0)
			memcpy(joined.rules + joined.n, r->rules, r->n * sizeof(*r->rules));
		joined.n += r->n;
		joined.n_skipped += r->n_skipped;
		joined.is_rejected = joined.is_rejected || r->is_rejected;
	}
	// One list with SrcBits and none is in force, as in the reference, which joins first.
	if (joined.is_rejected)
		joined.n = 0;
	*ret_rules = joined;
	return 0;
}

void
filter_chunks_release(struct filter_rules *joined)
{
	if (joined == NULL)
		return;
	free(joined->rules);
	*joined = (struct filter_rules){};
}

void
filter_chunks_fini(struct filter_chunks *c)
{
	if (c == NULL)
		return;
	remove_all(c);
	free(c->chunks);
	*c = (struct filter_chunks){};
}
