/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define REMOVED    UINT32_MAX
#define FIRST_ROOM 256
#define CHUNK_LEN  (PEERS_PER_CHUNK * sizeof(struct peer))

static_assert(sizeof(struct peer) <= 768, "10,000 peers stay small");

int
peers_init(struct peers *peers)
{
	*peers = (struct peers){ .hash_room = FIRST_ROOM };
	random_bytes(peers->hash_seed, sizeof(peers->hash_seed));
	peers->hash = calloc(peers->hash_room, sizeof(peers->hash[0]));
	return peers->hash != NULL ? 0 : -ENOMEM;
}

void
peers_fini(struct peers *peers)
{
	for (size_t i = 0; i < PEERS_CHUNKS; i++)
		secret_memory_unmap(peers->chunks[i], CHUNK_LEN);
	free(peers->hash);
	*peers = (struct peers){};
}

struct peer *
peers_get(const struct peers *peers, uint32_t number)
{
	struct peer *chunk;

	if (number >= peers->end)
		return NULL;
	chunk = peers->chunks[number / PEERS_PER_CHUNK];
	if (chunk == NULL || chunk[number % PEERS_PER_CHUNK].state == PEER_FREE)
		return NULL;
	return &chunk[number % PEERS_PER_CHUNK];
}

struct peer *
peers_next(const struct peers *peers, uint32_t from)
{
	for (uint32_t i = from; i < peers->end; i++) {
		struct peer *p = peers_get(peers, i);

		if (p != NULL)
			return p;
	}
	return NULL;
}

// Seeded, so that nobody who makes up keys can aim at one chain.  Keys are random bytes already.
static uint32_t
hash_of(const struct peers *peers, const struct public_key *key)
{
	uint64_t h = 0;

	for (size_t i = 0; i < 4; i++) {
		h ^= load_le64(key->bytes + 8 * i) ^ peers->hash_seed[i];
		h *= UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 32);
}

// Where the key is, or the empty place at the end of its chain.
static uint32_t *
place_of(const struct peers *peers, const struct public_key *key)
{
	uint32_t mask = peers->hash_room - 1;

	for (uint32_t i = hash_of(peers, key) & mask;; i = (i + 1) & mask) {
		const struct peer *p;

		if (peers->hash[i] == 0)
			return &peers->hash[i];
		if (peers->hash[i] == REMOVED)
			continue;
		p = peers_get(peers, peers->hash[i] - 1);
		if (memcmp(p->remote.static_public.bytes, key->bytes, KEY_LEN) == 0)
			return &peers->hash[i];
	}
}

struct peer *
peers_find(const struct peers *peers, const struct public_key *key)
{
	uint32_t *place = place_of(peers, key);

	return *place != 0 ? peers_get(peers, *place - 1) : NULL;
}

// Make room so that at most half is used; places of removed peers become free again.
static int
rehash(struct peers *peers)
{
	uint32_t count = 0, room = FIRST_ROOM;
	uint32_t *fresh;

	for (struct peer *p = peers_next(peers, 0); p != NULL; p = peers_next(peers, p->number + 1))
		count++;
	while (room < 4 * (count + 1))
		room *= 2;
	fresh = calloc(room, sizeof(fresh[0]));
	if (fresh == NULL)
		return -ENOMEM;
	free(peers->hash);
	peers->hash = fresh;
	peers->hash_room = room;
	peers->hash_used = count;
	for (struct peer *p = peers_next(peers, 0); p != NULL; p = peers_next(peers, p->number + 1))
		*place_of(peers, &p->remote.static_public) = p->number + 1;
	return 0;
}

static int
free_number(struct peers *peers, uint32_t *ret_number)
{
	while (peers_get(peers, peers->lowest) != NULL)
		peers->lowest++;
	if (peers->lowest >= SHM_MAX_PEERS)
		return ERR_FULL;
	*ret_number = peers->lowest;
	return 0;
}

static struct peer *
room_for(struct peers *peers, uint32_t number)
{
	struct peer **chunk = &peers->chunks[number / PEERS_PER_CHUNK];

	if (*chunk == NULL)
		*chunk = secret_memory_map(CHUNK_LEN);
	return *chunk != NULL ? &(*chunk)[number % PEERS_PER_CHUNK] : NULL;
}

int
peers_add(struct peers *peers,
	const struct public_key *key,
	uint32_t number,
	struct peer **ret_peer)
{
	struct peer *p;
	int err;

	if (peers_find(peers, key) != NULL)
		return -EEXIST;
	if (number == SHM_NO_PEER) {
		err = free_number(peers, &number);
		if (err < 0)
			return err;
	}
	if (number >= SHM_MAX_PEERS)
		return ERR_FULL;
	if (peers_get(peers, number) != NULL)
		return -EEXIST;
	if (2 * (peers->hash_used + 1) > peers->hash_room) {
		err = rehash(peers);
		if (err < 0)
			return err;
	}
	p = room_for(peers, number);
	if (p == NULL)
		return -ENOMEM;

	p->number = number;
	p->state = PEER_WANTED;
	p->remote.static_public = *key;
	wg_timers_init(&p->timers, 0);
	if (number >= peers->end)
		peers->end = number + 1;
	*place_of(peers, key) = number + 1;
	peers->hash_used++;
	*ret_peer = p;
	return 0;
}

void
peers_remove(struct peers *peers, struct peer *peer)
{
	uint32_t number = peer->number;

	assert(peer->pending == NULL && peer->answer == NULL);
	*place_of(peers, &peer->remote.static_public) = REMOVED;
	secret_wipe(peer, sizeof(*peer));
	if (number < peers->lowest)
		peers->lowest = number;
}
