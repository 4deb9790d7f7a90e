/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/lists.h"

#include <stdlib.h>
#include <string.h>

void
texts_fini(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->at[i]);
	free(t->at);
	*t = (struct texts){};
}

void
prefixes_fini(struct prefixes *p)
{
	free(p->at);
	*p = (struct prefixes){};
}

void
endpoints_fini(struct endpoints *e)
{
	free(e->at);
	*e = (struct endpoints){};
}

void
octets_fini(struct octets *o)
{
	free(o->at);
	*o = (struct octets){};
}

void
resolvers_fini(struct resolvers *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->at[i].addr);
	free(r->at);
	*r = (struct resolvers){};
}

void
capabilities_fini(struct capabilities *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->at[i].name);
		free(c->at[i].values);
	}
	free(c->at);
	*c = (struct capabilities){};
}

bool
text_equal(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

bool
texts_equal(const struct texts *a, const struct texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!text_equal(a->at[i], b->at[i]))
			return false;
	return true;
}

bool
prefixes_equal(const struct prefixes *a, const struct prefixes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->at[i].len != b->at[i].len || !addr_equal(&a->at[i].addr, &b->at[i].addr))
			return false;
	return true;
}

bool
endpoints_equal(const struct endpoints *a, const struct endpoints *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!endpoint_equal(&a->at[i], &b->at[i]))
			return false;
	return true;
}

bool
octets_equal(const struct octets *a, const struct octets *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

bool
resolvers_equal(const struct resolvers *a, const struct resolvers *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->at[i].use_with_exit_node != b->at[i].use_with_exit_node ||
			!text_equal(a->at[i].addr, b->at[i].addr))
			return false;
	return true;
}

bool
capabilities_equal(const struct capabilities *a, const struct capabilities *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->at[i].name, b->at[i].name) != 0 ||
			!text_equal(a->at[i].values, b->at[i].values))
			return false;
	return true;
}

static int
compare_name(const void *name, const void *capability)
{
	return strcmp(name, ((const struct capability *)capability)->name);
}

const struct capability *
capabilities_find(const struct capabilities *c, const char *name)
{
	return c->n == 0 ? NULL : bsearch(name, c->at, c->n, sizeof(*c->at), compare_name);
}
