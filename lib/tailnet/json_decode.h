/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Trees of JSON into structures, by tables of members.
 *
 * Tolerance is the reference decoder's (../shared/protocol/control.md 11.2): names of members match
 * whatever their case, unknown members are passed over, null is as good as absent; a value of
 * another type, or a text that is no key, prefix or time, refuses the whole message.
 *
 * Owner:  what a decoder allocates belongs to the structure, on failure too: its fini frees it.
 * Bounds: everything that a message makes us allocate is paid from one budget.
 */
#ifndef LIB_TAILNET_JSON_DECODE_H
#define LIB_TAILNET_JSON_DECODE_H

#include <stddef.h>
#include <stdint.h>

struct json_t; /* jansson's */

#define JSON_MESSAGE_BUDGET (256u << 20) /* bytes of structures that one message may become */

struct json_budget {
	size_t bytes; /* still to be spent */
};

/* true, false, or not said. */
enum tri {
	TRI_UNKNOWN,
	TRI_FALSE,
	TRI_TRUE,
};

/*
 * Read `value`, which is not null, to where `into` points.  A decoder that allocates frees what was
 * there before: a member may come twice.  0, ERR_BAD_FORMAT, -E2BIG (the budget) or -ENOMEM.
 */
typedef int json_decoder(const struct json_t *value, void *into, struct json_budget *budget);

struct json_member {
	const char *name;
	json_decoder *decode;
	size_t offset; /* of what `into` points to, in the structure */
};

/* Members of an object into the structure at `into`; null: nothing.  Returns as a decoder. */
[[nodiscard]] int json_decode_members(const struct json_t *object,
	const struct json_member *members,
	size_t n_members,
	void *into,
	struct json_budget *budget);

/* The row of a table for a member's name, or NULL. */
const struct json_member *
json_member_find(const struct json_member *members, size_t n_members, const char *name);

/*
 * Zeroed memory for n items, paid from the budget; n 0: NULL, and no error.
 * 0, -E2BIG or -ENOMEM.
 */
[[nodiscard]] int
json_allocate(size_t n, size_t item_bytes, struct json_budget *budget, void *ret_items);

json_decoder json_decode_bool;         /* bool */
json_decoder json_decode_tri;          /* enum tri */
json_decoder json_decode_int64;        /* int64_t */
json_decoder json_decode_int32;        /* int32_t */
json_decoder json_decode_double;       /* double */
json_decoder json_decode_text;         /* char *; a zero byte inside becomes '?' */
json_decoder json_decode_octets;       /* struct octets */
json_decoder json_decode_instant;      /* struct instant */
json_decoder json_decode_node_key;     /* struct node_key */
json_decoder json_decode_machine_key;  /* struct machine_key */
json_decoder json_decode_disco_key;    /* struct disco_key */
json_decoder json_decode_addr;         /* struct addr; "" is none */
json_decoder json_decode_texts;        /* struct texts; null in it is "" */
json_decoder json_decode_prefixes;     /* struct prefixes; "" and null in it are passed over */
json_decoder json_decode_endpoints;    /* struct endpoints; so are port 0 and zones */
json_decoder json_decode_resolvers;    /* struct resolvers */
json_decoder json_decode_capabilities; /* struct capabilities */

/* A decimal number that names a member, such as a node's ID.  0 or ERR_BAD_FORMAT. */
[[nodiscard]] int json_parse_id(const char *text, int64_t *ret_id);

#endif
