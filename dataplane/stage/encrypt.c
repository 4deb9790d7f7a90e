/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counter, padding, seal, header.  Source: WireGuard whitepaper 5.4.6; peer.md 3.5 for padding.
 */

#include <assert.h>

#include "dataplane/stage/stages.h"
#include "lib/crypto/aead.h"
#include "lib/net/ecn.h"
#include "lib/wg/limits.h"
#include "lib/wg/message.h"

static_assert(PKT_TAILROOM >= 2 * WG_PADDING + WG_TAG_LEN, "padding is written whole");

// Taken before use, so that whatever dies afterwards the next value there was never used.
static uint64_t
take(struct shm_session_tx *tx, uint32_t n, bool is_alone)
{
	uint64_t first;

	if (!is_alone)
		return atomic_fetch_add_explicit(&tx->counter, n, memory_order_relaxed);
	first = atomic_load_explicit(&tx->counter, memory_order_relaxed);
	atomic_store_explicit(&tx->counter, first + n, memory_order_relaxed);
	return first;
}

// Once for each run of packets of one session.
static void
take_counters(struct worker *w, struct burst *b)
{
	struct shm_session_tx *sessions = w->sessions.keys->tx;
	uint32_t n = b->n;

	for (uint32_t i = 0; i < n;) {
		uint32_t slot = b->pkt[i]->slot, run = 1;
		uint64_t counter;

		while (i + run < n && b->pkt[i + run]->slot == slot)
			run++;
		counter = take(&sessions[slot], run, w->is_alone);
		for (uint32_t end = i + run; i < end; i++)
			b->pkt[i]->counter = counter++;
	}
}

static void
count(struct worker *w, const struct pkt *p, bool data)
{
	struct shm_peer_counters *c = &w->peers[p->peer];

	c->tx_packets++;
	c->tx_bytes += p->len;
	c->last_tx_ns = w->now_ns;
	if (data)
		c->last_tx_data_ns = w->now_ns;
}

// Pad, write the header, and describe the job.  The packet is the whole message afterwards.
static void
prepare(struct worker *w, struct pkt *p, struct aead_job *job)
{
	const struct shm_session_tx *tx = &w->sessions.keys->tx[p->slot];
	uint32_t padded = wg_padded_len(p->len, w->tables->mtu);

	// All that padding can need: less work than to count it, and the tag comes there anyway.
	memset(p->data + p->len, 0, WG_PADDING);
	*job = (struct aead_job){
		.data = p->data,
		.len = padded,
		.key = tx->key,
		.counter = p->counter,
	};
	p->data -= WG_TRANSPORT_HEADER_LEN;
	p->len = WG_TRANSPORT_HEADER_LEN + padded + WG_TAG_LEN;
	wg_transport_header_write(p->data, tx->sender_index, p->counter);
	count(w, p, padded > 0);
}

void
encrypt(struct worker *w, struct burst *b)
{
	struct aead_job jobs[BURST_MAX];
	uint32_t kept = 0, n_relayed = 0;

	take_counters(w, b);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		if (p->counter >= WG_REJECT_AFTER_MESSAGES) {
			drop(w, p, DROP_COUNTER_EXHAUSTED);
			continue;
		}
		p->outer = session_path(&w->sessions, p->peer);
		if ((p->outer->family | p->outer->relay) == 0) {
			drop(w, p, DROP_NO_PATH);
			continue;
		}
		if (pkt_headroom(p) < WG_TRANSPORT_HEADER_LEN || pkt_tailroom(p) < PKT_TAILROOM) {
			drop(w, p, DROP_LONG);
			continue;
		}
		p->outer_ecn = p->kind == PKT_KEEPALIVE ? 0 : ecn_encapsulate(b->view[i].ecn);
		n_relayed += p->outer->relay;
		prepare(w, p, &jobs[kept]);
		b->pkt[kept++] = p;
	}
	b->n = kept;
	w->n_relayed = n_relayed;
	step_done(w->ticks, STEP_ENCRYPT);
	if (kept > 0)
		aead_seal(jobs, kept);
	step_done(w->ticks, STEP_AEAD_SEAL);
}
