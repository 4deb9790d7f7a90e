/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets that wait for a session of their peer, in the order in which they came.  Bounded per peer
 * and in all; the oldest of a peer makes room for the newest, as in the reference implementations.
 */

#include <assert.h>

#include "dataplane/stage/stages.h"

static_assert(WAITING_MAX_PER_PEER <= BURST_MAX, "all of a peer fits one burst");

static struct pkt *
take_first(struct worker *w, struct waiting *wait)
{
	struct pkt *p = wait->first;

	wait->first = p->next;
	wait->n--;
	w->n_waiting--;
	p->next = NULL;
	return p;
}

void
wait_for_session(struct worker *w, struct pkt *p)
{
	struct waiting *wait = &w->waiting[p->peer];

	if (wait->n == WAITING_MAX_PER_PEER)
		drop(w, take_first(w, wait), DROP_STAGE_FULL);
	if (w->n_waiting >= w->max_waiting) {
		drop(w, p, DROP_STAGE_FULL);
		return;
	}
	p->rx_ns = w->now_ns;
	p->next = NULL;
	if (wait->n == 0)
		wait->first = p;
	else
		wait->last->next = p;
	wait->last = p;
	wait->n++;
	w->n_waiting++;
	if (!wait->listed) {
		wait->listed = 1;
		w->waiting_peers[w->n_waiting_peers++] = p->peer;
	}
}

static bool
has_session(const struct worker *w, uint32_t peer)
{
	uint64_t word =
		atomic_load_explicit(&w->sessions.state->keypairs[peer], memory_order_acquire);
	// The same question as in session_select(): a yes there and a no here would go on for ever.
	return session_can_send(&w->sessions, shm_keypairs_current(word), w->now_ns);
}

// Where the sender of what waits in vain is told.
static enum origin
origin_of(const struct worker *w, const struct pkt *p)
{
	if (p->kind != PKT_INNER)
		return FROM_PEER;
	return net_port_of_row(w->net, p->port) != NULL ? FROM_LINK : FROM_HOST;
}

static void
unlist(struct worker *w, uint32_t at)
{
	w->waiting[w->waiting_peers[at]].listed = 0;
	w->waiting_peers[at] = w->waiting_peers[--w->n_waiting_peers];
}

bool
waiting_take(struct worker *w, struct burst *b)
{
	bool took = false;

	b->n = 0;
	for (uint32_t at = 0; at < w->n_waiting_peers;) {
		uint32_t peer = w->waiting_peers[at];
		struct waiting *wait = &w->waiting[peer];

		if (!has_session(w, peer)) {
			at++;
			continue;
		}
		if (b->n + wait->n > BURST_MAX)
			break; // all of a peer at once, or what is left would be overtaken
		while (wait->n > 0) {
			struct pkt *p = take_first(w, wait);
			struct ip_view *v = &b->view[b->n];

			// It was parsed when it came: only the view has to be found again.
			if (!ip_parse(p->data, p->len, v))
				drop(w, p, DROP_INNER_MALFORMED);
			else if (fib_lookup(&w->tables->fib, v->family, v->dst) != peer)
				drop(w, p, DROP_NO_PEER); // its prefix went elsewhere meanwhile
			else
				b->pkt[b->n++] = p;
		}
		wait->asked_ns = 0; // the next lack of a session is asked for at once
		unlist(w, at);
		took = true;
	}
	return took;
}

void
waiting_expire(struct worker *w, uint32_t only_peer)
{
	for (uint32_t at = 0; at < w->n_waiting_peers;) {
		uint32_t peer = w->waiting_peers[at];
		struct waiting *wait = &w->waiting[peer];
		struct ip_view v;

		while (wait->n > 0 && (only_peer == peer || w->now_ns - wait->first->rx_ns >
								    (uint64_t)WAITING_MAX_AGE_NS)) {
			struct pkt *p = take_first(w, wait);

			if (ip_parse(p->data, p->len, &v))
				refuse(w, p, &v, DROP_STAGE_EXPIRED, ICMP_ERROR_HOST_UNREACHABLE,
					origin_of(w, p));
			else
				drop(w, p, DROP_STAGE_EXPIRED);
		}
		if (wait->n == 0)
			unlist(w, at);
		else
			at++;
	}
}
