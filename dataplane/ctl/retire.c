/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/retire.h"

#include "dataplane/ctl/steering.h"

void
apply_retire(struct apply *a, uint32_t slot)
{
	const struct shm_session_row *row = &a->sessions.state->sessions[slot];

	// Free already, or even used again: an event that came late is about what was there before.
	if (slot == 0 || atomic_load_explicit(&row->receiver_index, memory_order_relaxed) == 0 ||
		session_is_linked(&a->sessions, row->peer, slot))
		return;
	if (a->n_retired == APPLY_MAX_RETIRED)
		apply_flush_retired(a);
	session_retire(&a->sessions, slot);
	a->retired[a->n_retired++] = slot;
}

void
apply_flush_retired(struct apply *a)
{
	if (a->n_retired == 0)
		return;
	quiescent_wait_workers(a->quiescent);
	for (uint32_t i = 0; i < a->n_retired; i++) {
		uint32_t slot = a->retired[i];
		const struct shm_session_row *row = &a->sessions.state->sessions[slot];
		struct shm_event freed = {
			.kind = SHM_EV_SESSION_FREED,
			.peer = row->peer,
			.index = atomic_load_explicit(&row->receiver_index, memory_order_relaxed),
		};

		if (freed.index == 0)
			continue; // twice on the list
		session_wipe(&a->sessions, slot);
		// Lost, if the control plane does not read: it looks into the directory now and
		// then.
		(void)a->calls.event(a->calls.context, &freed);
	}
	a->n_retired = 0;
}

static bool
was_moved(const struct apply *a, uint32_t peer)
{
	for (uint32_t i = 0; i < a->n_moved; i++)
		if (a->moved[i] == peer)
			return true;
	return a->n_moved == APPLY_MAX_MOVED;
}

void
apply_set_path(struct apply *a, uint32_t peer, const struct shm_path *path)
{
	if (was_moved(a, peer)) {
		quiescent_wait_all(a->quiescent); // packets under way may still use the other copy
		a->n_moved = 0;
	}
	session_set_path(&a->sessions, peer, path);
	if (a->steering != NULL)
		steering_path(a->steering, peer, path);
	a->moved[a->n_moved++] = peer;
}
