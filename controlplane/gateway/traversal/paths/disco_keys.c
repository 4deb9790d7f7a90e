/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/paths/disco_keys.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/paths/path_peer.h"
#include "lib/base/bytes.h"

#define FIRST_CHAINS 64

static_assert(sizeof(struct box_key) % 16 == 0, "cells of secret memory");

int
disco_keys_init(struct disco_keys *keys, const uint64_t seed[static 4])
{
	*keys = (struct disco_keys){
		.n_chains = FIRST_CHAINS,
		.boxes.size = sizeof(struct box_key),
	};
	memcpy(keys->seed, seed, sizeof(keys->seed));
	keys->chains = calloc(keys->n_chains, sizeof(keys->chains[0]));
	return keys->chains != NULL ? 0 : -ENOMEM;
}

void
disco_keys_fini(struct disco_keys *keys)
{
	for (uint32_t i = 0; i < keys->n_chains; i++)
		while (keys->chains[i] != NULL) {
			struct disco_key *key = keys->chains[i];

			keys->chains[i] = key->next;
			free(key);
		}
	free(keys->chains);
	secret_pool_fini(&keys->boxes);
	*keys = (struct disco_keys){};
}

// Seeded: peers choose their keys, and shall not be able to aim at one chain.
static uint64_t
hash_of(const struct disco_keys *keys, const struct public_key *key)
{
	uint64_t h = 0;

	for (size_t i = 0; i < 4; i++) {
		h ^= load_le64(key->bytes + 8 * i) ^ keys->seed[i];
		h *= UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h >> 32;
}

static struct disco_key **
chain_of(const struct disco_keys *keys, const struct public_key *key)
{
	return &keys->chains[hash_of(keys, key) & (keys->n_chains - 1)];
}

struct disco_key *
disco_keys_find(const struct disco_keys *keys, const struct public_key *key)
{
	for (struct disco_key *k = *chain_of(keys, key); k != NULL; k = k->next)
		if (memcmp(k->key.bytes, key->bytes, KEY_LEN) == 0)
			return k;
	return NULL;
}

// Without memory the chains grow long: slower, not wrong.
static void
widen(struct disco_keys *keys)
{
	struct disco_key **old = keys->chains;
	uint32_t n_old = keys->n_chains;
	struct disco_key **chains = calloc(2 * (size_t)n_old, sizeof(chains[0]));

	if (chains == NULL)
		return;
	keys->chains = chains;
	keys->n_chains = 2 * n_old;
	for (uint32_t i = 0; i < n_old; i++)
		while (old[i] != NULL) {
			struct disco_key *key = old[i];
			struct disco_key **chain = chain_of(keys, &key->key);

			old[i] = key->next;
			key->next = *chain;
			*chain = key;
		}
	free(old);
}

struct disco_key *
disco_keys_get(struct disco_keys *keys, const struct public_key *key)
{
	struct disco_key *found = disco_keys_find(keys, key);
	struct disco_key **chain;

	if (found != NULL)
		return found;
	if (keys->count >= keys->n_chains)
		widen(keys);
	found = calloc(1, sizeof(*found));
	if (found == NULL)
		return NULL;
	chain = chain_of(keys, key);
	found->key = *key;
	found->next = *chain;
	*chain = found;
	keys->count++;
	return found;
}

void
disco_keys_give(struct disco_key *key, struct path_peer *p)
{
	assert(p->disco == NULL);
	p->disco = key;
	p->next_sharer = key->first;
	key->first = p;
}

static void
remove_key(struct disco_keys *keys, struct disco_key *key)
{
	struct disco_key **at = chain_of(keys, &key->key);

	while (*at != key)
		at = &(*at)->next;
	*at = key->next;
	secret_pool_give(&keys->boxes, key->box);
	free(key);
	keys->count--;
}

void
disco_keys_drop(struct disco_keys *keys, struct path_peer *p)
{
	struct disco_key *key = p->disco;
	struct path_peer **at;

	if (key == NULL)
		return;
	at = &key->first;
	while (*at != p)
		at = &(*at)->next_sharer;
	*at = p->next_sharer;
	p->next_sharer = NULL;
	p->disco = NULL;
	if (key->first == NULL)
		remove_key(keys, key);
}

const struct box_key *
disco_keys_box(struct disco_keys *keys, struct disco_key *key, const struct secret_key *mine)
{
	struct box_key *box;

	if (key->box != NULL || key->is_bad)
		return key->box;
	box = secret_pool_take(&keys->boxes);
	if (box == NULL)
		return NULL;
	if (box_key_init(box, mine, &key->key) < 0) {
		key->is_bad = true;
		secret_pool_give(&keys->boxes, box);
		return NULL;
	}
	key->box = box;
	return box;
}

void
disco_keys_wipe(struct disco_keys *keys)
{
	for (uint32_t i = 0; i < keys->n_chains; i++)
		for (struct disco_key *key = keys->chains[i]; key != NULL; key = key->next) {
			secret_pool_give(&keys->boxes, key->box);
			key->box = NULL;
		}
}
