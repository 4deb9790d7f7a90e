/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/surroundings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
surroundings_init(struct surroundings *s, struct mailbox *to_wire)
{
	*s = (struct surroundings){ .to_wire = to_wire, .flows_fd = -1, .capture_fd = -1 };
}

static void
close_regions(struct surroundings *s)
{
	if (s->flows_fd >= 0)
		close(s->flows_fd);
	if (s->capture_fd >= 0)
		close(s->capture_fd);
	s->flows_fd = s->capture_fd = -1;
}

void
surroundings_fini(struct surroundings *s)
{
	close_regions(s);
}

/* --- from the host --- */

void
surroundings_network_changed(struct surroundings *s)
{
	struct network *network = s->host != NULL ? host_network(s->host) : NULL;
	struct letter *letter;

	if (network == NULL)
		return;
	letter = letter_create(LETTER_NETWORK);
	letter->network = network_get(network);
	mailbox_post(s->to_wire, letter);
}

void
surroundings_flush(struct surroundings *s)
{
	struct letter *letter;

	if (s->n_batch == 0)
		return;
	letter = letter_create(LETTER_NEIGHBOURS);
	letter->neighbours = calloc(s->n_batch, sizeof(letter->neighbours[0]));
	if (letter->neighbours == NULL) {
		letter_destroy(letter);
		return; // tried again in the next round
	}
	memcpy(letter->neighbours, s->batch, s->n_batch * sizeof(letter->neighbours[0]));
	letter->n = s->n_batch;
	s->n_batch = 0;
	mailbox_post(s->to_wire, letter);
}

void
surroundings_neighbour_changed(struct surroundings *s, const struct network_neighbour *neighbour)
{
	if (s->n_batch == SURROUNDINGS_BATCH)
		surroundings_flush(s);
	if (s->n_batch < SURROUNDINGS_BATCH)
		s->batch[s->n_batch++] = *neighbour;
}

/* --- from wire --- */

// What cannot be looked after is no neighbour: the data plane shall not wait for it.
void
surroundings_want(struct surroundings *s, const struct letter *letter)
{
	for (size_t i = 0; i < letter->n; i++) {
		struct network_neighbour none = letter->neighbours[i];

		none.state = SHM_NEIGHBOUR_NONE;
		memset(none.mac, 0, sizeof(none.mac));
		if (s->host == NULL ||
			host_want_neighbour(s->host, none.ifindex, &none.addr) == -EINVAL)
			surroundings_neighbour_changed(s, &none);
	}
}

int
surroundings_take_ports(struct surroundings *s, const struct letter *letter)
{
	uint32_t open[PORTS_MAX];
	size_t n = 0;

	s->n_ports = letter->n < PORTS_MAX ? letter->n : PORTS_MAX;
	memcpy(s->ports, letter->ports, s->n_ports * sizeof(s->ports[0]));
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].is_open)
			open[n++] = s->ports[i].ifindex;
	return s->host != NULL ? host_serve_ports(s->host, open, n) : 0;
}

void
surroundings_take_regions(struct surroundings *s, struct letter *letter)
{
	close_regions(s);
	s->flows_fd = letter->flows_fd;
	s->capture_fd = letter->capture_fd;
	letter->flows_fd = letter->capture_fd = -1;
}

const struct ports_view *
surroundings_port(const struct surroundings *s, uint32_t ifindex)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].ifindex == ifindex)
			return &s->ports[i];
	return NULL;
}
