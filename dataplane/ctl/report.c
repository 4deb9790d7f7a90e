/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/report.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/ctl/retire.h"
#include "lib/shm/region.h"

// One command causes at most: its answer, and SESSION_FREED for each slot that was retired.
#define ANSWER_ROOM (APPLY_MAX_RETIRED + 16)

void
rings_join(struct rings *r, struct shm_to_dp *to_dp, struct shm_to_cp *to_cp, int bell_cp)
{
	*r = (struct rings){ .attached = true,
		.to_dp = to_dp,
		.to_cp = to_cp,
		.bell_cp = bell_cp,
		.n_no_buffer = r->n_no_buffer };
	to_cp->magic = SHM_MAGIC;
	to_cp->abi_version = SHM_ABI_VERSION;
	to_cp->layout_hash = shm_layout_hash();
	shm_ring_rx_init(&r->commands, &to_cp->commands_tail, &to_dp->commands_head,
		to_dp->commands, sizeof(to_dp->commands[0]), SHM_N_COMMANDS);
	shm_ring_rx_init(&r->inject, &to_cp->inject_tail, &to_dp->inject_head, to_dp->inject,
		sizeof(to_dp->inject[0]), SHM_N_PACKETS);
	shm_ring_tx_init(&r->events, &to_cp->events_head, &to_dp->events_tail, to_cp->events,
		sizeof(to_cp->events[0]), SHM_N_EVENTS);
	shm_ring_tx_init(&r->punt, &to_cp->punt_head, &to_dp->punt_tail, to_cp->punt,
		sizeof(to_cp->punt[0]), SHM_N_PACKETS);
}

void
rings_leave(struct rings *r)
{
	if (!r->attached)
		return;
	munmap(r->to_dp, sizeof(*r->to_dp));
	munmap(r->to_cp, sizeof(*r->to_cp));
	*r = (struct rings){ .bell_cp = -1, .n_no_buffer = r->n_no_buffer };
}

bool
rings_event(struct rings *r, const struct shm_event *event)
{
	struct shm_event *slot;

	if (!r->attached)
		return false;
	slot = shm_ring_reserve(&r->events);
	if (slot == NULL)
		return false;
	*slot = *event;
	shm_ring_publish(&r->events);
	r->rang_needed = true;
	return true;
}

bool
rings_have_room(struct rings *r)
{
	return r->attached && !r->events.violated &&
	       shm_ring_used(&r->events) + ANSWER_ROOM < SHM_N_EVENTS;
}

void
rings_bell(struct rings *r)
{
	uint64_t one = 1;

	if (!r->attached || !r->rang_needed)
		return;
	r->rang_needed = false;
	if (!shm_ring_wants_bell(&r->events) && !shm_ring_wants_bell(&r->punt))
		return;
	if (write(r->bell_cp, &one, sizeof(one)) < 0)
		return; // full counter: it rings already
}

// What there may be much of leaves room to handshakes.
static bool
has_punt_room(struct rings *r, bool is_urgent)
{
	return is_urgent || shm_ring_used(&r->punt) < SHM_N_PACKETS - SHM_N_PUNT_URGENT;
}

static void
report_punt(struct rings *r, const struct pkt *p, uint64_t *drops)
{
	bool is_relayed = p->kind == PKT_RELAY, is_urgent = p->kind == PKT_WIRE;
	struct shm_packet *slot = NULL;

	if (r->attached && p->len <= SHM_PACKET_LEN && has_punt_room(r, is_urgent))
		slot = shm_ring_reserve(&r->punt);
	if (slot == NULL) {
		drops[is_relayed ? DROP_RELAY_FULL : DROP_PUNT_FULL]++;
		return;
	}
	memset(slot, 0, sizeof(*slot) - sizeof(slot->data));
	slot->kind = is_relayed ? SHM_PKT_RELAY : is_urgent ? SHM_PKT_WIRE : SHM_PKT_TSMP;
	slot->len = p->len;
	slot->peer = is_urgent ? SHM_NO_PEER : p->peer;
	if (is_urgent)
		memcpy(&slot->path, p->outer, sizeof(slot->path));
	memcpy(slot->data, p->data, p->len);
	shm_ring_publish(&r->punt);
	r->rang_needed = true;
}

void
report_worker(struct rings *r, struct apply *a, struct worker_thread *t, struct pool_cache *pool)
{
	const struct shm_event *event;
	struct pkt *pkts[BURST_MAX];
	uint32_t n;

	while ((event = event_ring_peek(&t->events)) != NULL) {
		if (r->attached && !rings_have_room(r))
			break; // they wait here until the control plane has read
		if (event->kind == SHM_EV_PROMOTED) {
			apply_retire(a, event->value);
			a->calls.sessions_changed(a->calls.context);
		}
		rings_event(r, event);
		event_ring_advance(&t->events);
	}
	while ((n = pkt_ring_get(&t->punt, pkts, BURST_MAX)) > 0) {
		for (uint32_t i = 0; i < n; i++)
			report_punt(r, pkts[i], a->sessions.state->workers[SHM_MAIN_ROW].drops);
		pool_put(pool, pkts, n);
	}
}

struct pkt *
report_take_injected(struct rings *r, struct pool_cache *pool)
{
	struct shm_packet copy;
	struct pkt *p;

	if (!r->attached || !shm_ring_peek(&r->inject, &copy))
		return NULL;
	shm_ring_advance(&r->inject); // before it goes on: never twice
	if (pool_get(pool, &p, 1) == 0) {
		r->n_no_buffer++;
		return NULL;
	}
	if (copy.len > SHM_PACKET_LEN || copy.len > pkt_capacity(p->frame_len) ||
		(copy.kind != SHM_PKT_WIRE && copy.kind != SHM_PKT_INNER)) {
		pool_put(pool, &p, 1);
		return NULL;
	}
	if (copy.path.family != 4 && copy.path.family != 6)
		copy.path = (struct shm_path){ .relay = 1 };
	p->kind = copy.kind == SHM_PKT_WIRE ? PKT_WIRE : PKT_INNER;
	p->len = copy.len;
	p->port = PKT_PORT_OWN;
	p->flow_hash = 0;
	memcpy(&p->rx_outer, &copy.path, sizeof(p->rx_outer));
	p->outer_tag = pkt_outer_tag(&p->rx_outer);
	memcpy(p->data, copy.data, copy.len);
	return p;
}
