/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/home_region.h"

#include <stdlib.h>

#include "controlplane/gateway/traversal/netcheck/probe_plan.h"

void
home_history_clear(struct home_history *h)
{
	for (size_t i = 0; i < HOME_HISTORY_MAX; i++)
		free(h->rounds[i].latencies);
	*h = (struct home_history){};
}

void
home_history_add(struct home_history *h, const struct netcheck_report *report)
{
	struct home_round *round = &h->rounds[h->next];
	struct home_latency *latencies = calloc(report->n_regions + 1, sizeof(latencies[0]));

	if (latencies == NULL)
		return;
	for (size_t i = 0; i < report->n_regions; i++)
		latencies[i] = (struct home_latency){ report->regions[i].region_id,
			netcheck_latency_us(&report->regions[i]) };
	free(round->latencies);
	*round = (struct home_round){ report->at, report->n_regions, latencies };
	h->next = (h->next + 1) % HOME_HISTORY_MAX;
}

// The best latency of the last minutes; 0: none.
static int64_t
best_of_region(const struct home_history *h, int32_t id, struct mono now)
{
	int64_t best = 0;

	for (size_t i = 0; i < HOME_HISTORY_MAX; i++) {
		const struct home_round *round = &h->rounds[i];

		if (mono_is_never(round->at) || mono_diff_ns(now, round->at) > HOME_HISTORY_NS)
			continue;
		for (size_t j = 0; j < round->n; j++) {
			int64_t us = round->latencies[j].latency_us;

			if (round->latencies[j].region_id == id && us > 0 &&
				(best == 0 || us < best))
				best = us;
		}
	}
	return best;
}

static double
scaled_ns(const struct home_question *q, int32_t id, int64_t latency_us)
{
	double score = derp_map_score(q->map, id);

	return (double)(latency_us * NS_PER_US) * (score > 0 ? score : 1);
}

static bool
can_be_home(const struct home_question *q, int32_t id)
{
	const struct derp_region *region = derp_map_find(q->map, id);

	return region != NULL && !region->is_without_measure;
}

// The nearest region that answered this time.
static int32_t
nearest(const struct home_history *h, const struct home_question *q, double *ret_ns)
{
	int32_t found = 0;

	for (size_t i = 0; i < q->report->n_regions; i++) {
		int32_t id = q->report->regions[i].region_id;
		double ns = scaled_ns(q, id, best_of_region(h, id, q->report->at));

		if (ns > 0 && can_be_home(q, id) && (found == 0 || ns < *ret_ns)) {
			found = id;
			*ret_ns = ns;
		}
	}
	return found;
}

static bool
was_heard_within(const struct home_question *q, int64_t ns)
{
	return !mono_is_never(q->previous_heard) &&
	       mono_diff_ns(q->report->at, q->previous_heard) <= ns;
}

// Whether the old home is good enough still to stay (5.3, item 3).
static bool
stays(const struct home_question *q, double best_ns)
{
	const struct netcheck_region *old = netcheck_find(q->report, q->previous);
	int64_t old_us = old != NULL ? netcheck_latency_us(old) : 0;
	double old_ns = scaled_ns(q, q->previous, old_us);
	bool heard = was_heard_within(q, HOME_HEARD_NS) ||
	             (!mono_is_never(q->previous_heard) &&
			     mono_diff_ns(q->previous_heard, q->began) >= 0);

	if (old_us == 0 && !heard)
		return false;
	return old_ns - best_ns < (double)HOME_CLOSE_NS || best_ns > old_ns / 3 * 2;
}

// There was never anything to choose by: any, but always the same one, so that peers find us where
// we said.
static int32_t
arbitrary(const struct home_question *q)
{
	size_t n = 0, wanted;

	for (size_t i = 0; i < q->map->n_regions; i++)
		n += can_be_home(q, q->map->regions[i].id);
	if (n == 0)
		return 0;
	wanted = (size_t)(q->seed % n);
	for (size_t i = 0; i < q->map->n_regions; i++)
		if (can_be_home(q, q->map->regions[i].id) && wanted-- == 0)
			return q->map->regions[i].id;
	return 0;
}

int32_t
home_region_choose(const struct home_history *h, const struct home_question *q)
{
	bool had = q->previous != 0 && can_be_home(q, q->previous);
	double best_ns = 0;
	int32_t best;

	if (had && !q->may_change)
		return q->previous;
	best = nearest(h, q, &best_ns);
	if (best == 0) // the reference's pickDERPFallback keeps it too, however long it was silent
		return had ? q->previous : arbitrary(q);
	if (had && best != q->previous && stays(q, best_ns))
		return q->previous;
	return best;
}
