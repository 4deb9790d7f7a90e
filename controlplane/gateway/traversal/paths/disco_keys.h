/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The disco keys of all peers: who has which (several nodes may share one), and the key that we
 * share with its holder, computed when it is needed first.
 *
 * Source: ../shared/protocol/peer.md 2.1, "Key handling".
 * Owner:  embedded in struct paths.  Shared keys lie in secret memory, and are wiped when the last
 *         peer with that key goes or our own key changes.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_DISCO_KEYS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_DISCO_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/secret_memory.h"
#include "lib/crypto/box.h"

struct path_peer;

/* Of the peers that share a key so many are looked at for a message, the last added first. */
#define DISCO_MAX_SHARERS 32

struct disco_key {
	struct public_key key;
	struct disco_key *next;  /* of the same chain */
	struct path_peer *first; /* who has it; at least one */
	struct box_key *box;     /* NULL: not computed yet */
	bool is_bad;             /* a point of small order: there is no shared key */
};

struct disco_keys {
	struct disco_key **chains;
	uint32_t n_chains; /* a power of two */
	uint32_t count;
	uint64_t seed[4];
	struct secret_pool boxes;
};

/* seed: random.  0 or -ENOMEM. */
[[nodiscard]] int disco_keys_init(struct disco_keys *keys, const uint64_t seed[static 4]);
/* Members need not have been dropped. */
void disco_keys_fini(struct disco_keys *keys);

/* NULL: nobody has it. */
struct disco_key *disco_keys_find(const struct disco_keys *keys, const struct public_key *key);
/* The key, which may be new; then it must be given to a peer at once.  NULL: no memory. */
struct disco_key *disco_keys_get(struct disco_keys *keys, const struct public_key *key);
/* p has this key from now on, and no other before. */
void disco_keys_give(struct disco_key *key, struct path_peer *p);
/* p has none from now on. */
void disco_keys_drop(struct disco_keys *keys, struct path_peer *p);

/* The key shared with its holder; NULL: there is none (or no memory). */
const struct box_key *
disco_keys_box(struct disco_keys *keys, struct disco_key *key, const struct secret_key *mine);
/* Our own key changes: wipe all that was computed with it. */
void disco_keys_wipe(struct disco_keys *keys);

#endif
