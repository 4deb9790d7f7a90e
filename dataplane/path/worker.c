/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/path/worker.h"

#include <string.h>

#include "dataplane/io/pkt_ring.h"
#include "dataplane/path/capture.h"
#include "dataplane/path/event_ring.h"

void
drop(struct worker *w, struct pkt *p, enum drop_reason reason)
{
	w->counters->drops[reason]++;
	if (capture_is_on(w))
		capture_drop(w, p, reason);
	pool_put(&w->pool, &p, 1);
}

bool
worker_event(struct worker *w,
	enum shm_event_kind kind,
	uint32_t peer,
	uint32_t index,
	uint32_t value,
	const struct pkt_outer *from)
{
	struct shm_event event = { .kind = kind, .peer = peer, .index = index, .value = value };

	if (from != NULL)
		memcpy(&event.path, from, sizeof(event.path));
	if (!event_ring_put(w->events, &event))
		return false;
	doorbell_ring(w->main_bell);
	return true;
}

void
worker_punt(struct worker *w, struct pkt *p)
{
	worker_punt_all(w, &p, 1, DROP_PUNT_FULL);
}

void
worker_punt_all(struct worker *w, struct pkt *const *pkts, uint32_t n, enum drop_reason reason)
{
	uint32_t taken = pkt_ring_put(w->punt, pkts, n);

	for (uint32_t i = taken; i < n; i++)
		drop(w, pkts[i], reason);
	if (taken > 0)
		doorbell_ring(w->main_bell);
}
