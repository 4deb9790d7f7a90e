/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/neighbours.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"

#define BUCKETS    16384u /* a power of two, twice NEIGHBOURS_MAX */
#define FIRST_ROOM 64u

static_assert((BUCKETS & (BUCKETS - 1)) == 0 && BUCKETS >= 2 * NEIGHBOURS_MAX,
	"a place is found soon");

struct neighbours_row {
	struct network_neighbour neighbour;
	uint32_t next; // row + 1 of the same bucket; 0: the last
	bool is_due;
};

void
neighbours_init(struct neighbours *n, struct dataplane *dp)
{
	*n = (struct neighbours){ .dp = dp };
}

void
neighbours_fini(struct neighbours *n)
{
	free(n->rows);
	free(n->buckets);
	neighbours_init(n, n->dp);
}

/* --- the set --- */

static uint32_t
bucket_of(uint32_t ifindex, const struct addr *a)
{
	uint64_t high, low, h = ifindex;

	memcpy(&high, a->bytes, sizeof(high));
	memcpy(&low, a->bytes + sizeof(high), sizeof(low));
	h = (h ^ high) * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 29 ^ low) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 40) & (BUCKETS - 1);
}

static struct neighbours_row *
find(const struct neighbours *n, uint32_t ifindex, const struct addr *a)
{
	uint32_t at = n->buckets != NULL ? n->buckets[bucket_of(ifindex, a)] : 0;

	for (; at != 0; at = n->rows[at - 1].next) {
		struct neighbours_row *row = &n->rows[at - 1];

		if (row->neighbour.ifindex == ifindex && addr_equal(&row->neighbour.addr, a))
			return row;
	}
	return NULL;
}

static uint32_t *
link_to(struct neighbours *n, uint32_t at)
{
	const struct network_neighbour *key = &n->rows[at - 1].neighbour;
	uint32_t *link = &n->buckets[bucket_of(key->ifindex, &key->addr)];

	while (*link != at)
		link = &n->rows[*link - 1].next;
	return link;
}

// The last row takes the place of the one that goes.
static void
forget(struct neighbours *n, uint32_t row)
{
	*link_to(n, row + 1) = n->rows[row].next;
	n->n--;
	if (row != n->n) {
		*link_to(n, n->n + 1) = row + 1;
		n->rows[row] = n->rows[n->n];
	}
}

static bool
grow(struct neighbours *n)
{
	uint32_t room = n->room != 0 ? 2 * n->room : FIRST_ROOM;
	struct neighbours_row *rows;

	if (n->buckets == NULL)
		n->buckets = calloc(BUCKETS, sizeof(n->buckets[0]));
	if (n->buckets == NULL || n->n == NEIGHBOURS_MAX)
		return false;
	if (n->n < n->room)
		return true;
	if (room > NEIGHBOURS_MAX)
		room = NEIGHBOURS_MAX;
	rows = reallocarray(n->rows, room, sizeof(rows[0]));
	if (rows == NULL)
		return false;
	n->rows = rows;
	n->room = room;
	return true;
}

static struct neighbours_row *
add(struct neighbours *n, const struct network_neighbour *neighbour)
{
	uint32_t *bucket;

	if (!grow(n)) {
		n->n_lost++;
		return NULL;
	}
	bucket = &n->buckets[bucket_of(neighbour->ifindex, &neighbour->addr)];
	n->rows[n->n] = (struct neighbours_row){ .neighbour = *neighbour, .next = *bucket };
	*bucket = ++n->n;
	return &n->rows[n->n - 1];
}

static bool
is_sound(const struct network_neighbour *neighbour)
{
	return neighbour->ifindex != 0 && neighbour->state <= SHM_NEIGHBOUR_REACHABLE &&
	       (neighbour->addr.family == ADDR_V4 || neighbour->addr.family == ADDR_V6);
}

void
neighbours_set(struct neighbours *n, const struct network_neighbour *neighbour)
{
	struct neighbours_row *row;

	if (!is_sound(neighbour))
		return;
	row = find(n, neighbour->ifindex, &neighbour->addr);
	if (row == NULL)
		row = add(n, neighbour);
	if (row == NULL)
		return;
	row->neighbour = *neighbour;
	n->n_due += !row->is_due;
	row->is_due = true;
}

/* --- saying it --- */

void
neighbours_start_over(struct neighbours *n)
{
	for (uint32_t i = 0; i < n->n; i++)
		n->rows[i].is_due = true;
	n->n_due = n->n;
}

static bool
say(struct neighbours *n, const struct network_neighbour *from)
{
	struct shm_command c = { .kind = SHM_CMD_NEIGHBOUR,
		.neighbour = { .ifindex = from->ifindex,
			.family = from->addr.family,
			.state = from->state,
			.addr = shm_addr_of(&from->addr) } };

	memcpy(c.neighbour.mac, from->mac, sizeof(c.neighbour.mac));
	return dataplane_push_if_room(n->dp, &c);
}

void
neighbours_pump(struct neighbours *n)
{
	if (!n->dp->attached)
		return;
	for (uint32_t left = n->n; left > 0 && n->n_due > 0; left--) {
		struct neighbours_row *row;

		if (n->cursor >= n->n)
			n->cursor = 0;
		row = &n->rows[n->cursor];
		if (row->is_due) {
			if (!say(n, &row->neighbour))
				return;
			row->is_due = false;
			n->n_due--;
			if (row->neighbour.state == SHM_NEIGHBOUR_NONE) {
				forget(n, n->cursor); // another row stands here now
				continue;
			}
		}
		n->cursor++;
	}
}

bool
neighbours_is_talking(const struct neighbours *n)
{
	return n->dp->attached && n->n_due > 0;
}

/* --- what the data plane has --- */

// The key of a row that another process writes; false: there is none in it.
static bool
read_row(const struct shm_neighbour_row *row, struct network_neighbour *ret)
{
	uint64_t word = atomic_load_explicit(&row->word, memory_order_acquire);
	struct shm_addr addr = row->addr;

	*ret = (struct network_neighbour){ .ifindex = row->ifindex,
		.addr = addr_of_shm(&addr, row->family),
		.state = (uint8_t)(word >> 48) };
	for (int i = 0; i < 6; i++)
		ret->mac[i] = (uint8_t)(word >> 8 * i);
	return is_sound(ret) && ret->state != SHM_NEIGHBOUR_NONE;
}

size_t
neighbours_unknown(const struct neighbours *n, struct network_neighbour *ret, size_t max)
{
	uint32_t end;
	size_t found = 0;

	if (n->dp->state == NULL)
		return 0;
	end = atomic_load_explicit(&n->dp->state->neighbours_end, memory_order_acquire);
	for (uint32_t i = 0; i < end && i < SHM_MAX_NEIGHBOURS && found < max; i++)
		if (read_row(&n->dp->state->neighbours[i], &ret[found]) &&
			find(n, ret[found].ifindex, &ret[found].addr) == NULL)
			found++;
	return found;
}
