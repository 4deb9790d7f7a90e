/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A YAML file as a tree of maps, lists and scalars that know their lines.  Only the part of YAML
 * that a configuration needs: one document, no anchors, aliases and tags, no control characters,
 * bounded depth and number of nodes.  So nothing can grow ("billion laughs") or hide.
 *
 * Source: YAML 1.1 as libyaml reads it.
 * Owner:  tree_parse() makes one, tree_free() wipes and frees it with all its nodes.
 * Thread: any, one at a time.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/diagnostic.h"

#define TREE_MAX_DEPTH 16
#define TREE_MAX_NODES 2000000

enum node_kind {
	NODE_SCALAR,
	NODE_MAP,
	NODE_LIST,
};

struct node {
	enum node_kind kind;
	bool is_quoted;     /* scalar in quotes or as a block: a text, never a number or a null */
	int line, column;   /* from 1 */
	char *text;         /* scalar: UTF-8 without zero bytes, zero terminated */
	size_t n_children;  /* map: pairs; list: items */
	struct node *first; /* map: key, its value, the next key, ... */
	struct node *next;  /* the next sibling */
};

struct tree;

/*
 * Parse `len` bytes.  What is wrong is added to `d`; then the tree is not made.
 * Returns 0, -EINVAL (see `d`) or -ENOMEM.
 */
[[nodiscard]] int
tree_parse(const char *text, size_t len, struct diagnostics *d, struct tree **ret_tree);
void tree_free(struct tree *tree);

const struct node *tree_root(const struct tree *tree);

/* The value of the first key of this name in a map, or NULL.  `map` may be NULL or no map. */
const struct node *node_value(const struct node *map, const char *key);

/* No value given: "key:" alone, "~" or "null", unquoted. */
bool node_is_null(const struct node *node);

#endif
