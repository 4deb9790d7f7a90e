/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pieces of a JSON text: the members of an object and the elements of an array, one by one, without
 * a tree of the whole.  A map response of megabytes is read node by node: what jansson makes of it
 * is never larger than one node.
 *
 * Owner:  spans borrow from the text.
 * Bounds: depth, bytes and number of values of what is loaded; see below.
 *
 * Walking checks only what it needs to find the pieces; a piece is JSON when json_span_load() says
 * so.
 */
#ifndef LIB_TAILNET_JSON_SPAN_H
#define LIB_TAILNET_JSON_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t; /* jansson's */

#define JSON_MAX_DEPTH    64
#define JSON_MAX_LOAD_LEN (16u << 20) /* bytes of text made into one tree */
#define JSON_MAX_VALUES   (1u << 20)  /* values in one tree */

struct json_span {
	const char *text; /* not terminated */
	size_t len;
};

struct json_walk {
	const char *at, *end;
	bool is_object, is_first;
};

/*
 * Begin to walk the object or array that is all of `span`, white space around it allowed.
 * 0; ERR_BAD_FORMAT: neither.
 */
[[nodiscard]] int json_walk_begin(struct json_walk *w, const struct json_span *span);

/*
 * The next member or element.  ret_name: its name with the quotes, of an array empty.
 * 1; 0: no more; ERR_BAD_FORMAT; -E2BIG: too deep.
 */
[[nodiscard]] int
json_walk_next(struct json_walk *w, struct json_span *ret_name, struct json_span *ret_value);

/* Whether the text is the word null. */
bool json_span_is_null(const struct json_span *span);

/*
 * Make a tree of it, to be freed with json_decref().
 * 0; ERR_BAD_FORMAT; -E2BIG (the limits above).
 */
[[nodiscard]] int json_span_load(const struct json_span *span, struct json_t **ret_value);

/* 64 bits of the text, to notice that the same came again; no protection against forgery. */
#define JSON_DIGEST_INIT UINT64_C(0xcbf29ce484222325)
uint64_t json_digest(uint64_t digest, const void *data, size_t len);

/* The same of a tree in canonical form: order of members and white space do not count. */
uint64_t json_digest_tree(const struct json_t *value);

#endif
