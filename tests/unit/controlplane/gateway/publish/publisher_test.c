/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Desired state against what is applied, over real rings, with a forwarder that may refuse, forget
 * and die.
 */

#include "controlplane/gateway/publish/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/fake_forwarder.h"

struct site {
	struct fake_forwarder f;
	struct dataplane dp;
	struct publisher p;
	uint64_t applied, refused;
	size_t applied_peers;
};

static bool
path(void *context, uint32_t peer, struct shm_path *ret)
{
	(void)context;
	*ret = (struct shm_path){ .family = 4, .remote_port = (uint16_t)(1000 + peer) };
	return peer % 2 == 1; // the odd ones have one
}

static void
applied_now(void *context, const struct rows *rows, uint64_t number)
{
	struct site *s = context;

	s->applied = number;
	s->applied_peers = rows->n_peers;
}

static void
refused(void *context, uint32_t reason, uint64_t number)
{
	struct site *s = context;

	(void)reason;
	s->refused = number;
}

static void
attach(struct site *s)
{
	struct dataplane_grant g = fake_grant(&s->f);

	tap_int(dataplane_join(&s->dp, &g), 0, "the control plane joins");
	publisher_start_over(&s->p);
}

static void
start(struct site *s)
{
	*s = (struct site){};
	fake_start(&s->f, 1);
	dataplane_init(&s->dp);
	publisher_init(&s->p, &s->dp);
	s->p.path = path;
	s->p.applied_now = applied_now;
	s->p.refused = refused;
	s->p.context = s;
	attach(s);
}

static void
end(struct site *s)
{
	publisher_fini(&s->p);
	dataplane_fini(&s->dp);
	fake_end(&s->f);
}

static void
hear(struct site *s)
{
	struct shm_event e;

	while (shm_ring_peek(&s->dp.events, &e)) {
		shm_ring_advance(&s->dp.events);
		if (e.kind == SHM_EV_APPLIED)
			publisher_on_applied(&s->p, e.generation);
		else if (e.kind == SHM_EV_REFUSED)
			publisher_on_refused(&s->p, e.generation, e.value);
		else if (e.kind == SHM_EV_RESYNC)
			publisher_start_over(&s->p);
	}
}

static void
run(struct site *s)
{
	for (int i = 0; i < 200; i++) {
		publisher_pump(&s->p);
		dataplane_flush(&s->dp);
		fake_work(&s->f);
		hear(s);
	}
}

static struct rows *
rows_of(size_t n_peers)
{
	struct rows *rows = rows_create(n_peers, n_peers);

	for (uint32_t i = 0; i < n_peers; i++) {
		struct public_key key = { { 1, (uint8_t)(i >> 8), (uint8_t)i } };
		struct prefix p = { .addr = { .family = ADDR_V4,
					    .bytes = { 10, (uint8_t)(i >> 8), (uint8_t)i, 0 } },
			.len = 24 };

		rows_add_peer(rows, i, &key);
		rows_add_prefix(rows, &p, i);
	}
	rows_seal(rows);
	return rows;
}

static uint32_t
applied_peers(const struct site *s)
{
	uint64_t generation;
	uint32_t n_peers, n_prefixes;

	return dataplane_applied(&s->dp, &generation, &n_peers, &n_prefixes) != NULL ? n_peers : 0;
}

static void
test_full_then_delta(void)
{
	struct site s;

	start(&s);
	publisher_wish(&s.p, rows_of(3), 1);
	run(&s);
	tap_int(s.applied, 1, "the first wish is applied");
	tap_int(s.f.n_full, 1, "as a whole");
	tap_int(s.f.n_paths, 1, "a peer that has a path gets it with its row");

	publisher_wish(&s.p, rows_of(4), 2);
	run(&s);
	tap_int(s.applied, 2, "the second is applied");
	tap_int(s.f.n_delta, 1, "as a difference");
	tap_int(s.f.n_rows, 2, "of one peer and one prefix");

	publisher_wish(&s.p, rows_of(4), 3);
	tap_int(s.applied, 3, "what is applied already is reported at once");
	publisher_wish(&s.p, rows_of(1), 4);
	run(&s);
	tap_int(applied_peers(&s), 1, "what is not wanted any more goes");
	end(&s);
}

static void
test_larger_than_the_ring(void)
{
	struct site s;
	struct shm_command urgent = { .kind = SHM_CMD_KEEPALIVE };

	start(&s);
	s.f.silent = true;
	publisher_wish(&s.p, rows_of(2000), 1);
	publisher_pump(&s.p);
	tap_ok(publisher_is_talking(&s.p), "a full ring is not an error: the rest is said later");
	tap_ok(shm_ring_used(&s.dp.commands) <= SHM_N_COMMANDS - DATAPLANE_URGENT_SLOTS,
		"loading leaves room for what is urgent");
	for (int i = 0; i < 200; i++)
		dataplane_push(&s.dp, &urgent);
	tap_int(s.dp.n_queued, 72, "what does not fit either waits in order");
	s.f.silent = false;
	run(&s);
	tap_int(s.applied, 1, "everything arrives");
	tap_int(applied_peers(&s), 2000, "every peer");
	tap_int(s.f.n_keepalive, 200, "and what was urgent, too");
	end(&s);
}

static void
test_refusals(void)
{
	struct site s;

	start(&s);
	publisher_wish(&s.p, rows_of(3), 1);
	run(&s);
	s.f.forget_base = true;
	publisher_wish(&s.p, rows_of(5), 2);
	run(&s);
	tap_int(s.f.n_refused, 1, "a difference to something else is refused");
	tap_int(s.applied, 2, "and said as a whole");
	tap_int(s.f.n_full, 2, "without anybody being asked");

	s.f.refuse_rows = true;
	publisher_wish(&s.p, rows_of(6), 3);
	run(&s);
	tap_int(s.refused, 3, "a refusal of rows is reported");
	tap_int(s.applied, 2, "what was applied stays");
	publisher_wish(&s.p, rows_of(7), 4);
	run(&s);
	tap_int(s.applied, 4, "the next wish is another matter");
	end(&s);
}

static void
test_new_forwarder(void)
{
	struct site s;

	start(&s);
	publisher_wish(&s.p, rows_of(3), 1);
	run(&s);
	fake_restart_forwarder(&s.f);
	run(&s);
	tap_int(s.f.n_full, 2, "after RESYNC everything is said again");

	// It dies while a generation is being said.
	s.f.silent = true;
	publisher_wish(&s.p, rows_of(2000), 2);
	publisher_pump(&s.p);
	fake_restart_forwarder(&s.f);
	hear(&s);
	s.f.silent = false;
	run(&s);
	tap_int(s.applied, 2, "a generation that was lost half way is said again");
	tap_int(applied_peers(&s), 2000, "whole");
	end(&s);
}

static void
test_new_attach(void)
{
	struct site s;
	uint64_t generation = 0;
	uint32_t n;

	start(&s);
	publisher_wish(&s.p, rows_of(3), 1);
	run(&s);
	dataplane_leave(&s.dp);
	publisher_detached(&s.p);
	tap_ok(!publisher_is_talking(&s.p), "without a data plane nothing is said");
	publisher_wish(&s.p, rows_of(5), 2);
	attach(&s);
	run(&s);
	tap_int(s.applied, 2, "after an attach the newest is applied");
	tap_ok(dataplane_applied(&s.dp, &generation, &n, &n) != NULL && generation == 2,
		"generations go on counting");
	end(&s);
}

static void
test_nonsense(void)
{
	struct site s;

	start(&s);
	publisher_on_applied(&s.p, 1);
	publisher_on_refused(&s.p, 1, SHM_REFUSED_ROW);
	tap_int(s.applied + s.refused, 0, "answers to nothing are ignored");
	s.f.silent = true;
	publisher_wish(&s.p, rows_of(2000), 1);
	publisher_pump(&s.p);
	publisher_on_applied(&s.p, 1);
	tap_int(s.applied, 0, "nothing is applied before its commit was said");
	end(&s);
}

// Bytes that only the data plane would look into.
static struct acl_block *
make_block(uint8_t byte, uint64_t generation)
{
	struct acl_table *table = malloc(3000);
	struct acl_block *block;

	memset(table, byte, 3000);
	table->size_bytes = 3000;
	table->generation = generation;
	if (acl_block_create(table, &block) < 0)
		abort();
	free(table);
	return block;
}

// n_peers: something else that changes.  Gives the reference away.
static void
wish_with(struct site *s, size_t n_peers, struct acl_block *block, uint64_t number)
{
	struct rows *rows = rows_of(n_peers);

	rows_set_filter(rows, block);
	acl_block_unref(block);
	publisher_wish(&s->p, rows, number);
	run(s);
	tap_int(s->applied, (long long)number, "applied");
}

static bool
has_filter(const struct site *s, uint8_t byte)
{
	return s->f.filter_len == 3000 && s->f.filter_total == 3000 && s->f.filter[2999] == byte &&
	       s->f.filter[30] == byte;
}

static void
test_filter(void)
{
	struct site s;

	start(&s);
	wish_with(&s, 1, make_block(7, 1), 1);
	tap_ok(has_filter(&s, 7), "a packet filter crosses in parts");
	wish_with(&s, 2, make_block(7, 2), 2);
	tap_int(s.f.n_rows, 2, "one that says the same is not said again");
	wish_with(&s, 2, make_block(8, 3), 3);
	tap_ok(has_filter(&s, 8) && s.f.n_rows == (3000 + SHM_FILTER_PART - 1) / SHM_FILTER_PART,
		"another one is, and nothing else");
	memset(s.f.filter, 0, sizeof(s.f.filter));
	fake_restart_forwarder(&s.f);
	run(&s);
	tap_ok(has_filter(&s, 8), "a new forwarder hears it again");
	wish_with(&s, 2, NULL, 4);
	tap_ok(s.f.filter_len == 0 && s.f.filter_total == 0 && s.f.n_rows == 1,
		"that there is none any more is one row");
	end(&s);
}

int
main(void)
{
	test_full_then_delta();
	test_filter();
	test_larger_than_the_ring();
	test_refusals();
	test_new_forwarder();
	test_new_attach();
	test_nonsense();
	return tap_done();
}
