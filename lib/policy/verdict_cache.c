/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/policy/verdict_cache.h"

#include <errno.h>
#include <stdlib.h>

int
verdict_cache_create(size_t entries, const uint64_t seed[2], struct verdict_cache **ret_cache)
{
	struct verdict_cache *c;
	size_t n = 1;

	if (entries > VERDICT_MAX_ENTRIES)
		return -E2BIG;
	while (n < entries)
		n *= 2;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->entries = aligned_alloc(sizeof(*c->entries), n * sizeof(*c->entries));
	if (c->entries == NULL) {
		free(c);
		return -ENOMEM;
	}
	memset(c->entries, 0, n * sizeof(*c->entries));
	c->mask = n - 1;
	c->seed[0] = seed[0];
	c->seed[1] = seed[1];
	*ret_cache = c;
	return 0;
}

void
verdict_cache_destroy(struct verdict_cache *c)
{
	if (c == NULL)
		return;
	free(c->entries);
	free(c);
}
