/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Receiver index -> session.  Source: docs/shm-abi.md, "Sessions"; peer.md 3.5.
 */

#include "dataplane/stage/stages.h"
#include "lib/wg/message.h"

#define AHEAD 4 // packets whose first line is fetched before it is looked at

[[gnu::cold]] static void
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
	const struct session_table sessions = w->sessions;
	// Only slots 1 to `used`: to look beyond would make pages for whoever asks.
	uint32_t end = session_end(&sessions), used = end > 0 ? end - 1 : 0;
	uint32_t n = b->n, kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const uint8_t *data = p->data;
		uint32_t slot;
		uint64_t counter;

		if (i + AHEAD < n)
			__builtin_prefetch(b->pkt[i + AHEAD]->data);
		if (p->len < WG_TRANSPORT_MIN_LEN || load_le32(data) != WG_MESSAGE_TRANSPORT_DATA) {
			set_aside(w, p);
			continue;
		}
		index[kept] = load_le32(data + 4);
		slot = shm_index_slot(index[kept]);
		if (slot - 1 >= used) {
			drop(w, p, DROP_NO_SESSION);
			continue;
		}
		counter = load_le64(data + 8);
		p->slot = slot;
		p->counter = counter;
		session_prefetch(&sessions, slot, counter);
		b->pkt[kept++] = p;
	}
	b->n = kept;
}

// Seen here, where many packets are looked at side by side; believed after decryption.
static uint8_t
notice(const struct pkt *p, const struct shm_session_rx *rx)
{
	uint8_t flags = 0;

	if (atomic_load_explicit(&rx->path_tag, memory_order_relaxed) != p->outer_tag)
		flags |= PKT_FROM_ELSEWHERE;
	if (atomic_load_explicit(&rx->is_confirmed, memory_order_relaxed) == 0)
		flags |= PKT_UNCONFIRMED;
	return flags;
}

void
keypair_lookup(struct worker *w, struct burst *b)
{
	const struct session_table sessions = w->sessions;
	const struct shm_peer_counters *peers = w->peers;
	uint64_t now_ns = w->now_ns;
	uint32_t index[BURST_MAX];
	uint32_t n, kept = 0;

	read_headers(w, b, index);
	n = b->n;
	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = b->pkt[i];
		const struct shm_session_rx *rx = &sessions.keys->rx[p->slot];

		// Pairs with the release in session_install(): index there means keys there.
		if (atomic_load_explicit(&rx->receiver_index, memory_order_acquire) != index[i]) {
			drop(w, p, DROP_NO_SESSION);
			continue;
		}
		if (session_is_expired(rx->birth_ns, now_ns)) {
			drop(w, p, DROP_SESSION_EXPIRED);
			continue;
		}
		if (!wg_replay_check(session_replay(&sessions, p->slot), p->counter)) {
			drop(w, p, DROP_REPLAY);
			continue;
		}
		p->peer = rx->peer;
		p->flags = notice(p, rx);
		__builtin_prefetch(&peers[p->peer], 1);
		b->pkt[kept++] = p;
	}
	b->n = kept;
	step_done(w->ticks, STEP_KEYPAIR_LOOKUP);
}
