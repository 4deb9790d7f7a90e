/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/invariants.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_AT_ONCE 512

static bool
has_peer(const struct shm_state *state, uint32_t peer)
{
	const struct shm_applied_half *applied = &state->applied[state->applied_which & 1];

	return peer < applied->n_peers && (applied->peers[peer].flags & SHM_PEER_USED) != 0;
}

static const char *
slot_broken(const struct shm_state *state,
	const struct shm_sessions *keys,
	uint32_t peer,
	uint32_t slot,
	uint8_t *is_linked)
{
	const struct shm_session_row *row;

	if (slot >= SHM_MAX_SESSIONS || slot >= state->sessions_end)
		return "a peer has a slot beyond the last one used";
	row = &state->sessions[slot];
	if (is_linked[slot])
		return "a slot is linked twice";
	is_linked[slot] = 1;
	if (row->receiver_index == 0)
		return "a peer has a slot that is free";
	if (shm_index_slot(row->receiver_index) != slot)
		return "a session's index names another slot";
	if (row->peer != peer || keys->rx[slot].peer != peer || keys->tx[slot].peer != peer)
		return "a session is another peer's";
	if (keys->rx[slot].receiver_index != row->receiver_index ||
		keys->tx[slot].receiver_index != row->receiver_index)
		return "keys and directory know different sessions";
	if (keys->tx[slot].sender_index != row->sender_index ||
		keys->tx[slot].birth_ns != row->birth_ns ||
		keys->rx[slot].birth_ns != row->birth_ns)
		return "keys and directory differ";
	return NULL;
}

static const char *
free_slot_broken(const struct shm_sessions *keys, uint32_t slot)
{
	static const uint8_t zero[SHM_KEY_LEN];

	if (keys->rx[slot].receiver_index != 0)
		return "a free slot can be found";
	if (memcmp(keys->rx[slot].key, zero, sizeof(zero)) != 0 ||
		memcmp(keys->tx[slot].key, zero, sizeof(zero)) != 0)
		return "a free slot holds a key";
	return NULL;
}

static const char *
broken(const struct shm_state *state,
	const struct shm_sessions *keys,
	bool swept,
	uint8_t *is_linked)
{
	static const uint64_t none[PEERS_AT_ONCE];
	const char *what = NULL;

	for (uint32_t peer = 0; peer < SHM_MAX_PEERS && what == NULL; peer++) {
		uint64_t word = state->keypairs[peer];
		uint32_t slots[] = { shm_keypairs_previous(word), shm_keypairs_current(word),
			shm_keypairs_next(word) };

		if (peer % PEERS_AT_ONCE == 0 &&
			memcmp((const void *)&state->keypairs[peer], none, sizeof(none)) == 0)
			peer += PEERS_AT_ONCE - 1; // fuzzers have no time for 65,536 zeros
		if (word == 0)
			continue;
		if (word >> 60 != 0)
			return "keypairs with more than three slots";
		if (!has_peer(state, peer))
			return "a peer that does not exist has sessions";
		for (unsigned i = 0; i < 3 && what == NULL; i++)
			if (slots[i] != 0)
				what = slot_broken(state, keys, peer, slots[i], is_linked);
	}
	if (what != NULL || !swept)
		return what;
	for (uint32_t slot = 1; slot < state->sessions_end && what == NULL; slot++) {
		if (state->sessions[slot].receiver_index == 0)
			what = free_slot_broken(keys, slot);
		else if (!is_linked[slot])
			what = "a session belongs to nobody";
	}
	return what;
}

const char *
memory_broken(const struct shm_state *state, const struct shm_sessions *keys, bool swept)
{
	uint8_t *is_linked = calloc(state->sessions_end + 1, 1);
	const char *what;

	if (is_linked == NULL)
		abort();
	what = broken(state, keys, swept, is_linked);
	free(is_linked);
	return what;
}
