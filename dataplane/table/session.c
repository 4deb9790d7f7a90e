/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/session.h"

#include <errno.h>

#include "lib/base/secret.h"
#include "lib/shm/huge_page.h"

// Many sessions at random miss the TLB at every row otherwise.  Before the first use: nobody waits.
static void
use_huge_pages(struct session_table *t, uint32_t slot, uint32_t peer)
{
	struct shm_sessions *keys = t->keys;
	struct shm_state *state = t->state;

	shm_huge_page_row(keys->rx, sizeof(keys->rx), sizeof(keys->rx[0]), slot);
	shm_huge_page_row(keys->tx, sizeof(keys->tx), sizeof(keys->tx[0]), slot);
	shm_huge_page_row(keys->replay, sizeof(keys->replay), sizeof(keys->replay[0]), slot);
	// Slots and peers are both handed out from the lowest: they grow together.
	for (uint32_t i = 0; i < state->n_workers && i < SHM_MAX_WORKERS; i++)
		shm_huge_page_row(state->counters[i], sizeof(state->counters[i]),
			sizeof(state->counters[i][0]), peer);
}

// Keys before the index: a worker that finds the index finds the keys.
static void
fill(struct session_table *t, uint32_t slot, const struct shm_cmd_session *cmd)
{
	struct shm_session_rx *rx = &t->keys->rx[slot];
	struct shm_session_tx *tx = &t->keys->tx[slot];
	struct shm_session_row *row = &t->state->sessions[slot];
	const struct shm_path *path = (const struct shm_path *)session_path(t, cmd->peer);

	if (slot >= atomic_load_explicit(&t->state->sessions_end, memory_order_relaxed)) {
		use_huge_pages(t, slot, cmd->peer);
		atomic_store_explicit(&t->state->sessions_end, slot + 1, memory_order_release);
	}
	memset(&t->keys->replay[slot], 0, sizeof(t->keys->replay[slot]));

	memcpy(tx->key, cmd->key_send, sizeof(tx->key));
	tx->birth_ns = cmd->birth_ns;
	tx->sender_index = cmd->sender_index;
	tx->receiver_index = cmd->receiver_index;
	tx->peer = cmd->peer;
	tx->role = cmd->role;
	atomic_store_explicit(&tx->counter, 0, memory_order_relaxed);

	memcpy(rx->key, cmd->key_receive, sizeof(rx->key));
	rx->peer = cmd->peer;
	rx->birth_ns = cmd->birth_ns;
	atomic_store_explicit(
		&rx->is_confirmed, cmd->role == SHM_ROLE_INITIATOR, memory_order_relaxed);
	atomic_store_explicit(&rx->path_tag, session_path_tag(path), memory_order_relaxed);

	atomic_store_explicit(&rx->source, 0, memory_order_relaxed);

	row->sender_index = cmd->sender_index;
	row->peer = cmd->peer;
	row->role = cmd->role;
	row->birth_ns = cmd->birth_ns;
	// Pairs with the acquire in the stage keypair_lookup.
	atomic_store_explicit(&rx->receiver_index, cmd->receiver_index, memory_order_release);
	atomic_store_explicit(&row->receiver_index, cmd->receiver_index, memory_order_release);
}

/*
 * Put a slot into its peer's keypairs; workers may be promoting at the same moment.  Returns the
 * slot that fell out, or 0.
 *
 * Whitepaper 6.3 for what becomes previous.  An unconfirmed `next` stays beside an initiator's new
 * session: when both ends began at once, the peer may have made it its current one.
 */
static uint32_t
link_slot(struct session_table *t, uint32_t peer, uint32_t slot, uint32_t role)
{
	_Atomic uint64_t *word = &t->state->keypairs[peer];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed), changed;
	uint32_t freed;

	do {
		uint64_t previous = shm_keypairs_previous(old), current = shm_keypairs_current(old);
		uint64_t next = shm_keypairs_next(old);

		if (role == SHM_ROLE_RESPONDER) {
			changed = SHM_KEYPAIRS(previous, current, (uint64_t)slot);
			freed = (uint32_t)next;
		} else {
			changed = SHM_KEYPAIRS(current, (uint64_t)slot, next);
			freed = (uint32_t)previous;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		word, &old, changed, memory_order_release, memory_order_relaxed));
	return freed;
}

bool
session_is_linked(const struct session_table *t, uint32_t peer, uint32_t slot)
{
	uint64_t word = atomic_load_explicit(&t->state->keypairs[peer], memory_order_relaxed);

	return shm_keypairs_previous(word) == slot || shm_keypairs_current(word) == slot ||
	       shm_keypairs_next(word) == slot;
}

int
session_install(struct session_table *t, const struct shm_cmd_session *cmd, uint32_t *ret_freed)
{
	uint32_t slot = shm_index_slot(cmd->receiver_index);
	uint32_t there;

	if (slot == 0 || slot >= SHM_MAX_SESSIONS || cmd->peer >= SHM_MAX_PEERS ||
		(cmd->role != SHM_ROLE_INITIATOR && cmd->role != SHM_ROLE_RESPONDER))
		return -ERANGE;
	there = atomic_load_explicit(
		&t->state->sessions[slot].receiver_index, memory_order_relaxed);
	if (there == cmd->receiver_index && t->state->sessions[slot].peer == cmd->peer) {
		// Repeated after a death: counters and window stay as they are.
		*ret_freed = 0;
		if (session_is_linked(t, cmd->peer, slot))
			return 0;
		if (atomic_load_explicit(&t->keys->rx[slot].receiver_index, memory_order_relaxed) ==
			0)
			return -EEXIST; // it is being freed, its keys are about to go
	} else if (there != 0) {
		return -EEXIST;
	} else {
		fill(t, slot, cmd);
	}
	*ret_freed = link_slot(t, cmd->peer, slot, cmd->role);
	return 0;
}

bool
session_unlink(struct session_table *t, uint32_t peer, uint32_t slot)
{
	_Atomic uint64_t *word = &t->state->keypairs[peer];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed), next;

	do {
		uint64_t previous = shm_keypairs_previous(old), current = shm_keypairs_current(old);
		uint64_t following = shm_keypairs_next(old);

		if (slot == 0 || (previous != slot && current != slot && following != slot))
			return false;
		next = SHM_KEYPAIRS(previous == slot ? 0 : previous, current == slot ? 0 : current,
			following == slot ? 0 : following);
	} while (!atomic_compare_exchange_weak_explicit(
		word, &old, next, memory_order_release, memory_order_relaxed));
	return true;
}

void
session_retire(struct session_table *t, uint32_t slot)
{
	atomic_store_explicit(&t->keys->rx[slot].receiver_index, 0, memory_order_relaxed);
}

void
session_wipe(struct session_table *t, uint32_t slot)
{
	secret_wipe(&t->keys->rx[slot], sizeof(t->keys->rx[slot]));
	secret_wipe(&t->keys->tx[slot], sizeof(t->keys->tx[slot]));
	memset(&t->keys->replay[slot], 0, sizeof(t->keys->replay[slot]));
	atomic_store_explicit(&t->state->sessions[slot].receiver_index, 0, memory_order_release);
}

void
session_forget_sources(struct session_table *t)
{
	uint32_t end = session_end(t);

	for (uint32_t slot = 1; slot < end && slot < SHM_MAX_SESSIONS; slot++)
		if (atomic_load_explicit(&t->keys->rx[slot].source, memory_order_relaxed) != 0)
			atomic_store_explicit(&t->keys->rx[slot].source, 0, memory_order_relaxed);
}

void
session_wipe_unfinished(struct session_table *t)
{
	static const uint8_t zero[SHM_KEY_LEN];
	uint32_t end = atomic_load_explicit(&t->state->sessions_end, memory_order_relaxed);

	for (uint32_t slot = 1; slot < end && slot < SHM_MAX_SESSIONS; slot++) {
		const struct shm_session_rx *rx = &t->keys->rx[slot];
		const struct shm_session_tx *tx = &t->keys->tx[slot];

		if (atomic_load_explicit(
			    &t->state->sessions[slot].receiver_index, memory_order_relaxed) != 0)
			continue;
		if (atomic_load_explicit(&rx->receiver_index, memory_order_relaxed) != 0 ||
			memcmp(rx->key, zero, sizeof(zero)) != 0 ||
			memcmp(tx->key, zero, sizeof(zero)) != 0)
			session_wipe(t, slot);
	}
}

void
session_set_path(struct session_table *t, uint32_t peer, const struct shm_path *path)
{
	struct shm_path_row *row = &t->state->paths[peer];
	uint32_t which = (atomic_load_explicit(&row->which, memory_order_relaxed) & 1) ^ 1;
	uint64_t word = atomic_load_explicit(&t->state->keypairs[peer], memory_order_relaxed);
	uint32_t slots[] = { shm_keypairs_previous(word), shm_keypairs_current(word),
		shm_keypairs_next(word) };
	uint32_t tag;

	if (session_path_tag(&row->path[0]) == 0 && session_path_tag(&row->path[1]) == 0)
		shm_huge_page_row(t->state->paths, sizeof(t->state->paths), sizeof(*row), peer);
	row->path[which] = *path;
	atomic_store_explicit(&row->which, which, memory_order_release);

	tag = session_path_tag(path);
	for (unsigned i = 0; i < 3; i++)
		if (slots[i] != 0)
			atomic_store_explicit(
				&t->keys->rx[slots[i]].path_tag, tag, memory_order_relaxed);
}
