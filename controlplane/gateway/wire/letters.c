/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What coord asks for, and what it is told.
 */

#include <stdlib.h>

#include "controlplane/gateway/wire/wire_state.h"

#define SNAPSHOT_SLICE 1024
#define MAX_PATH_VIEWS 256

/* --- status, stamps --- */

static void
begin_snapshot(struct wire *w, uint64_t number)
{
	if (w->snapshot != NULL)
		return; // coord asks one at a time
	w->snapshot = snapshot_create(&w->engine, w->now);
	if (w->snapshot == NULL)
		return;
	w->snapshot->number = number;
	w->snapshot->generation = w->publisher.applied_generation;
	w->snapshot->settled = w->everything_applied;
}

void
wire_continue_snapshot(struct wire *w)
{
	struct letter *letter;

	if (w->snapshot == NULL ||
		!snapshot_add_peers(w->snapshot, &w->engine, w->traversal, SNAPSHOT_SLICE))
		return;
	letter = letter_create(LETTER_STATUS);
	letter->number = w->snapshot->number;
	letter->snapshot = w->snapshot;
	w->snapshot = NULL;
	mailbox_post(w->outbox, letter);
}

void
wire_send_stamps(struct wire *w)
{
	struct letter *letter = letter_create(LETTER_STAMPS);

	letter->stamps = engine_stamps(&w->engine, &letter->n);
	w->stamps_sent = w->now;
	mailbox_post(w->outbox, letter);
}

// Of members that somebody talks with, or has lately; of others there is nothing to see.
static void
send_paths(struct wire *w, uint64_t number)
{
	struct letter *letter = letter_create(LETTER_PATHS);

	letter->number = number;
	letter->path_views = calloc(MAX_PATH_VIEWS, sizeof(letter->path_views[0]));
	for (struct peer *p = peers_next(&w->engine.peers, 0);
		p != NULL && letter->path_views != NULL && letter->n < MAX_PATH_VIEWS;
		p = peers_next(&w->engine.peers, p->number + 1)) {
		struct path_view *view = &letter->path_views[letter->n];

		if (!p->is_member || !traversal_view(w->traversal, p->number, view))
			continue;
		view->node_key = p->remote.static_public;
		letter->n += view->state.is_active || !mono_is_never(view->state.last_ping_all);
	}
	mailbox_post(w->outbox, letter);
}

/* --- letters --- */

static void
read_letter(struct wire *w, struct letter *letter)
{
	switch (letter->kind) {
	case LETTER_DESIRED:
		wire_on_desired(w, letter);
		break;
	case LETTER_EXCEPTIONS:
		wire_on_exceptions(w, letter);
		break;
	case LETTER_ENDPOINT:
		wire_on_endpoint(w, letter);
		break;
	case LETTER_ASK_STATUS:
		begin_snapshot(w, letter->number);
		break;
	case LETTER_PING:
		wire_ping_member(w, letter);
		break;
	case LETTER_PING_INSIDE:
		wire_ping_inside(w, letter);
		break;
	case LETTER_ASK_PATHS:
		send_paths(w, letter->number);
		break;
	case LETTER_NETWORK:
		wire_on_network(w, letter);
		break;
	case LETTER_NEIGHBOURS:
		wire_on_neighbours(w, letter);
		break;
	case LETTER_CAPTURE:
		wire_on_capture(w, letter);
		break;
	case LETTER_NETCHECK:
		traversal_netcheck(w->traversal, w->now);
		break;
	case LETTER_STOP:
		w->stopping = true;
		break;
	default:
		break;
	}
}

void
wire_read_inbox(struct wire *w)
{
	struct letter *letter;

	while (!w->stopping && (letter = mailbox_take(w->inbox)) != NULL) {
		read_letter(w, letter);
		letter_destroy(letter);
	}
}
