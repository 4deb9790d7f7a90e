/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Arrays with their lengths, as the structures of the coordination protocol hold them.
 *
 * Owner:  the structure that they are in; the fini functions free what is in them and leave them
 *         empty.
 */
#ifndef LIB_TAILNET_LISTS_H
#define LIB_TAILNET_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

struct texts {
	char **at;
	size_t n;
};

struct prefixes {
	struct prefix *at; /* host bits as they came */
	size_t n;
};

struct endpoints {
	struct endpoint *at; /* NULL: not given; [] is something else in a changed peer */
	size_t n;
};

struct octets {      /* bytes of a base64 text */
	uint8_t *at; /* NULL: not given */
	size_t len;
};

struct resolver {
	char *addr;              /* an address, address and port, or an URL */
	bool use_with_exit_node; /* keep it when an exit node is in use */
};

struct resolvers {
	struct resolver *at;
	size_t n;
};

/* A capability: its presence counts; `values` is NULL or a JSON array of more than nothing. */
struct capability {
	char *name;
	char *values; /* compact JSON text */
};

struct capabilities {
	struct capability *at; /* in byte order of their names */
	size_t n;
};

void texts_fini(struct texts *t);
void prefixes_fini(struct prefixes *p);
void endpoints_fini(struct endpoints *e);
void octets_fini(struct octets *o);
void resolvers_fini(struct resolvers *r);
void capabilities_fini(struct capabilities *c);

/* Equal, in the same order.  NULL and "" are the same text. */
bool text_equal(const char *a, const char *b);
bool texts_equal(const struct texts *a, const struct texts *b);
bool prefixes_equal(const struct prefixes *a, const struct prefixes *b);
bool endpoints_equal(const struct endpoints *a, const struct endpoints *b);
bool octets_equal(const struct octets *a, const struct octets *b);
bool resolvers_equal(const struct resolvers *a, const struct resolvers *b);
bool capabilities_equal(const struct capabilities *a, const struct capabilities *b);

/* The capability of that name, or NULL. */
const struct capability *capabilities_find(const struct capabilities *c, const char *name);

#endif
