/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What shall be, taken over by engine, traversal and publisher.
 */

#define LOG_TAG "wire"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/wire/wire_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define MEMBERS_SLICE 1024 /* peers that the traversal is told about in one round */

/* --- calls of the publisher --- */

static bool
path_of(void *context, uint32_t peer, struct shm_path *ret_path)
{
	struct wire *w = context;

	return engine_path(&w->engine, peer, ret_path);
}

static void
settle(struct wire *w, uint64_t number, int value)
{
	struct letter *letter;

	if (number <= w->settled)
		return;
	w->settled = number;
	letter = letter_create(LETTER_SETTLED);
	letter->number = number;
	letter->value = value;
	mailbox_post(w->outbox, letter);
}

static void
applied_now(void *context, const struct rows *rows, uint64_t number)
{
	struct wire *w = context;

	engine_published(&w->engine, rows, w->now);
	w->everything_applied = number == w->number;
	if (number == w->number) {
		desired_destroy(w->previous);
		w->previous = NULL;
	}
	if (w->settled < number)
		log_notice("configuration applied generation=%llu peers=%zu prefixes=%zu",
			(unsigned long long)w->publisher.applied_generation, rows->n_peers,
			rows->n_prefixes);
	settle(w, number, 0);
}

// What was in force stays in force: take it up again.
static void
refused(void *context, uint32_t reason, uint64_t number)
{
	struct wire *w = context;

	log_err("the data plane refused the configuration, the one before stays in force reason=%u",
		reason);
	settle(w, number, -EINVAL);
	if (number != w->number || w->previous == NULL)
		return;
	desired_destroy(w->desired);
	w->desired = w->previous;
	w->previous = NULL;
	wire_take_desired(w);
}

void
wire_init_publisher(struct wire *w)
{
	publisher_init(&w->publisher, &w->dp);
	w->publisher.path = path_of;
	w->publisher.applied_now = applied_now;
	w->publisher.refused = refused;
	w->publisher.context = w;
}

/* --- desired state --- */

void
wire_publish(struct wire *w)
{
	struct rows *rows;

	if (w->desired == NULL || !w->have_exceptions || w->engine.known_boot == 0)
		return; // not complete yet, or peers have no numbers before the first attach
	rows = engine_rows(&w->engine, w->desired, w->exceptions, w->n_exceptions);
	if (rows == NULL) {
		log_err("out of memory, the data plane keeps what it has");
		return;
	}
	w->everything_applied = false;
	publisher_wish(&w->publisher, rows, w->number);
}

static void
take_member(struct wire *w, const struct desired_peer *from)
{
	struct peer *p = from->is_member ? peers_find(&w->engine.peers, &from->public_key) : NULL;

	if (p == NULL)
		return;
	traversal_take_peer(w->traversal, p->number, from,
		w->desired->endpoints + from->first_endpoint, w->now);
	if (p->has_noted_path)
		traversal_adopt_path(
			w->traversal, p->number, &p->endpoint, &p->local, p->relay, w->now);
	p->has_noted_path = false;
}

// The same peers by the same numbers as the engine's.  Those that leave are forgotten at once.
static void
begin_members(struct wire *w)
{
	const struct desired *d = w->desired;

	traversal_take_self(
		w->traversal, d->self.is_member ? &d->self : NULL, &d->private_key, w->now);
	for (struct peer *p = peers_next(&w->engine.peers, 0); p != NULL;
		p = peers_next(&w->engine.peers, p->number + 1))
		if (p->is_member && p->state != PEER_WANTED)
			traversal_drop_peer(w->traversal, p->number);
	w->next_member = 0;
	w->members_due = true;
	w->publish_due = false;
}

/*
 * What is desired, part by part, round by round: ten thousand peers at once would keep pongs
 * waiting.  Few are taken over in the round in which they came.
 */
void
wire_continue_desired(struct wire *w)
{
	const struct desired *d = w->desired;

	for (size_t i = 0; w->members_due && i < MEMBERS_SLICE && w->next_member < d->n_peers; i++)
		take_member(w, &d->peers[w->next_member++]);
	if (w->members_due && w->next_member == d->n_peers) {
		w->members_due = false;
		w->publish_due = true;
		if (d->n_peers > MEMBERS_SLICE)
			return;
	}
	if (w->publish_due) {
		w->publish_due = false;
		wire_publish(w);
	}
}

void
wire_take_desired(struct wire *w)
{
	int err;

	if (w->desired == NULL || w->engine.known_boot == 0)
		return;
	w->everything_applied = false;
	err = engine_take_desired(&w->engine, w->desired, w->now);
	if (err < 0)
		log_err("not every peer could be added, some are left out: %s", err_str(err));
	begin_members(w);
	if (w->desired->n_peers <= MEMBERS_SLICE)
		wire_continue_desired(w);
}

void
wire_on_desired(struct wire *w, struct letter *letter)
{
	// With a `previous`, the present one was never in force: not worth going back to.
	if (w->previous == NULL)
		w->previous = w->desired;
	else
		desired_destroy(w->desired);
	w->desired = letter->desired;
	letter->desired = NULL;
	w->number = letter->number;
	wire_take_desired(w);
}

void
wire_on_exceptions(struct wire *w, struct letter *letter)
{
	free(w->exceptions);
	w->exceptions = letter->prefixes;
	w->n_exceptions = letter->n;
	letter->prefixes = NULL;
	w->have_exceptions = true;
	wire_publish(w);
}

// Before the first attach there are no peers: it is kept where they will be made from.
void
wire_on_endpoint(struct wire *w, const struct letter *letter)
{
	if (w->engine.known_boot != 0) {
		engine_endpoint_resolved(&w->engine, &letter->key, &letter->endpoint, w->now);
		return;
	}
	for (size_t i = 0; w->desired != NULL && i < w->desired->n_peers; i++) {
		struct desired_peer *p = &w->desired->peers[i];

		if (memcmp(&p->public_key, &letter->key, sizeof(p->public_key)) == 0)
			p->endpoint = letter->endpoint;
	}
}
