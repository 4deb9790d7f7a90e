/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Authenticate, open, accept the counter.  Source: WireGuard whitepaper 5.4.6.
 */

#include "dataplane/stage/stages.h"
#include "lib/crypto/aead.h"
#include "lib/wg/message.h"

static void
open_burst(struct worker *w, struct burst *b, struct aead_job jobs[BURST_MAX])
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		jobs[i] = (struct aead_job){
			.data = p->data + WG_TRANSPORT_HEADER_LEN,
			.len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN,
			.key = w->sessions.keys->rx[p->slot].key,
			.counter = p->counter,
		};
	}
	step_done(w->ticks, STEP_DECRYPT);
	aead_open(jobs, b->n);
	step_done(w->ticks, STEP_AEAD_OPEN);
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

// Perhaps the first authentic packet of `next`.
static void
confirm(struct worker *w, const struct pkt *p, struct shm_session_rx *rx)
{
	uint32_t freed;

	if (!session_promote(&w->sessions, p->peer, p->slot, &freed))
		return;
	atomic_store_explicit(&rx->is_confirmed, 1, memory_order_relaxed);
	// If this event finds no room, the main thread's sweep finds the freed slot.
	worker_event(w, SHM_EV_PROMOTED, p->peer,
		atomic_load_explicit(&rx->receiver_index, memory_order_relaxed), freed, NULL);
}

// An authentic packet from where the peer is not expected: the control plane hears of it.
static void
report_place(struct worker *w, const struct pkt *p, const struct shm_session_rx *rx)
{
	struct waiting *wait = &w->waiting[p->peer];

	if (w->now_ns - wait->seen_ns >= (uint64_t)WAITING_SEEN_NS &&
		worker_event(w, SHM_EV_SEEN_FROM, p->peer,
			atomic_load_explicit(&rx->receiver_index, memory_order_relaxed), 0,
			p->outer))
		wait->seen_ns = w->now_ns;
}

[[gnu::cold]] static void
report_changes(struct worker *w, const struct pkt *p)
{
	struct shm_session_rx *rx = &w->sessions.keys->rx[p->slot];

	if ((p->flags & PKT_UNCONFIRMED) != 0)
		confirm(w, p, rx);
	if ((p->flags & PKT_FROM_ELSEWHERE) != 0)
		report_place(w, p, rx);
}

/*
 * Accept the counters of packets i to *ret_end - 1 by one locked instruction: they are of one
 * session and one block of its window, as in a flow they mostly are.  Returns the bits accepted.
 */
static uint32_t
accept_run(const struct worker *w,
	const struct burst *b,
	const struct aead_job *jobs,
	uint32_t i,
	uint32_t *ret_end)
{
	uint32_t slot = b->pkt[i]->slot, bits = 0, end = i;
	uint64_t block = b->pkt[i]->counter >> 5;

	do {
		if (jobs[end].ok)
			bits |= UINT32_C(1) << (b->pkt[end]->counter & 31);
		end++;
	} while (end < b->n && b->pkt[end]->slot == slot && b->pkt[end]->counter >> 5 == block);
	*ret_end = end;
	return wg_replay_accept_block(session_replay(&w->sessions, slot), block, bits, w->is_alone);
}

// Count an authentic packet and strip what made it one.  False: it was a keepalive.
static bool
receive(struct worker *w, struct pkt *p)
{
	uint32_t len = p->len - WG_TRANSPORT_HEADER_LEN - WG_TAG_LEN;

	if (__builtin_expect(p->flags != 0, 0))
		report_changes(w, p);
	count(w, p, len > 0);
	p->data += WG_TRANSPORT_HEADER_LEN;
	p->len = len;
	return len > 0;
}

void
decrypt(struct worker *w, struct burst *b)
{
	struct aead_job jobs[BURST_MAX];
	uint32_t n = b->n, kept = 0;

	if (n == 0)
		return;
	open_burst(w, b, jobs);
	for (uint32_t i = 0, end; i < n;) {
		// Before the packets go on: a death costs a loss, never a duplicate.
		uint32_t accepted = accept_run(w, b, jobs, i, &end);

		for (; i < end; i++) {
			struct pkt *p = b->pkt[i];
			uint32_t bit = UINT32_C(1) << (p->counter & 31);

			if (!jobs[i].ok)
				drop(w, p, DROP_AUTH);
			else if ((accepted & bit) == 0)
				drop(w, p, DROP_REPLAY);
			else if (!receive(w, p))
				drop(w, p, DROP_KEEPALIVE);
			else
				b->pkt[kept++] = p;
			if (jobs[i].ok)
				accepted &= ~bit; // another one with this counter is a repeat
		}
	}
	b->n = kept;
	step_done(w->ticks, STEP_DECRYPT);
}
