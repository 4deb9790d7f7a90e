/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/network.h"

#include <stdlib.h>

#include "controlplane/gateway/kernel/network_make.h"

struct network *
network_create(void)
{
	struct counted *counted = calloc(1, sizeof(*counted));

	if (counted == NULL)
		return NULL;
	atomic_init(&counted->references, 1);
	return &counted->network;
}

// The reference is its holder's, so nothing is ordered by taking another one.
struct network *
network_get(struct network *network)
{
	struct counted *counted = (struct counted *)network;

	atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
	return network;
}

void
network_put(struct network *network)
{
	struct counted *counted = (struct counted *)network;

	// acq_rel: what other holders have read happened before the memory goes.
	if (network == NULL ||
		atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) > 1)
		return;
	free(network->routes);
	free(network->advertised);
	free(counted);
}

int
network_route_compare(const void *a, const void *b)
{
	const struct prefix *p = &((const struct network_route *)a)->prefix;
	const struct prefix *q = &((const struct network_route *)b)->prefix;
	int order = addr_compare(&p->addr, &q->addr);

	return order != 0 ? order : (int)p->len - (int)q->len;
}

const struct network_route *
network_route_find(const struct network_route *rows, size_t n, const struct prefix *p)
{
	const struct network_route key = { .prefix = prefix_mask(*p) };

	return n > 0 ? bsearch(&key, rows, n, sizeof(key), network_route_compare) : NULL;
}

const struct network_route *
network_route_covering(const struct network_route *rows, size_t n, const struct prefix *p)
{
	for (int len = p->len; len >= 0; len--) {
		const struct prefix shorter = { p->addr, (uint8_t)len };
		const struct network_route *row = network_route_find(rows, n, &shorter);

		if (row != NULL)
			return row;
	}
	return NULL;
}

const struct network_route *
network_route_of(const struct network *network, const struct addr *to)
{
	const struct prefix host = { *to, (uint8_t)addr_bits((enum addr_family)to->family) };

	return network_route_covering(network->routes, network->n_routes, &host);
}
