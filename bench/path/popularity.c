/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/popularity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

const char *const popularity_names[2] = { "uniform", "zipf" };

// Where a share of [0, 1) falls among ranks whose summed weights are given: the first above it.
static uint32_t
rank_of(const double *summed, uint32_t n, double share)
{
	double wanted = share * summed[n - 1];
	uint32_t low = 0, high = n - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (summed[middle] > wanted)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void
shuffle(uint32_t *values, uint32_t n, uint64_t *random)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = (uint32_t)(popularity_random(random) % i), kept = values[i - 1];

		values[i - 1] = values[k];
		values[k] = kept;
	}
}

int
popularity_create(enum popularity_kind kind,
	uint32_t n_peers,
	uint32_t n_active,
	uint64_t seed,
	struct popularity **ret)
{
	struct popularity *p = malloc(sizeof(*p));
	double *summed = malloc(n_active * sizeof(*summed));
	uint32_t *peers = malloc(n_active * sizeof(*peers)); // by rank
	int err = 0;

	if (p == NULL || summed == NULL || peers == NULL) {
		free(p);
		err = -ENOMEM;
		goto free_tables;
	}
	p->n_peers = n_peers;
	p->n_active = n_active;
	for (uint32_t i = 0; i < n_active; i++) {
		double weight = kind == POPULARITY_ZIPF ? 1.0 / (i + 1) : 1.0;

		summed[i] = (i == 0 ? 0 : summed[i - 1]) + weight;
		peers[i] = (uint32_t)((uint64_t)i * n_peers / n_active);
	}
	shuffle(peers, n_active, &seed);
	for (uint32_t i = 0; i < POPULARITY_DRAWS; i++) {
		double share = (double)(popularity_random(&seed) >> 11) * 0x1p-53;

		p->order[i] = peers[rank_of(summed, n_active, share)];
	}
	*ret = p;
free_tables:
	free(peers);
	free(summed);
	return err;
}
