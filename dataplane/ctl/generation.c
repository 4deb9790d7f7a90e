/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/filter.h"
#include "dataplane/ctl/retire.h"
#include "dataplane/ctl/steering.h"

#define MIN_MTU 576

static struct shm_applied_half *
half(const struct apply *a, bool in_use)
{
	struct shm_state *state = a->sessions.state;
	uint32_t which = atomic_load_explicit(&state->applied_which, memory_order_acquire) & 1;

	return &state->applied[in_use ? which : which ^ 1];
}

bool
generation_has_peer(const struct apply *a, uint32_t peer)
{
	const struct shm_applied_half *applied = half(a, true);

	return peer < applied->n_peers && (applied->peers[peer].flags & SHM_PEER_USED) != 0;
}

static void
refuse(struct apply *a, enum shm_refusal why)
{
	if (a->open_refusal == 0)
		a->open_refusal = why;
}

static void
begin(struct apply *a, const struct shm_command *cmd)
{
	const struct shm_applied_half *applied = half(a, true);
	struct shm_applied_half *next = half(a, false);

	a->open_generation = cmd->generation;
	a->open_full = cmd->begin.full != 0;
	a->open_refusal = 0;
	memset(a->path_seen, 0, SHM_MAX_PEERS / 64 * sizeof(*a->path_seen));

	// Only as much as is used: looking at a page makes it.
	memset(next->peers, 0, next->n_peers * sizeof(next->peers[0]));
	next->leaving = 0;
	next->n_peers = 0;
	next->n_prefixes = 0;
	next->settings = applied->settings;
	if (!a->open_full) {
		if (cmd->begin.base != applied->generation)
			refuse(a, SHM_REFUSED_BASE);
		memcpy(next->peers, applied->peers, applied->n_peers * sizeof(next->peers[0]));
		memcpy(next->prefixes, applied->prefixes,
			applied->n_prefixes * sizeof(next->prefixes[0]));
		next->n_peers = applied->n_peers;
		next->n_prefixes = applied->n_prefixes;
	}
	a->open_base_prefixes = next->n_prefixes;
	filter_begin(a, applied, next);
}

static void
add_peer(struct apply *a, const struct shm_cmd_peer *cmd)
{
	struct shm_applied_half *next = half(a, false);

	if (cmd->peer >= SHM_MAX_PEERS) {
		refuse(a, SHM_REFUSED_ROW);
		return;
	}
	if (cmd->peer >= next->n_peers)
		next->n_peers = cmd->peer + 1;
	next->peers[cmd->peer].flags = SHM_PEER_USED;
	memcpy(next->peers[cmd->peer].public_key, cmd->public_key, SHM_KEY_LEN);
}

#define PREFIX_GONE UINT32_MAX // `to` of a row that a delta takes away

// Not a peer.
static bool
is_place(uint32_t to)
{
	return to == SHM_TO_HOST || to == SHM_TO_NOBODY;
}

static void
add_prefix(struct apply *a, const struct shm_prefix_row *row, bool gone)
{
	struct shm_applied_half *next = half(a, false);
	unsigned bits = row->family == 4 ? 32 : row->family == 6 ? 128 : 0;
	struct shm_prefix_row *dst;

	if (bits == 0 || row->len > bits ||
		(!gone && row->to >= SHM_MAX_PEERS && !is_place(row->to))) {
		refuse(a, SHM_REFUSED_ROW);
		return;
	}
	if (next->n_prefixes == SHM_MAX_PREFIXES) {
		refuse(a, SHM_REFUSED_FULL);
		return;
	}
	dst = &next->prefixes[next->n_prefixes++];
	*dst = *row;
	dst->pad = 0;
	if (gone)
		dst->to = PREFIX_GONE;
	// Host bits do not count: cleared, so that equal prefixes are equal bytes.
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = row->len > i * 8 ? row->len - i * 8 : 0;

		dst->addr.bytes[i] &= kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);
	}
}

void
generation_row(struct apply *a, const struct shm_command *cmd)
{
	struct shm_applied_half *next = half(a, false);

	if (cmd->kind == SHM_CMD_BEGIN) {
		begin(a, cmd);
		return;
	}
	if (a->open_generation == 0 || cmd->generation != a->open_generation)
		return; // the commit that belongs to it will be refused
	switch ((enum shm_command_kind)cmd->kind) {
	case SHM_CMD_SETTINGS:
		if (cmd->settings.mtu < MIN_MTU || cmd->settings.mtu > a->max_mtu ||
			cmd->settings.filter > SHM_FILTER_SHIELDS_UP)
			refuse(a, SHM_REFUSED_ROW);
		else
			next->settings = cmd->settings;
		break;
	case SHM_CMD_PEER:
		add_peer(a, &cmd->peer);
		break;
	case SHM_CMD_PEER_GONE:
		if (cmd->one.peer < next->n_peers)
			memset(&next->peers[cmd->one.peer], 0, sizeof(next->peers[0]));
		break;
	case SHM_CMD_PREFIX:
	case SHM_CMD_PREFIX_GONE:
		add_prefix(a, &cmd->prefix, cmd->kind == SHM_CMD_PREFIX_GONE);
		break;
	case SHM_CMD_FILTER:
		if (!filter_part(a, half(a, true), next, &cmd->filter))
			refuse(a, SHM_REFUSED_FILTER);
		break;
	default:
		break;
	}
}

// A row and when it came, to let the later of two equal prefixes win.
struct dated_row {
	struct shm_prefix_row row;
	uint32_t age;
};

static int
compare_rows(const void *x, const void *y)
{
	const struct dated_row *a = x, *b = y;
	int diff = memcmp(a->row.addr.bytes, b->row.addr.bytes, sizeof(a->row.addr.bytes));

	if (diff == 0)
		diff = (int)a->row.family - (int)b->row.family;
	if (diff == 0)
		diff = (int)a->row.len - (int)b->row.len;
	if (diff == 0)
		diff = a->age < b->age ? -1 : 1;
	return diff;
}

static bool
same_prefix(const struct shm_prefix_row *a, const struct shm_prefix_row *b)
{
	return a->family == b->family && a->len == b->len &&
	       memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes)) == 0;
}

/*
 * Settle the workbench's prefixes: of equal ones an old row gives way to a new one, two new ones
 * are refused, rows marked as gone go, and so do those of peers that went.
 */
static uint32_t
settle_prefixes(struct apply *a, struct shm_applied_half *next)
{
	struct dated_row *rows = malloc((next->n_prefixes + 1) * sizeof(*rows));
	uint32_t kept = 0;

	if (rows == NULL)
		return SHM_REFUSED_FULL;
	for (uint32_t i = 0; i < next->n_prefixes; i++)
		rows[i] = (struct dated_row){ next->prefixes[i], i };
	qsort(rows, next->n_prefixes, sizeof(*rows), compare_rows);

	for (uint32_t i = 0; i < next->n_prefixes; i++) {
		const struct shm_prefix_row *row = &rows[i].row;
		bool is_last = i + 1 == next->n_prefixes || !same_prefix(row, &rows[i + 1].row);

		if (!is_last) {
			if (rows[i].age >= a->open_base_prefixes) {
				free(rows);
				return SHM_REFUSED_ROW;
			}
			continue;
		}
		if (row->to == PREFIX_GONE)
			continue;
		if (!is_place(row->to) &&
			(row->to >= next->n_peers ||
				(next->peers[row->to].flags & SHM_PEER_USED) == 0)) {
			if (rows[i].age < a->open_base_prefixes)
				continue; // its peer went with this generation
			free(rows);
			return SHM_REFUSED_PEER;
		}
		next->prefixes[kept++] = *row;
	}
	next->n_prefixes = kept;
	free(rows);
	return 0;
}

static bool
is_same_peer(const struct shm_applied_half *x, const struct shm_applied_half *y, uint32_t peer)
{
	return peer < y->n_peers && y->peers[peer].flags == x->peers[peer].flags &&
	       memcmp(x->peers[peer].public_key, y->peers[peer].public_key, SHM_KEY_LEN) == 0;
}

static bool
has_left(const struct shm_applied_half *old, const struct shm_applied_half *now, uint32_t peer)
{
	return (old->peers[peer].flags & SHM_PEER_USED) != 0 && !is_same_peer(old, now, peer);
}

// No session of whoever left serves anybody else.
static void
unlink_sessions(struct apply *a,
	const struct shm_applied_half *old,
	const struct shm_applied_half *now)
{
	for (uint32_t peer = 0; peer < old->n_peers; peer++) {
		uint64_t word = atomic_load_explicit(
			&a->sessions.state->keypairs[peer], memory_order_relaxed);
		const uint32_t slots[] = { shm_keypairs_previous(word), shm_keypairs_current(word),
			shm_keypairs_next(word) };

		if (word == 0 || !has_left(old, now, peer))
			continue;
		for (unsigned i = 0; i < 3; i++)
			if (session_unlink(&a->sessions, peer, slots[i]))
				apply_retire(a, slots[i]);
	}
}

static void
forget_counters(struct apply *a, uint32_t peer)
{
	struct shm_state *state = a->sessions.state;

	for (uint32_t i = 0; i < state->n_workers && i < SHM_MAX_WORKERS; i++)
		memset(&state->counters[i][peer], 0, sizeof(state->counters[i][peer]));
}

// Everything else that they left: path, waiting packets, counters; and the keys.
static void
forget_peers(struct apply *a, struct shm_applied_half *old, const struct shm_applied_half *now)
{
	static const struct shm_path no_path = {};

	for (uint32_t peer = 0; peer < old->n_peers; peer++) {
		if (!has_left(old, now, peer))
			continue;
		if ((a->path_seen[peer / 64] >> (peer % 64) & 1) == 0)
			apply_set_path(a, peer, &no_path);
		a->calls.give_up(a->calls.context, peer);
	}
	apply_flush_retired(a);
	for (uint32_t peer = 0; peer < old->n_peers; peer++)
		if (has_left(old, now, peer))
			forget_counters(a, peer);
	old->leaving = 0;
}

void
generation_finish_commit(struct apply *a)
{
	struct shm_applied_half *now = half(a, true), *old = half(a, false);

	if (old->leaving == 0 || old->n_peers > SHM_MAX_PEERS || now->n_peers > SHM_MAX_PEERS)
		return;
	unlink_sessions(a, old, now);
	forget_peers(a, old, now);
}

// Workers no longer look at the old tables once this has returned.
static void
publish(struct apply *a, const struct shm_applied_half *rows, struct tables *tables)
{
	const struct tables *old;

	// Never 0; and 2^32 generations take longer than a session lives.
	if (++a->tables_serial == 0)
		a->tables_serial = 1;
	tables->serial = a->tables_serial;
	if (a->steering != NULL)
		steering_prefixes_before(a->steering, rows->prefixes, rows->n_prefixes);
	old = atomic_exchange_explicit(a->published, tables, memory_order_acq_rel);

	quiescent_wait_workers(a->quiescent);
	tables_destroy((struct tables *)old);
	if (a->steering != NULL)
		steering_prefixes_after(a->steering);
}

static const struct shm_path *
path_of(const struct apply *a, uint32_t peer)
{
	const struct shm_path_row *row = &a->sessions.state->paths[peer];

	return &row->path[atomic_load_explicit(&row->which, memory_order_relaxed) & 1];
}

void
generation_steer_applied(struct apply *a)
{
	const struct shm_applied_half *applied = half(a, true);

	steering_prefixes_before(a->steering, applied->prefixes, applied->n_prefixes);
	steering_prefixes_after(a->steering);
	for (uint32_t peer = 0; peer < applied->n_peers; peer++)
		if (generation_has_peer(a, peer))
			steering_path(a->steering, peer, path_of(a, peer));
}

int
generation_publish_applied(struct apply *a)
{
	struct shm_applied_half *applied = half(a, true);
	struct tables *tables;
	int err;

	if (applied->n_peers > SHM_MAX_PEERS || applied->n_prefixes > SHM_MAX_PREFIXES)
		return -EINVAL;
	err = tables_create(applied->prefixes, applied->n_prefixes, &applied->settings,
		applied->generation, a->table_seed, &tables);
	if (err < 0)
		return err;
	tables->acl = filter_take_up(a, applied);
	publish(a, applied, tables);
	return 0;
}

uint32_t
generation_commit(struct apply *a, uint64_t generation)
{
	struct shm_applied_half *old = half(a, true), *next = half(a, false);
	struct shm_state *state = a->sessions.state;
	struct tables *tables;
	bool raises_shields;
	uint32_t refusal;

	if (a->open_generation == 0 || generation != a->open_generation || generation == 0)
		return SHM_REFUSED_BASE;
	a->open_generation = 0;
	refusal = a->open_refusal != 0 ? a->open_refusal : settle_prefixes(a, next);
	if (refusal == 0 && !filter_settle(a, next))
		refusal = SHM_REFUSED_FILTER;
	if (refusal != 0)
		return refusal;
	if (tables_create(next->prefixes, next->n_prefixes, &next->settings, generation,
		    a->table_seed, &tables) < 0)
		return SHM_REFUSED_FULL;
	tables->acl = filter_of(a, next);

	// Before the new tables: they may give a peer's number to somebody else.  A death from here
	// to the flip costs those peers their sessions, nothing more.
	unlink_sessions(a, old, next);
	raises_shields = old->settings.filter != SHM_FILTER_SHIELDS_UP &&
	                 next->settings.filter == SHM_FILTER_SHIELDS_UP;
	// By the new tables no worker may find a flow and remember it; by the old ones some may
	// have been opened meanwhile.
	if (raises_shields)
		flow_table_clear(a->flows);
	publish(a, next, tables);
	next->generation = generation;
	if (raises_shields)
		flow_table_clear(a->flows);
	old->leaving = 1; // a death from the flip on: generation_finish_commit()
	atomic_store_explicit(&state->applied_which,
		(atomic_load_explicit(&state->applied_which, memory_order_relaxed) & 1) ^ 1,
		memory_order_release);
	forget_peers(a, old, next);
	return 0;
}
