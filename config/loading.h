/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the parts of the reader share while one file is read: the result so far, where its parts
 * stand in the file, and what was found wrong.
 */
#ifndef CONFIG_LOADING_H
#define CONFIG_LOADING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostic.h"
#include "config/gateway.h"
#include "config/schema.h"
#include "config/tree.h"

/* One entry of allowed_ips and where it stands. */
struct prefix_mark {
	struct prefix prefix; /* masked */
	uint32_t peer;        /* index in config->peers */
	uint32_t index;       /* in the peer's allowed_ips */
	const struct node *node;
};

struct loading {
	const char *path; /* of the file */
	bool read_keys;
	bool out_of_memory;
	struct diagnostics d;
	struct config_gateway *config;
	const struct node *wireguard;   /* NULL: not there */
	const struct node **peer_nodes; /* map of each peer, n_peers of them */
	struct prefix_mark *prefixes;   /* of all peers, in the order of the file */
	size_t n_prefixes, prefixes_size;
};

/* Add an error or warning at a node. */
#define loading_error(l, node, ...) \
	diagnostics_error(&(l)->d, (node)->line, (node)->column, __VA_ARGS__)
#define loading_warning(l, node, ...) \
	diagnostics_warning(&(l)->d, (node)->line, (node)->column, __VA_ARGS__)

/* Whether the node is a scalar with a value; else the error is added. */
bool
loading_wants_scalar(struct loading *l, const struct config_option *o, const struct node *node);
/* Whether the node is a list; else the error is added. */
bool loading_wants_list(struct loading *l, const struct config_option *o, const struct node *node);

/*
 * What is wrong only when options are seen together: a prefix, key or name twice, our own key or
 * address at a peer, an MTU too small for IPv6.  Also drops what a peer lists twice.  (relation.c)
 */
void relation_check(struct loading *l);

#endif
