/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counter, padding, seal, header.  Source: WireGuard whitepaper 5.4.6; peer.md 3.5 for padding.
 */

#include <x86intrin.h>

#include "dataplane/stage/stages.h"
#include "lib/crypto/aead.h"
#include "lib/net/ecn.h"
#include "lib/wg/message.h"

/*
 * Take counters: one atomic add for each run of packets of one session.  Taken before use, so that
 * whatever dies afterwards the next value there was never used.
 */
static void
take_counters(struct worker *w, struct burst *b)
{
	for (uint32_t i = 0; i < b->n;) {
		uint32_t slot = b->pkt[i]->slot, run = 1;
		uint64_t counter;

		while (i + run < b->n && b->pkt[i + run]->slot == slot)
			run++;
		counter = atomic_fetch_add_explicit(
			&w->sessions.keys->tx[slot].counter, run, memory_order_relaxed);
		for (uint32_t k = 0; k < run; k++)
			b->pkt[i + k]->counter = counter + k;
		i += run;
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

	memset(p->data + p->len, 0, padded - p->len);
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

static void
seal_burst(struct worker *w, struct aead_job *jobs, uint32_t n)
{
	uint64_t before;

	if (w->aead_tsc == NULL) {
		aead_seal(jobs, n);
		return;
	}
	before = __rdtsc();
	aead_seal(jobs, n);
	*w->aead_tsc += __rdtsc() - before;
}

void
encrypt(struct worker *w, struct burst *b)
{
	struct aead_job jobs[BURST_MAX];
	uint32_t kept = 0;

	take_counters(w, b);
	for (uint32_t i = 0; i < b->n; i++) {
		struct pkt *p = b->pkt[i];

		if (p->counter >= WG_REJECT_AFTER_MESSAGES) {
			drop(w, p, DROP_COUNTER_EXHAUSTED);
			continue;
		}
		p->outer = session_path(&w->sessions, p->peer);
		if (p->outer->family == 0) {
			drop(w, p, DROP_NO_PATH);
			continue;
		}
		if (pkt_headroom(p) < WG_TRANSPORT_HEADER_LEN || pkt_tailroom(p) < PKT_TAILROOM) {
			drop(w, p, DROP_LONG);
			continue;
		}
		p->outer_ecn = p->kind == PKT_KEEPALIVE ? 0 : ecn_encapsulate(b->view[i].ecn);
		prepare(w, p, &jobs[kept]);
		b->pkt[kept++] = p;
	}
	b->n = kept;
	if (kept > 0)
		seal_burst(w, jobs, kept);
}
