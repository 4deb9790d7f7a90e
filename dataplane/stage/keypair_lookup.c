/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Receiver index -> session.  Source: docs/shm-abi.md, "Sessions"; peer.md 3.5.
 */

#include "dataplane/stage/stages.h"
#include "lib/wg/message.h"

#define AHEAD 4 // packets whose first line is fetched before it is looked at

static void
set_aside(struct worker *w, struct pkt *p)
{
	switch (wg_message_type(p->data, p->len)) {
	case WG_MESSAGE_INITIATION:
	case WG_MESSAGE_RESPONSE:
	case WG_MESSAGE_COOKIE_REPLY:
		worker_punt(w, p); // the kernel had merged it with data
		return;
	default:
		drop(w, p, p->len < WG_TRANSPORT_MIN_LEN ? DROP_WIRE_SHORT : DROP_WIRE_TYPE);
	}
}

// Headers to slots, and fetch what the second pass looks at.
static void
read_headers(struct worker *w, struct burst *b, uint32_t index[BURST_MAX])
{
	// Beyond the slots ever used nothing is looked at: it would make pages for whoever asks.
	uint32_t end = session_end(&w->sessions);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		uint32_t slot;

		if (i + AHEAD < b->n)
			__builtin_prefetch(b->pkt[i + AHEAD]->data);
		if (p->len < WG_TRANSPORT_MIN_LEN ||
			load_le32(p->data) != WG_MESSAGE_TRANSPORT_DATA) {
			set_aside(w, p);
			continue;
		}
		index[kept] = load_le32(p->data + 4);
		slot = shm_index_slot(index[kept]);
		if (slot >= end) {
			drop(w, p, DROP_NO_SESSION);
			continue;
		}
		p->slot = slot;
		p->counter = load_le64(p->data + 8);
		__builtin_prefetch(&w->sessions.keys->rx[slot]);
		__builtin_prefetch(&session_replay(&w->sessions, slot)
					    ->word[(p->counter >> 5) % WG_REPLAY_WORDS],
			1);
		b->pkt[kept++] = p;
	}
	b->n = kept;
}

void
keypair_lookup(struct worker *w, struct burst *b)
{
	uint32_t index[BURST_MAX];
	uint32_t kept = 0;

	read_headers(w, b, index);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];
		const struct shm_session_rx *rx = &w->sessions.keys->rx[p->slot];

		// Pairs with the release in session_install(): index there means keys there.
		if (atomic_load_explicit(&rx->receiver_index, memory_order_acquire) != index[i] ||
			index[i] == 0) {
			drop(w, p, DROP_NO_SESSION);
			continue;
		}
		if (session_is_expired(rx->birth_ns, w->now_ns)) {
			drop(w, p, DROP_SESSION_EXPIRED);
			continue;
		}
		if (!wg_replay_check(session_replay(&w->sessions, p->slot), p->counter)) {
			drop(w, p, DROP_REPLAY);
			continue;
		}
		p->peer = rx->peer;
		__builtin_prefetch(&w->peers[p->peer], 1);
		__builtin_prefetch(&w->sessions.state->keypairs[p->peer]);
		b->pkt[kept++] = p;
	}
	b->n = kept;
}
