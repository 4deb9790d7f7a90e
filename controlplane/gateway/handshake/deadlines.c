/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/handshake/deadlines.h"

#include <errno.h>
#include <stdlib.h>

void
deadlines_fini(struct deadlines *d)
{
	free(d->heap);
	free(d->place);
	*d = (struct deadlines){};
}

static int
make_room(struct deadlines *d, uint32_t peer)
{
	uint32_t room = d->room != 0 ? d->room : 64;
	uint32_t *place;
	struct deadline *heap;

	if (peer < d->room)
		return 0;
	while (room <= peer)
		room *= 2;
	heap = realloc(d->heap, room * sizeof(heap[0]));
	if (heap == NULL)
		return -ENOMEM;
	d->heap = heap;
	place = realloc(d->place, room * sizeof(place[0]));
	if (place == NULL)
		return -ENOMEM;
	for (uint32_t i = d->room; i < room; i++)
		place[i] = 0;
	d->place = place;
	d->room = room;
	return 0;
}

static void
put(struct deadlines *d, uint32_t i, struct deadline item)
{
	d->heap[i] = item;
	d->place[item.peer] = i + 1;
}

static void
move_up(struct deadlines *d, uint32_t i)
{
	struct deadline item = d->heap[i];

	while (i > 0 && d->heap[(i - 1) / 2].at.ns > item.at.ns) {
		put(d, i, d->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(d, i, item);
}

static void
move_down(struct deadlines *d, uint32_t i)
{
	struct deadline item = d->heap[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < d->n && d->heap[child + 1].at.ns < d->heap[child].at.ns)
			child++;
		if (child >= d->n || d->heap[child].at.ns >= item.at.ns)
			break;
		put(d, i, d->heap[child]);
		i = child;
	}
	put(d, i, item);
}

static void
remove_at(struct deadlines *d, uint32_t i)
{
	d->place[d->heap[i].peer] = 0;
	d->n--;
	if (i == d->n)
		return;
	put(d, i, d->heap[d->n]);
	move_up(d, i);
	move_down(d, i);
}

int
deadlines_set(struct deadlines *d, uint32_t peer, struct mono at)
{
	uint32_t i;
	int err;

	if (mono_is_never(at)) {
		if (peer < d->room && d->place[peer] != 0)
			remove_at(d, d->place[peer] - 1);
		return 0;
	}
	err = make_room(d, peer);
	if (err < 0)
		return err;
	if (d->place[peer] == 0) {
		i = d->n++;
		put(d, i, (struct deadline){ at, peer });
		move_up(d, i);
		return 0;
	}
	i = d->place[peer] - 1;
	d->heap[i].at = at;
	move_down(d, i);
	move_up(d, d->place[peer] - 1);
	return 0;
}

struct mono
deadlines_next(const struct deadlines *d)
{
	return d->n > 0 ? d->heap[0].at : (struct mono){};
}

bool
deadlines_take(struct deadlines *d, struct mono now, uint32_t *ret_peer)
{
	if (d->n == 0 || d->heap[0].at.ns > now.ns)
		return false;
	*ret_peer = d->heap[0].peer;
	remove_at(d, 0);
	return true;
}
