/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"

struct rows *
rows_create(size_t max_peers, size_t max_prefixes)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (rows == NULL)
		return NULL;
	rows->peers = calloc(max_peers + 1, sizeof(rows->peers[0]));
	rows->prefixes = calloc(max_prefixes + 1, sizeof(rows->prefixes[0]));
	if (rows->peers == NULL || rows->prefixes == NULL) {
		rows_destroy(rows);
		return NULL;
	}
	return rows;
}

void
rows_destroy(struct rows *rows)
{
	if (rows == NULL)
		return;
	free(rows->peers);
	free(rows->prefixes);
	acl_block_unref(rows->filter);
	free(rows);
}

void
rows_set_filter(struct rows *rows, struct acl_block *filter)
{
	acl_block_ref(filter);
	acl_block_unref(rows->filter);
	rows->filter = filter;
}

void
rows_add_peer(struct rows *rows, uint32_t number, const struct public_key *key)
{
	rows->peers[rows->n_peers++] = (struct row_peer){ .number = number, .key = *key };
}

void
rows_add_prefix(struct rows *rows, const struct prefix *prefix, uint32_t to)
{
	struct prefix p = prefix_mask(*prefix);

	rows->prefixes[rows->n_prefixes++] = (struct shm_prefix_row){
		.addr = shm_addr_of(&p.addr), .to = to, .family = p.addr.family, .len = p.len
	};
}

static int
compare_peers(const void *a, const void *b)
{
	uint32_t x = ((const struct row_peer *)a)->number, y = ((const struct row_peer *)b)->number;

	return x < y ? -1 : x > y;
}

static int
compare_prefixes(const struct shm_prefix_row *x, const struct shm_prefix_row *y)
{
	int order;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	order = memcmp(x->addr.bytes, y->addr.bytes, sizeof(x->addr.bytes));
	if (order != 0)
		return order;
	return x->len < y->len ? -1 : x->len > y->len;
}

// The host first, then the lowest peer, then nobody: the first of equal prefixes is kept.
static int
compare_rows(const void *a, const void *b)
{
	const struct shm_prefix_row *x = a, *y = b;
	int order = compare_prefixes(x, y);

	if (order != 0)
		return order;
	if ((x->to == SHM_TO_HOST) != (y->to == SHM_TO_HOST))
		return x->to == SHM_TO_HOST ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

void
rows_seal(struct rows *rows)
{
	size_t kept = 0;

	qsort(rows->peers, rows->n_peers, sizeof(rows->peers[0]), compare_peers);
	qsort(rows->prefixes, rows->n_prefixes, sizeof(rows->prefixes[0]), compare_rows);
	for (size_t i = 0; i < rows->n_prefixes; i++)
		if (kept == 0 ||
			compare_prefixes(&rows->prefixes[kept - 1], &rows->prefixes[i]) != 0)
			rows->prefixes[kept++] = rows->prefixes[i];
	rows->n_prefixes = kept;
}

bool
rows_equal(const struct rows *a, const struct rows *b)
{
	return a->n_peers == b->n_peers && a->n_prefixes == b->n_prefixes &&
	       memcmp(&a->settings, &b->settings, sizeof(a->settings)) == 0 &&
	       memcmp(a->peers, b->peers, a->n_peers * sizeof(a->peers[0])) == 0 &&
	       memcmp(a->prefixes, b->prefixes, a->n_prefixes * sizeof(a->prefixes[0])) == 0 &&
	       acl_block_equal(a->filter, b->filter);
}

void
rows_walk_init(struct rows_walk *walk, const struct rows *from, const struct rows *to)
{
	*walk = (struct rows_walk){ .from = from, .to = to };
	walk->filter_said = acl_block_equal(from != NULL ? from->filter : NULL, to->filter);
}

static bool
next_settings(struct rows_walk *w, struct shm_command *c)
{
	if (w->settings_said)
		return false;
	w->settings_said = true;
	if (w->from != NULL &&
		memcmp(&w->from->settings, &w->to->settings, sizeof(w->to->settings)) == 0)
		return false;
	c->kind = SHM_CMD_SETTINGS;
	c->settings = w->to->settings;
	return true;
}

/* Both lists are sorted: whichever is lower is only in its list. */
static bool
next_peer(struct rows_walk *w, struct shm_command *c)
{
	size_t n_from = w->from != NULL ? w->from->n_peers : 0;

	while (w->peer_from < n_from || w->peer_to < w->to->n_peers) {
		const struct row_peer *old =
			w->peer_from < n_from ? &w->from->peers[w->peer_from] : NULL;
		const struct row_peer *new =
			w->peer_to < w->to->n_peers ? &w->to->peers[w->peer_to] : NULL;

		if (new == NULL || (old != NULL && old->number < new->number)) {
			w->peer_from++;
			c->kind = SHM_CMD_PEER_GONE;
			c->one = (struct shm_cmd_one_peer){ .peer = old->number };
			return true;
		}
		w->peer_to++;
		if (old != NULL && old->number == new->number) {
			w->peer_from++;
			if (memcmp(&old->key, &new->key, sizeof(old->key)) == 0)
				continue;
		}
		c->kind = SHM_CMD_PEER;
		c->peer = (struct shm_cmd_peer){ .peer = new->number };
		memcpy(c->peer.public_key, new->key.bytes, KEY_LEN);
		return true;
	}
	return false;
}

static bool
next_prefix(struct rows_walk *w, struct shm_command *c)
{
	size_t n_from = w->from != NULL ? w->from->n_prefixes : 0;

	while (w->prefix_from < n_from || w->prefix_to < w->to->n_prefixes) {
		const struct shm_prefix_row *old =
			w->prefix_from < n_from ? &w->from->prefixes[w->prefix_from] : NULL;
		const struct shm_prefix_row *new =
			w->prefix_to < w->to->n_prefixes ? &w->to->prefixes[w->prefix_to] : NULL;
		int order = old == NULL ? 1 : new == NULL ? -1 : compare_prefixes(old, new);

		if (order < 0) {
			w->prefix_from++;
			c->kind = SHM_CMD_PREFIX_GONE;
			c->prefix = *old;
			return true;
		}
		w->prefix_to++;
		if (order == 0) {
			w->prefix_from++;
			if (old->to == new->to)
				continue;
		}
		c->kind = SHM_CMD_PREFIX;
		c->prefix = *new;
		return true;
	}
	return false;
}

static bool
next_filter_part(struct rows_walk *w, struct shm_command *c)
{
	const struct acl_block *filter = w->to->filter;
	uint32_t total = filter != NULL ? (uint32_t)filter->len : 0, left = total - w->filter_at;
	uint32_t part = left < SHM_FILTER_PART ? left : SHM_FILTER_PART;

	if (w->filter_said)
		return false;
	c->kind = SHM_CMD_FILTER;
	c->filter = (struct shm_cmd_filter){ .offset = w->filter_at, .total = total };
	if (part > 0)
		memcpy(c->filter.bytes, filter->bytes + w->filter_at, part);
	w->filter_at += part;
	w->filter_said = w->filter_at == total;
	return true;
}

bool
rows_walk_next(struct rows_walk *walk, struct shm_command *ret_command)
{
	*ret_command = (struct shm_command){};
	return next_settings(walk, ret_command) || next_peer(walk, ret_command) ||
	       next_prefix(walk, ret_command) || next_filter_part(walk, ret_command);
}
