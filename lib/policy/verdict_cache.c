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
	// One block of zeros, so that its pages are made when they are used.
	c = calloc(1, sizeof(*c) + (n + 1) * sizeof(*c->entries));
	if (c == NULL)
		return -ENOMEM;
	c->entries = (struct verdict_entry *)(((uintptr_t)(c + 1) + sizeof(*c->entries) - 1) &
					      ~(uintptr_t)(sizeof(*c->entries) - 1));
	c->mask = n - 1;
	c->seed[0] = seed[0];
	c->seed[1] = seed[1];
	*ret_cache = c;
	return 0;
}

void
verdict_cache_destroy(struct verdict_cache *c)
{
	free(c);
}
