/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Authenticate, open, accept the counter.  Source: WireGuard whitepaper 5.4.6.
 */

#include <x86intrin.h>

#include "dataplane/stage/stages.h"
#include "lib/crypto/aead.h"
#include "lib/wg/message.h"

static void
open_burst(struct worker *w, struct burst *b, struct aead_job jobs[BURST_MAX])
{
	uint64_t before;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		jobs[i] = (struct aead_job){
			.data = p->data + WG_TRANSPORT_HEADER_LEN,
			.len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
			.key = w->sessions.keys->rx[p->slot].key,
			.counter = p->counter,
		};
	}
	if (w->aead_tsc == NULL) {
		aead_open(jobs, b->n);
		return;
	}
	before = __rdtsc();
	aead_open(jobs, b->n);
	*w->aead_tsc += __rdtsc() - before;
}

static void
count(struct worker *w, const struct pkt *p, bool data)
{
	struct shm_peer_counters *c = &w->peers[p->peer];

	c->rx_packets++;
	c->rx_bytes += p->len;
	c->last_rx_ns = w->now_ns;
	if (data)
		c->last_rx_data_ns = w->now_ns;
}

// The first packet of `next`, or one from an unexpected place: rare, and the control plane hears.
static void
report_changes(struct worker *w, const struct pkt *p)
{
	struct shm_session_rx *rx = &w->sessions.keys->rx[p->slot];
	uint32_t index = atomic_load_explicit(&rx->receiver_index, memory_order_relaxed);
	struct waiting *wait = &w->waiting[p->peer];
	uint32_t freed;

	// If this event finds no room, the main thread's sweep finds the freed slot.
	if (session_promote(&w->sessions, p->peer, p->slot, &freed))
		worker_event(w, SHM_EV_PROMOTED, p->peer, index, freed, NULL);
	if (__builtin_expect(session_path_tag(p->outer) !=
				     atomic_load_explicit(&rx->path_tag, memory_order_relaxed),
		    0) &&
		w->now_ns - wait->seen_ns >= (uint64_t)WAITING_SEEN_NS &&
		worker_event(w, SHM_EV_SEEN_FROM, p->peer, index, 0, p->outer))
		wait->seen_ns = w->now_ns;
}

void
decrypt(struct worker *w, struct burst *b)
{
	struct aead_job jobs[BURST_MAX];
	uint32_t kept = 0;

	if (b->n == 0)
		return;
	open_burst(w, b, jobs);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		if (!jobs[i].ok) {
			drop(w, p, DROP_AUTH);
			continue;
		}
		// Before the packet goes on: a death costs a loss, never a duplicate.
		if (!wg_replay_accept(session_replay(&w->sessions, p->slot), p->counter)) {
			drop(w, p, DROP_REPLAY);
			continue;
		}
		report_changes(w, p);
		count(w, p, jobs[i].len > 0);
		if (jobs[i].len == 0) {
			drop(w, p, DROP_KEEPALIVE);
			continue;
		}
		p->data = jobs[i].data;
		p->len = jobs[i].len;
		b->pkt[kept++] = p;
	}
	b->n = kept;
}
