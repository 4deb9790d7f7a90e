/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/steering_state.h"

struct steering *
steering_create(const struct steering_sink *sink, uint64_t seed)
{
	struct steering *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->endpoints = calloc(SHM_MAX_PEERS, sizeof(*s->endpoints));
	if (s->endpoints == NULL) {
		free(s);
		return NULL;
	}
	s->sink = *sink;
	s->sources.seed = seed;
	return s;
}

void
steering_destroy(struct steering *s)
{
	if (s == NULL)
		return;
	free(s->prefixes.rows);
	free(s->prefixes.next);
	free(s->addresses.rows);
	free(s->addresses.next);
	source_counts_fini(&s->sources);
	free(s->endpoints);
	free(s);
}

void
steering_result(struct steering *s, int err)
{
	if (err >= 0)
		return;
	s->n_failed++;
	s->last_err = err;
}

uint64_t
steering_failures(struct steering *s, int *ret_err)
{
	uint64_t n = s->n_failed;

	*ret_err = s->last_err;
	s->n_failed = 0;
	return n;
}

// --- prefixes -----------------------------------------------------------------------------------

static int
compare(const struct steering_prefix *a, const struct steering_prefix *b)
{
	int diff = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	if (diff == 0)
		diff = (int)a->family - (int)b->family;
	if (diff == 0)
		diff = (int)a->len - (int)b->len;
	return diff;
}

static bool
covers(const struct steering_prefix *wide, const struct steering_prefix *narrow)
{
	unsigned n = wide->len / 8, rest = wide->len % 8;

	if (wide->len > narrow->len || memcmp(wide->bytes, narrow->bytes, n) != 0)
		return false;
	return rest == 0 || ((wide->bytes[n] ^ narrow->bytes[n]) & (0xff00 >> rest) & 0xff) == 0;
}

// The prefixes around the one that is looked at, the narrowest last, by family.
struct around {
	struct steering_prefix of[2][129];
	size_t n[2];
};

// What the prefixes that were entered say of one that comes behind them.
static bool
leads_to_tunnel(struct around *a, const struct steering_prefix *p)
{
	unsigned f = p->family == 6;

	while (a->n[f] > 0 && !covers(&a->of[f][a->n[f] - 1], p))
		a->n[f]--;
	return a->n[f] > 0 && a->of[f][a->n[f] - 1].redirect;
}

static void
enter(struct around *a, const struct steering_prefix *p)
{
	unsigned f = p->family == 6;

	if (a->n[f] < sizeof(a->of[f]) / sizeof(a->of[f][0]))
		a->of[f][a->n[f]++] = *p;
}

// Those of the rows that say something else than the next wider prefix.
static size_t
reduce(const struct shm_prefix_row *rows, size_t n, struct steering_prefix *to)
{
	struct around around = {};
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct steering_prefix p = { .family = rows[i].family,
			.len = rows[i].len,
			.redirect = rows[i].to != SHM_TO_HOST };

		memcpy(p.bytes, rows[i].addr.bytes, sizeof(p.bytes));
		if (p.redirect != leads_to_tunnel(&around, &p))
			to[kept++] = p;
		enter(&around, &p);
	}
	return kept;
}

static void
put(struct steering *s, const struct steering_prefix *p)
{
	steering_result(
		s, s->sink.put_prefix(s->sink.context, p->family, p->bytes, p->len, p->redirect));
}

static void delete (struct steering *s, const struct steering_prefix *p)
{
	steering_result(s, s->sink.delete_prefix(s->sink.context, p->family, p->bytes, p->len));
}

/*
 * In this order.  A row that leaves while a wider one comes that says the same leaves last, so that
 * its packets never go another way in between.
 */
enum step {
	LOSE,  /* before the tables: exceptions come, what no longer leads to the tunnel leaves */
	GAIN,  /* after them: what leads to the tunnel comes */
	LEAVE, /* the rest leaves */
};

static void
write_differences(struct steering *s, enum step step)
{
	const struct steering_prefixes *p = &s->prefixes;
	struct around around = {};
	size_t i = 0, k = 0;

	while (i < p->n || k < p->n_next) {
		const struct steering_prefix *old = &p->rows[i], *now = &p->next[k];
		int diff = i == p->n ? 1 : k == p->n_next ? -1 : compare(old, now);

		if (diff < 0) {
			bool is_lost = old->redirect && !leads_to_tunnel(&around, old);

			if (step == (is_lost ? LOSE : LEAVE))
				delete (s, old);
			i++;
			continue;
		}
		if ((diff > 0 || old->redirect != now->redirect) &&
			step == (now->redirect ? GAIN : LOSE))
			put(s, now);
		leads_to_tunnel(&around, now); // what does not cover it is left behind
		enter(&around, now);
		i += diff == 0;
		k++;
	}
}

void
steering_prefixes_before(struct steering *s, const struct shm_prefix_row *rows, size_t n)
{
	struct steering_prefixes *p = &s->prefixes;

	free(p->next);
	p->next = malloc((n + 1) * sizeof(*p->next));
	p->is_pending = p->next != NULL;
	if (!p->is_pending) {
		steering_result(s, -ENOMEM);
		return;
	}
	p->n_next = reduce(rows, n, p->next);
	write_differences(s, LOSE);
}

void
steering_prefixes_after(struct steering *s)
{
	struct steering_prefixes *p = &s->prefixes;

	if (!p->is_pending)
		return;
	write_differences(s, GAIN);
	write_differences(s, LEAVE);
	free(p->rows);
	p->rows = p->next;
	p->n = p->n_next;
	p->next = NULL;
	p->n_next = 0;
	p->is_pending = false;
}

// --- sources ------------------------------------------------------------------------------------

static void
add_source(struct steering *s, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	struct counted_source *entry = source_counts_get(&s->sources, family, bytes, port);

	if (entry == NULL)
		steering_result(s, -ENOMEM);
	else if (entry->count++ == 0)
		steering_result(s, s->sink.put_source(s->sink.context, family, bytes, port));
}

static void
remove_source(struct steering *s, uint8_t family, const uint8_t *bytes, uint16_t port)
{
	struct counted_source *entry = source_counts_find(&s->sources, family, bytes, port);

	if (entry == NULL || --entry->count > 0)
		return;
	steering_result(s, s->sink.delete_source(s->sink.context, family, bytes, port));
	source_counts_remove(&s->sources, entry);
}

void
steering_path(struct steering *s, uint32_t peer, const struct shm_path *path)
{
	struct steering_endpoint now = {}, old = s->endpoints[peer];

	if (path->family == 4 || path->family == 6) {
		now = (struct steering_endpoint){ .family = path->family,
			.port = path->remote_port };
		memcpy(now.bytes, path->remote.bytes, path->family == 4 ? 4 : 16);
	}
	s->endpoints[peer] = now;
	// What comes from the very endpoint has limits of its own; a peer whose port has changed is
	// still better off than strangers.
	if (now.family != 0) {
		add_source(s, now.family, now.bytes, now.port);
		add_source(s, now.family, now.bytes, 0);
	}
	if (old.family != 0) {
		remove_source(s, old.family, old.bytes, old.port);
		remove_source(s, old.family, old.bytes, 0);
	}
}

void
steering_settle(struct steering *s)
{
	steering_result(s, s->sink.sweep(s->sink.context));
}
