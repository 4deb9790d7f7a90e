/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A table of one group remembers exactly what the plain list of 512 flows does; several threads
 * may use it.
 */

#include "lib/policy/flow_table.h"

#include <errno.h>
#include <pthread.h>

#include "lib/policy/rule_walk.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/policy/fixture.h"

static const uint64_t key[2] = { 11, 12 };

static struct flow_table *
create(size_t groups)
{
	struct flow_table *t;

	if (flow_table_create(groups, key, &t) < 0)
		abort();
	return t;
}

// One of n flows, seen from outside; half of them IPv6, a third SCTP.
static struct acl_packet
answer(uint32_t number)
{
	bool is_v4 = number % 2 == 0;

	return (struct acl_packet){
		.src = { is_v4 ? 0 : UINT64_C(0xfd7a000000000000), number / 64 },
		.dst = { is_v4 ? 0 : UINT64_C(0xfd7a000000000000), 1 },
		.src_port = 53,
		.dst_port = (uint16_t)(number % 64),
		.family = is_v4 ? ADDR_V4 : ADDR_V6,
		.protocol = number % 3 == 0 ? ACL_PROTOCOL_SCTP : IP_PROTOCOL_UDP,
		.kind = ACL_KIND_WHOLE,
	};
}

static struct acl_packet
question(uint32_t number)
{
	struct acl_packet k = answer(number), turned = k;

	turned.src = k.dst;
	turned.dst = k.src;
	turned.src_port = k.dst_port;
	turned.dst_port = k.src_port;
	return turned;
}

static bool
is_open(struct flow_table *t, const struct acl_packet *k)
{
	struct flow_id id = flow_table_inbound(t, k);

	return flow_table_is_open(t, &id);
}

static void
open_flow(struct flow_table *t, const struct acl_packet *k)
{
	struct flow_id id = flow_table_outbound(t, k);

	flow_table_open(t, &id);
}

static bool
is_open_number(struct flow_table *t, uint32_t number)
{
	struct acl_packet k = answer(number);

	return is_open(t, &k);
}

static void
open_number(struct flow_table *t, uint32_t number)
{
	struct acl_packet k = question(number);

	open_flow(t, &k);
}

// Each part of a flow counts.
static void
identity(void)
{
	struct flow_table *t = create(1);
	struct acl_packet k = answer(3), other;

	open_number(t, 3);
	tap_ok(is_open(t, &k), "the answer to what was sent");
	other = question(3);
	tap_ok(!is_open(t, &other), "but not the same again");
	other = k;
	other.src_port++;
	tap_ok(!is_open(t, &other), "nor from another port");
	other = k;
	other.dst_port++;
	tap_ok(!is_open(t, &other), "nor to another port");
	other = k;
	other.protocol = k.protocol == 17 ? 132 : 17;
	tap_ok(!is_open(t, &other), "nor of another protocol");
	other = k;
	other.src.low++;
	tap_ok(!is_open(t, &other), "nor from another address");
	other = k;
	other.dst.high++;
	tap_ok(!is_open(t, &other), "nor to another address");
	flow_table_clear(t);
	tap_ok(!is_open(t, &k), "nor when all was forgotten");
	tap_int(t->groups[0].count, 0, "and counts nothing");
	flow_table_destroy(t);
}

static void
last_512(void)
{
	struct flow_table *t = create(1);
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < 512; i++)
		open_number(t, i);
	tap_ok(is_open_number(t, 0), "the first of 512 is remembered");
	open_number(t, 512);
	tap_ok(!is_open_number(t, 1), "the 513th takes the place of the one unused for longest");
	tap_ok(is_open_number(t, 0), "not of one that was answered");
	open_number(t, 2);
	open_number(t, 513);
	tap_ok(is_open_number(t, 2), "nor of one that asked again");
	for (uint32_t i = 4; i < 514; i++)
		wrong += !is_open_number(t, i);
	tap_int(wrong, 0, "all others are there");
	tap_int(t->groups[0].count, 512, "512 of them");
	flow_table_destroy(t);
}

static void
naive_twin(uint32_t flows, uint64_t seed)
{
	struct flow_walk *walk = fixture_alloc(1, sizeof(*walk));
	struct flow_table *t = create(1);
	struct rng r = { seed };
	uint32_t wrong = 0, open = 0;

	for (int i = 0; i < 200000; i++) {
		uint32_t number = rng_below(&r, flows);
		struct acl_packet k;

		// Now and then a few busy ones.
		if (rng_below(&r, 4) == 0)
			number %= 16;
		if (rng_below(&r, 2) == 0) {
			k = question(number);
			flow_walk_open(walk, &k);
			open_flow(t, &k);
		} else {
			bool wanted;

			k = answer(number);
			wanted = flow_walk_is_open(walk, &k);
			wrong += is_open(t, &k) != wanted;
			open += wanted;
		}
	}
	tap_ok(wrong == 0 && open > 10000, "%u flows: %u differ from the list, %u were open", flows,
		wrong, open);
	flow_table_destroy(t);
	free(walk);
}

// Whatever the list of 512 remembers, many groups do too.
static void
many_groups(void)
{
	struct flow_table *t = create(100);
	uint32_t missing = 0;

	tap_int(t->mask, 127, "100 groups are 128");
	for (uint32_t i = 0; i < 40000; i++)
		open_number(t, i);
	for (uint32_t i = 0; i < 40000; i++)
		missing += !is_open_number(t, i);
	tap_int(missing, 0, "of 40,000 flows in 128 groups none is lost");
	flow_table_destroy(t);
	tap_int(flow_table_create(FLOW_MAX_GROUPS + 1, key, &t), -E2BIG, "5000 groups are refused");
}

// More flows than there are places: nearly every place is used, and of those that compete the one
// unused for longest goes.
static void
full_groups(void)
{
	const uint32_t places = 4 * FLOW_PLACES, n = 4 * places;
	struct flow_table *t = create(4);
	uint32_t counted = 0, open = 0, busy = 0;

	for (uint32_t i = 0; i < n; i++) {
		open_number(t, i);
		if (i % 16 == 0)
			for (uint32_t k = 0; k < 16; k++)
				(void)is_open_number(t, k);
	}
	for (uint32_t k = 0; k < 16; k++)
		busy += is_open_number(t, k);
	for (uint32_t i = 0; i < n; i++)
		open += is_open_number(t, i);
	for (uint32_t g = 0; g < 4; g++)
		counted += t->groups[g].count;
	tap_int(busy, 16, "flows in use are never forgotten");
	tap_ok(open > places / 20 * 19 && open <= places, "%u of %u places are used", open, places);
	tap_int(counted, open, "and counted");
	open = 0;
	for (uint32_t i = n - places / 2; i < n; i++)
		open += is_open_number(t, i);
	tap_ok(open > places / 2 / 100 * 99, "%u of the last %u flows are remembered", open,
		places / 2);
	flow_table_destroy(t);
}

struct share {
	struct flow_table *t;
	uint32_t first, lost;
};

static void *
run_share(void *argument)
{
	struct share *s = argument;

	for (uint32_t round = 0; round < 200; round++)
		for (uint32_t i = s->first; i < s->first + 100; i++) {
			open_number(s->t, i);
			s->lost += !is_open_number(s->t, i);
		}
	return NULL;
}

// Four threads with 100 flows each in one group: less than it holds, so none may be lost.
static void
threads(void)
{
	struct flow_table *t = create(1);
	struct share shares[4];
	pthread_t ids[4];
	uint32_t lost = 0, missing = 0;

	for (uint32_t i = 0; i < 4; i++) {
		shares[i] = (struct share){ t, i * 100, 0 };
		if (pthread_create(&ids[i], NULL, run_share, &shares[i]) != 0)
			abort();
	}
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(ids[i], NULL);
		lost += shares[i].lost;
	}
	for (uint32_t i = 0; i < 400; i++)
		missing += !is_open_number(t, i);
	tap_int(lost, 0, "no thread misses its own");
	tap_int(missing, 0, "nor does the table afterwards");
	tap_int(t->groups[0].count, 400, "none is there twice");
	flow_table_destroy(t);
}

int
main(void)
{
	identity();
	last_512();
	naive_twin(400, 1);
	naive_twin(512, 2);
	naive_twin(600, 3);
	naive_twin(3000, 4);
	many_groups();
	full_groups();
	threads();
	return tap_done();
}
