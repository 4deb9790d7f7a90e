/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The content of one generation, and the difference between two of them as commands.  Pure.
 *
 * Owner:  whoever made them.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_ROWS_H
#define CONTROLPLANE_GATEWAY_PUBLISH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/publish/acl_block.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"

struct row_peer {
	uint32_t number;
	struct public_key key;
};

struct rows {
	struct shm_settings settings;
	struct row_peer *peers; /* sorted by number */
	size_t n_peers;
	struct shm_prefix_row *prefixes; /* sorted by family, address, length; unique */
	size_t n_prefixes;
	struct acl_block *filter; /* a reference; NULL: none */
};

/* Room for so many.  NULL: no memory. */
struct rows *rows_create(size_t max_peers, size_t max_prefixes);
void rows_destroy(struct rows *rows);

/* Takes a reference of its own; NULL: none. */
void rows_set_filter(struct rows *rows, struct acl_block *filter);
/* Within the room; in any order. */
void rows_add_peer(struct rows *rows, uint32_t number, const struct public_key *key);
void rows_add_prefix(struct rows *rows, const struct prefix *prefix, uint32_t to);
/*
 * Sort, and keep one row of each prefix: of several that leads to the host if one does (an address
 * of the host is never a peer's), else to the lowest peer.
 */
void rows_seal(struct rows *rows);
bool rows_equal(const struct rows *a, const struct rows *b);

/* What must be said to get from one to the other; `from` NULL: from nothing. */
struct rows_walk {
	const struct rows *from, *to;
	size_t peer_from, peer_to, prefix_from, prefix_to;
	bool settings_said;
	uint32_t filter_at; /* bytes of the filter that were said */
	bool filter_said;
};

void rows_walk_init(struct rows_walk *walk, const struct rows *from, const struct rows *to);
/* The next command (kind and its part filled, generation 0), or false: that was all. */
bool rows_walk_next(struct rows_walk *walk, struct shm_command *ret_command);

#endif
