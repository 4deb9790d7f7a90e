/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Peer -> the session that seals for it.  Source: WireGuard whitepaper 6.2 for the limits.
 */

#include "dataplane/stage/stages.h"

// Ask for a session, or for a new one in time; once in a while per peer is enough.
static void
ask(struct worker *w, enum shm_event_kind kind, uint32_t peer, uint32_t index)
{
	struct waiting *wait = &w->waiting[peer];

	if (wait->asked_ns != 0 && w->now_ns - wait->asked_ns < (uint64_t)WAITING_ASK_NS)
		return;
	if (worker_event(w, kind, peer, index, 0, NULL))
		wait->asked_ns = w->now_ns;
}

// Behind those that wait already, also when the session has just come: order is kept.
static bool
must_wait(const struct worker *w, uint32_t peer)
{
	return w->n_waiting > 0 && w->waiting[peer].n > 0;
}

void
session_select(struct worker *w, struct burst *b)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		// Pairs with the release in link_slot() and session_promote().
		uint64_t word = atomic_load_explicit(
			&w->sessions.state->keypairs[p->peer], memory_order_acquire);

		p->slot = shm_keypairs_current(word);
		__builtin_prefetch(&w->sessions.keys->tx[p->slot], 1);
		session_path_prefetch(&w->sessions, p->peer);
	}
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct shm_session_tx *tx = &w->sessions.keys->tx[p->slot];

		if (__builtin_expect(!session_can_send(&w->sessions, p->slot, w->now_ns) ||
					     must_wait(w, p->peer),
			    0)) {
			if (p->kind == PKT_KEEPALIVE) {
				drop(w, p, DROP_KEEPALIVE);
				continue;
			}
			ask(w, SHM_EV_WANT_SESSION, p->peer, 0);
			wait_for_session(w, p);
			continue;
		}
		if (__builtin_expect(atomic_load_explicit(&tx->counter, memory_order_relaxed) >=
					     WG_REKEY_AFTER_MESSAGES,
			    0))
			ask(w, SHM_EV_WANT_REKEY, p->peer, tx->receiver_index);
		burst_keep(b, kept++, i);
	}
	b->n = kept;
	step_done(w->ticks, STEP_SESSION_SELECT);
}
