/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/publisher.h"

#include <string.h>

void
publisher_init(struct publisher *p, struct dataplane *dp)
{
	*p = (struct publisher){ .dp = dp, .full_next = true, .path_of_peer = SHM_NO_PEER };
}

void
publisher_fini(struct publisher *p)
{
	rows_destroy(p->applied);
	rows_destroy(p->sending);
	rows_destroy(p->wanted);
	publisher_init(p, p->dp);
}

// What was being said becomes what is wanted, unless something newer is.
static void
take_back(struct publisher *p)
{
	if (p->sending != NULL && p->wanted == NULL) {
		p->wanted = p->sending;
		p->wanted_number = p->sending_number;
	} else {
		rows_destroy(p->sending);
	}
	p->sending = NULL;
	p->begun = p->committed = p->has_command = false;
	p->path_of_peer = SHM_NO_PEER;
}

void
publisher_start_over(struct publisher *p)
{
	uint64_t generation;
	uint32_t n_peers, n_prefixes;

	take_back(p);
	if (p->wanted == NULL) {
		p->wanted = p->applied;
		p->wanted_number = p->applied_number;
	} else {
		rows_destroy(p->applied);
	}
	p->applied = NULL;
	p->applied_generation = 0;
	p->full_next = true;
	// Numbers go on from whatever was used in this memory before.
	if (dataplane_applied(p->dp, &generation, &n_peers, &n_prefixes) != NULL &&
		generation > p->generation && generation < UINT64_MAX / 2)
		p->generation = generation;
}

void
publisher_detached(struct publisher *p)
{
	publisher_start_over(p);
}

void
publisher_wish(struct publisher *p, struct rows *rows, uint64_t number)
{
	rows_destroy(p->wanted);
	p->wanted = rows;
	p->wanted_number = number;
	if (p->sending != NULL || p->applied == NULL || !rows_equal(rows, p->applied))
		return;
	// Names, keys and the like: nothing that the data plane would know.
	p->wanted = NULL;
	rows_destroy(p->applied);
	p->applied = rows;
	p->applied_number = number;
	p->applied_now(p->context, p->applied, number);
}

static void
begin(struct publisher *p)
{
	p->sending = p->wanted;
	p->sending_number = p->wanted_number;
	p->wanted = NULL;
	p->full = p->full_next || p->applied == NULL;
	p->full_next = false;
	p->generation++;
	p->begun = p->committed = p->has_command = false;
	p->path_of_peer = SHM_NO_PEER;
	rows_walk_init(&p->walk, p->full ? NULL : p->applied, p->sending);
}

static bool
path_command(struct publisher *p, struct shm_command *c)
{
	uint32_t peer = p->path_of_peer;

	p->path_of_peer = SHM_NO_PEER;
	*c = (struct shm_command){ .kind = SHM_CMD_PATH, .path = { .peer = peer } };
	return peer != SHM_NO_PEER && p->path(p->context, peer, &c->path.path);
}

/* The next thing to say; false when everything was said. */
static bool
next_command(struct publisher *p, struct shm_command *c)
{
	*c = (struct shm_command){};
	if (!p->begun) {
		p->begun = true;
		c->kind = SHM_CMD_BEGIN;
		c->begin = (struct shm_cmd_begin){ .base = p->full ? 0 : p->applied_generation,
			.full = p->full };
	} else if (path_command(p, c)) {
		return true; // outside generations, but right behind its peer
	} else if (rows_walk_next(&p->walk, c)) {
		if (c->kind == SHM_CMD_PEER)
			p->path_of_peer = c->peer.peer;
	} else if (!p->committed) {
		p->committed = true;
		*c = (struct shm_command){ .kind = SHM_CMD_COMMIT };
	} else {
		return false;
	}
	c->generation = p->generation;
	return true;
}

void
publisher_pump(struct publisher *p)
{
	if (!p->dp->attached)
		return;
	if (p->sending == NULL && p->wanted != NULL)
		begin(p);
	if (p->sending == NULL)
		return;
	for (;;) {
		if (!p->has_command)
			p->has_command = next_command(p, &p->command);
		if (!p->has_command || !dataplane_push_if_room(p->dp, &p->command))
			return;
		p->has_command = false;
	}
}

bool
publisher_is_talking(const struct publisher *p)
{
	if (!p->dp->attached)
		return false;
	return p->sending != NULL ? !p->committed || p->has_command : p->wanted != NULL;
}

void
publisher_on_applied(struct publisher *p, uint64_t generation)
{
	// Before its commit was said, or for another: the data plane talks nonsense, or about the
	// past.
	if (p->sending == NULL || generation != p->generation || !p->committed || p->has_command)
		return;
	rows_destroy(p->applied);
	p->applied = p->sending;
	p->applied_number = p->sending_number;
	p->applied_generation = generation;
	p->sending = NULL;
	p->applied_now(p->context, p->applied, p->applied_number);
}

void
publisher_on_refused(struct publisher *p, uint64_t generation, uint32_t reason)
{
	uint64_t number = p->sending_number;

	if (p->sending == NULL || generation != p->generation)
		return;
	if (reason == SHM_REFUSED_BASE && !p->full) {
		take_back(p);
		p->full_next = true;
		return;
	}
	rows_destroy(p->sending);
	p->sending = NULL;
	p->begun = p->committed = p->has_command = false;
	p->path_of_peer = SHM_NO_PEER;
	p->refused(p->context, reason, number);
}
