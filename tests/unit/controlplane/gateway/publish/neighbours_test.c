/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Next hops, said one by one, kept, and said again.
 */

#include "controlplane/gateway/publish/neighbours.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/fake_forwarder.h"

struct site {
	struct fake_forwarder f;
	struct dataplane dp;
	struct neighbours n;
};

static void
attach(struct site *s)
{
	struct dataplane_grant g = fake_grant(&s->f);

	tap_int(dataplane_join(&s->dp, &g), 0, "the control plane joins");
	neighbours_start_over(&s->n);
}

static void
start(struct site *s)
{
	*s = (struct site){};
	fake_start(&s->f, 1);
	dataplane_init(&s->dp);
	neighbours_init(&s->n, &s->dp);
	attach(s);
}

static void
end(struct site *s)
{
	neighbours_fini(&s->n);
	dataplane_fini(&s->dp);
	fake_end(&s->f);
}

static void
run(struct site *s)
{
	for (int i = 0; i < 100; i++) {
		neighbours_pump(&s->n);
		dataplane_flush(&s->dp);
		fake_work(&s->f);
	}
}

static struct network_neighbour
neighbour_of(unsigned i, uint8_t state)
{
	return (struct network_neighbour){ .ifindex = 1 + i % 3,
		.addr = { ADDR_V4, { 10, 0, (uint8_t)(i >> 8), (uint8_t)i } },
		.mac = { 2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i },
		.state = state };
}

static void
set(struct site *s, unsigned i, uint8_t state)
{
	struct network_neighbour n = neighbour_of(i, state);

	neighbours_set(&s->n, &n);
}

// The state that the data plane has of it; -1: none.
static int
state_of(const struct site *s, unsigned i)
{
	struct network_neighbour n = neighbour_of(i, 0);

	for (uint32_t k = 0; k < s->f.state->neighbours_end; k++) {
		const struct shm_neighbour_row *row = &s->f.state->neighbours[k];

		if (row->ifindex == n.ifindex && memcmp(row->addr.bytes, n.addr.bytes, 4) == 0)
			return (int)(row->word >> 48);
	}
	return -1;
}

static void
test_saying(void)
{
	struct site s;

	start(&s);
	set(&s, 1, SHM_NEIGHBOUR_ASKED);
	run(&s);
	tap_int(state_of(&s, 1), SHM_NEIGHBOUR_ASKED, "a neighbour is said");
	set(&s, 1, SHM_NEIGHBOUR_REACHABLE);
	run(&s);
	tap_int(state_of(&s, 1), SHM_NEIGHBOUR_REACHABLE, "its change as well");
	tap_int(s.f.state->neighbours[0].word & 0xffffffffffff, 0x010000000002,
		"with its address of the link layer");
	tap_int(s.f.n_neighbours, 2, "and nothing else");
	neighbours_start_over(&s.n);
	run(&s);
	tap_int(s.f.n_neighbours, 3, "a new forwarder hears it again");
	set(&s, 1, SHM_NEIGHBOUR_NONE);
	run(&s);
	tap_int(state_of(&s, 1), SHM_NEIGHBOUR_NONE, "what is forgotten is said once");
	neighbours_start_over(&s.n);
	run(&s);
	tap_int(s.f.n_neighbours, 4, "and not again");
	tap_int(s.n.n, 0, "nothing of it is left");
	end(&s);
}

static void
test_many(void)
{
	struct site s;
	unsigned n_wrong = 0;

	start(&s);
	s.f.silent = true;
	for (unsigned i = 0; i < 3000; i++)
		set(&s, i, SHM_NEIGHBOUR_REACHABLE);
	neighbours_pump(&s.n);
	tap_ok(neighbours_is_talking(&s.n), "more than there is room for wait");
	for (unsigned i = 0; i < 3000; i += 2)
		set(&s, i, SHM_NEIGHBOUR_NONE);
	s.f.silent = false;
	run(&s);
	for (unsigned i = 0; i < 3000; i++)
		n_wrong += state_of(&s, i) !=
		           (i % 2 == 0 ? SHM_NEIGHBOUR_NONE : SHM_NEIGHBOUR_REACHABLE);
	tap_int(n_wrong, 0, "in the end each is as it was said last");
	tap_int(s.n.n, 1500, "those that are forgotten take no room");
	for (unsigned i = 0; i < 3000; i += 2)
		set(&s, i, SHM_NEIGHBOUR_FAILED);
	run(&s);
	tap_int(state_of(&s, 2), SHM_NEIGHBOUR_FAILED, "others take their places");
	for (unsigned i = 3000; i < 3000 + 2 * NEIGHBOURS_MAX; i++)
		set(&s, i, SHM_NEIGHBOUR_ASKED);
	tap_ok(s.n.n == NEIGHBOURS_MAX && s.n.n_lost == NEIGHBOURS_MAX + 3000,
		"there is a limit, and what is beyond it is counted");
	end(&s);
}

static void
test_unknown(void)
{
	struct site s;
	struct network_neighbour got[4];

	start(&s);
	for (unsigned i = 0; i < 5; i++)
		set(&s, i, i == 4 ? SHM_NEIGHBOUR_ASKED : SHM_NEIGHBOUR_REACHABLE);
	run(&s);
	neighbours_fini(&s.n); // another control plane
	tap_int(neighbours_unknown(&s.n, got, 4), 4, "who is new finds what the data plane has");
	tap_ok(got[1].ifindex == 2 && got[1].addr.bytes[3] == 1 && got[1].mac[5] == 1 &&
			got[1].state == SHM_NEIGHBOUR_REACHABLE,
		"whole");
	set(&s, 0, SHM_NEIGHBOUR_REACHABLE);
	set(&s, 2, SHM_NEIGHBOUR_REACHABLE);
	tap_int(neighbours_unknown(&s.n, got, 4), 3, "what the host has said is none of these");

	s.f.state->neighbours_end = UINT32_MAX;
	s.f.state->neighbours[1].family = 9;
	s.f.state->neighbours[3].word = UINT64_MAX;
	tap_int(neighbours_unknown(&s.n, got, 4), 1, "rows that make no sense are left out");
	end(&s);
}

int
main(void)
{
	test_saying();
	test_many();
	test_unknown();
	return tap_done();
}
