/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/json_decode.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/instant.h"
#include "lib/tailnet/lists.h"
#include "lib/tailnet/tailkey.h"

#define ALLOCATION_BYTES 16 /* what the allocator keeps of its own per piece */

int
json_allocate(size_t n, size_t item_bytes, struct json_budget *budget, void *ret_items)
{
	void **items = ret_items;

	*items = NULL;
	if (n == 0)
		return 0;
	if (n > (SIZE_MAX - ALLOCATION_BYTES) / item_bytes ||
		n * item_bytes + ALLOCATION_BYTES > budget->bytes)
		return -E2BIG;
	budget->bytes -= n * item_bytes + ALLOCATION_BYTES;
	*items = calloc(n, item_bytes);
	return *items != NULL ? 0 : -ENOMEM;
}

const struct json_member *
json_member_find(const struct json_member *members, size_t n_members, const char *name)
{
	for (size_t i = 0; i < n_members; i++)
		if (strcasecmp(members[i].name, name) == 0)
			return &members[i];
	return NULL;
}

int
json_decode_members(const struct json_t *object,
	const struct json_member *members,
	size_t n_members,
	void *into,
	struct json_budget *budget)
{
	json_t *value;
	const char *name;

	if (json_is_null(object))
		return 0;
	if (!json_is_object(object))
		return ERR_BAD_FORMAT;
	json_object_foreach((json_t *)object, name, value)
	{
		const struct json_member *m = json_member_find(members, n_members, name);
		int err = 0;

		if (m != NULL && !json_is_null(value))
			err = m->decode(value, (char *)into + m->offset, budget);
		if (err < 0)
			return err;
	}
	return 0;
}

int
json_decode_bool(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_boolean(value))
		return ERR_BAD_FORMAT;
	*(bool *)into = json_is_true(value);
	return 0;
}

int
json_decode_tri(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_boolean(value))
		return ERR_BAD_FORMAT;
	*(enum tri *)into = json_is_true(value) ? TRI_TRUE : TRI_FALSE;
	return 0;
}

int
json_decode_int64(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_integer(value))
		return ERR_BAD_FORMAT;
	*(int64_t *)into = json_integer_value(value);
	return 0;
}

int
json_decode_int32(const struct json_t *value, void *into, struct json_budget *)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < INT32_MIN || number > INT32_MAX)
		return ERR_BAD_FORMAT;
	*(int32_t *)into = (int32_t)number;
	return 0;
}

int
json_decode_double(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_number(value))
		return ERR_BAD_FORMAT;
	*(double *)into = json_number_value(value);
	return 0;
}

// A copy of a string, or of "" for null.
static int
copy_text(const json_t *value, char **ret_text, struct json_budget *budget)
{
	const char *text = json_is_null(value) ? "" : json_string_value(value);
	size_t len = json_string_length(value);
	int err;

	if (text == NULL)
		return ERR_BAD_FORMAT;
	err = json_allocate(len + 1, 1, budget, ret_text);
	if (err < 0)
		return err;
	memcpy(*ret_text, text, len);
	for (size_t i = 0; i < len; i++)
		if ((*ret_text)[i] == '\0')
			(*ret_text)[i] = '?';
	return 0;
}

int
json_decode_text(const struct json_t *value, void *into, struct json_budget *budget)
{
	char **text = into;

	free(*text);
	*text = NULL;
	return copy_text(value, text, budget);
}

// 0 to 63, or -1.
static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Standard base64 with padding; returns the number of bytes, or ERR_BAD_FORMAT.
static int64_t
decode_base64(const char *text, size_t len, uint8_t *out)
{
	size_t padding = len >= 4 && text[len - 1] == '=' ? 1 + (text[len - 2] == '=') : 0;
	uint32_t bits = 0;
	size_t n = 0;

	if (len % 4 != 0)
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < len - padding; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return ERR_BAD_FORMAT;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 != 0)
			out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	return (int64_t)n;
}

int
json_decode_octets(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct octets *o = into;
	size_t len = json_string_length(value);
	int64_t n;
	int err;

	octets_fini(o);
	if (!json_is_string(value))
		return ERR_BAD_FORMAT;
	// At least one: `at` tells that there was a text.
	err = json_allocate(len / 4 * 3 + 1, 1, budget, &o->at);
	if (err < 0)
		return err;
	n = decode_base64(json_string_value(value), len, o->at);
	if (n < 0)
		return (int)n;
	o->len = (size_t)n;
	return 0;
}

int
json_decode_instant(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_string(value))
		return ERR_BAD_FORMAT;
	return instant_parse(json_string_value(value), json_string_length(value), into);
}

static int
decode_key(enum tailkey_kind kind, const json_t *value, uint8_t *ret_bytes)
{
	if (!json_is_string(value))
		return ERR_BAD_FORMAT;
	return tailkey_parse(kind, json_string_value(value), json_string_length(value), ret_bytes);
}

int
json_decode_node_key(const struct json_t *value, void *into, struct json_budget *)
{
	return decode_key(TAILKEY_NODE, value, ((struct node_key *)into)->bytes);
}

int
json_decode_machine_key(const struct json_t *value, void *into, struct json_budget *)
{
	return decode_key(TAILKEY_MACHINE, value, ((struct machine_key *)into)->bytes);
}

int
json_decode_disco_key(const struct json_t *value, void *into, struct json_budget *)
{
	return decode_key(TAILKEY_DISCO, value, ((struct disco_key *)into)->bytes);
}

// The text of a string without zero bytes; "" for null; NULL: something else.
static const char *
whole_text(const json_t *value)
{
	const char *text = json_is_null(value) ? "" : json_string_value(value);

	if (text != NULL && json_is_string(value) && strlen(text) != json_string_length(value))
		return NULL;
	return text;
}

int
json_decode_addr(const struct json_t *value, void *into, struct json_budget *)
{
	const char *text = whole_text(value);
	struct addr *a = into;

	if (text == NULL)
		return ERR_BAD_FORMAT;
	if (text[0] != '\0')
		return addr_parse(text, a);
	*a = (struct addr){};
	return 0;
}

int
json_decode_texts(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct texts *t = into;
	size_t n = json_array_size(value);
	int err;

	texts_fini(t);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*t->at), budget, &t->at);
	for (size_t i = 0; i < n && err == 0; i++) {
		err = copy_text(json_array_get(value, i), &t->at[i], budget);
		t->n += err == 0;
	}
	return err;
}

int
json_decode_prefixes(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct prefixes *p = into;
	size_t n = json_array_size(value);
	int err;

	prefixes_fini(p);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*p->at), budget, &p->at);
	for (size_t i = 0; i < n && err == 0; i++) {
		const char *text = whole_text(json_array_get(value, i));

		if (text == NULL)
			return ERR_BAD_FORMAT;
		if (text[0] == '\0')
			continue;
		if (strchr(text, '/') == NULL)
			return ERR_BAD_FORMAT;
		err = prefix_parse(text, &p->at[p->n]);
		p->n += err == 0;
	}
	return err;
}

/*
 * An address and a port, as the reference's type reads them.  Returns 1; 0 if it is legal but
 * nothing to send to (port 0, or a zone, whose interface is the other node's); ERR_BAD_FORMAT.
 */
static int
parse_endpoint(const char *text, struct endpoint *ret_endpoint)
{
	const char *colon = strrchr(text, ':');
	const char *zone = strchr(text, '%');
	char plain[ADDR_TEXT_LEN];
	bool has_port;

	if (colon == NULL || colon[1] == '\0')
		return ERR_BAD_FORMAT;
	has_port = colon[1 + strspn(colon + 1, "0")] != '\0';
	if (has_port && zone == NULL)
		return endpoint_parse(text, ret_endpoint) == 0 ? 1 : ERR_BAD_FORMAT;
	// Judge the rest as if it had neither.
	if (zone != NULL && (text[0] != '[' || colon[-1] != ']' || zone + 2 > colon - 1))
		return ERR_BAD_FORMAT;
	if ((zone != NULL ? zone : colon) - text >= (ptrdiff_t)sizeof(plain) - 8)
		return ERR_BAD_FORMAT;
	snprintf(plain, sizeof(plain), "%.*s%s:%s", (int)((zone != NULL ? zone : colon) - text),
		text, zone != NULL ? "]" : "", has_port && strlen(colon) <= 6 ? colon + 1 : "1");
	if (has_port && strlen(colon) > 6)
		return ERR_BAD_FORMAT;
	return endpoint_parse(plain, ret_endpoint) == 0 ? 0 : ERR_BAD_FORMAT;
}

int
json_decode_endpoints(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct endpoints *e = into;
	size_t n = json_array_size(value);
	int err;

	endpoints_fini(e);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	// At least one: `at` tells that there was a list.
	err = json_allocate(n + 1, sizeof(*e->at), budget, &e->at);
	for (size_t i = 0; i < n && err == 0; i++) {
		const char *text = whole_text(json_array_get(value, i));
		int kept = text == NULL ? ERR_BAD_FORMAT : 0;

		if (text != NULL && text[0] != '\0')
			kept = parse_endpoint(text, &e->at[e->n]);
		if (kept < 0)
			return kept;
		e->n += (size_t)kept;
	}
	return err;
}

static const struct json_member resolver_members[] = {
	{ "Addr", json_decode_text, offsetof(struct resolver, addr) },
	{ "UseWithExitNode", json_decode_bool, offsetof(struct resolver, use_with_exit_node) },
};

int
json_decode_resolvers(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct resolvers *r = into;
	size_t n = json_array_size(value);
	int err;

	resolvers_fini(r);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*r->at), budget, &r->at);
	for (size_t i = 0; i < n && err == 0; i++) {
		const json_t *element = json_array_get(value, i);
		struct resolver *resolver = &r->at[r->n];

		if (json_is_null(element))
			continue;
		r->n++;
		err = json_decode_members(element, resolver_members, 2, resolver, budget);
	}
	return err;
}

// The values of a capability: null and [] are none.
static int
copy_values(const json_t *values, char **ret_text, struct json_budget *budget)
{
	char *text;
	int err;

	if (!json_is_null(values) && !json_is_array(values))
		return ERR_BAD_FORMAT;
	if (json_array_size(values) == 0)
		return 0;
	text = json_dumps(values, JSON_COMPACT);
	if (text == NULL)
		return -ENOMEM;
	err = json_allocate(strlen(text) + 1, 1, budget, ret_text);
	if (err == 0)
		memcpy(*ret_text, text, strlen(text) + 1);
	free(text);
	return err;
}

static int
compare_capabilities(const void *a, const void *b)
{
	const struct capability *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
json_decode_capabilities(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct capabilities *c = into;
	json_t *values;
	const char *name;
	int err;

	capabilities_fini(c);
	if (!json_is_object(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(json_object_size(value), sizeof(*c->at), budget, &c->at);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)value, name, values)
	{
		struct capability *capability = &c->at[c->n];

		err = json_allocate(strlen(name) + 1, 1, budget, &capability->name);
		if (err < 0)
			return err;
		memcpy(capability->name, name, strlen(name) + 1);
		c->n++;
		err = copy_values(values, &capability->values, budget);
		if (err < 0)
			return err;
	}
	if (c->n > 1)
		qsort(c->at, c->n, sizeof(*c->at), compare_capabilities);
	return 0;
}

int
json_parse_id(const char *text, int64_t *ret_id)
{
	bool is_negative = text[0] == '-';
	uint64_t limit = (uint64_t)INT64_MAX + is_negative, number = 0;

	text += is_negative || text[0] == '+';
	if (text[0] == '\0')
		return ERR_BAD_FORMAT;
	for (; *text != '\0'; text++) {
		uint64_t digit = (uint64_t)(unsigned char)*text - '0';

		if (digit > 9 || number > (limit - digit) / 10)
			return ERR_BAD_FORMAT;
		number = number * 10 + digit;
	}
	*ret_id = (int64_t)(is_negative ? 0 - number : number);
	return 0;
}
