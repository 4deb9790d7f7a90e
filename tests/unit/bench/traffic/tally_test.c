/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/tally.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

static const struct flow_plan plan = {
	.run = 7,
	.n_flows = 4,
	.source = { ADDR_V4, { 10, 1, 0, 2 } },
	.destination = { ADDR_V4, { 10, 2, 0, 2 } },
	.source_port = 4000,
	.destination_port = 9,
	.packet_ns = 1000,
};

static struct tally *
new_tally(uint64_t expect)
{
	struct tally *t;

	if (tally_create(&plan, expect, &t) < 0)
		abort();
	return t;
}

static void
arrive(struct tally *t, size_t len, uint32_t flow, uint64_t number)
{
	struct flow_mark mark = { .flow = flow, .sequence = number, .due_ns = 1000 * number };
	uint8_t p[1500];

	flow_write(p, len, &plan, &mark);
	tally_packet(t, p, len, (int64_t)(1000 * number + 500));
}

/*
 * Rows are arrivals of one flow, numbers from 1 as in the RFC (the tally counts from 0).  The first
 * ones are the examples of RFC 4737 section 7, tables 1 to 3.
 */
static const struct story {
	const char *what;
	uint8_t arrivals[20]; // ends with 0
	uint64_t sent, received, lost, duplicated, reordered, extent_max, unexpected;
	uint64_t extents[8]; // of extents 1 to 8
} stories[] = {
	{ "RFC 4737: packet 4 comes after 8", { 1, 2, 3, 5, 6, 7, 8, 4, 9, 10 }, 10, 10, 0, 0, 1, 4,
		0, { [3] = 1 } },
	{ "RFC 4737: packets 5 and 6 come after 7", { 1, 2, 3, 4, 7, 5, 6, 8, 9, 10 }, 10, 10, 0, 0,
		2, 2, 0, { 1, 1 } },
	{ "RFC 4737: packets 4, 5 and 6 come after 10", { 1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11 }, 11,
		11, 0, 0, 3, 6, 0, { [3] = 1, 1, 1 } },
	{ "all in order", { 1, 2, 3, 4, 5 }, 5, 5, 0, 0, 0, 0, 0, {} },
	{ "nothing comes", { 0 }, 5, 0, 5, 0, 0, 0, 0, {} },
	{ "one is lost", { 1, 2, 4, 5 }, 5, 4, 1, 0, 0, 0, 0, {} },
	{ "first and last are lost", { 2, 3, 4 }, 5, 3, 2, 0, 0, 0, 0, {} },
	{ "neighbours change places", { 2, 1, 3, 5, 4 }, 5, 5, 0, 0, 2, 1, 0, { 2 } },
	{ "all the wrong way round", { 5, 4, 3, 2, 1 }, 5, 5, 0, 0, 4, 4, 0, { 1, 1, 1, 1 } },
	{ "a copy at once", { 1, 2, 2, 3 }, 3, 3, 0, 1, 0, 0, 0, {} },
	{ "a late copy is no reordering", { 1, 2, 3, 4, 2 }, 4, 4, 0, 1, 0, 0, 0, {} },
	{ "a late packet and its copy", { 1, 3, 4, 2, 2 }, 4, 4, 0, 1, 1, 2, 0, { [1] = 1 } },
	{ "copies do not add to an extent", { 1, 3, 3, 3, 2 }, 3, 3, 0, 2, 1, 1, 0, { 1 } },
	{ "a late one in a gap where another is lost", { 1, 5, 6, 3, 7 }, 7, 5, 2, 0, 1, 2, 0,
		{ [1] = 1 } },
	{ "a late one of the first of two gaps", { 1, 3, 5, 6, 2 }, 6, 5, 1, 0, 1, 3, 0,
		{ [2] = 1 } },
	{ "a late one of the second of two gaps", { 1, 3, 5, 6, 4 }, 6, 5, 1, 0, 1, 2, 0,
		{ [1] = 1 } },
	{ "late ones lengthen the extent of the next", { 1, 4, 3, 2 }, 4, 4, 0, 0, 2, 2, 0,
		{ 1, 1 } },
	{ "a number never sent", { 1, 2, 3, 9 }, 3, 3, 0, 0, 0, 0, 1, {} },
	{ "a number beyond all that were expected", { 1, 2, 200 }, 2, 2, 0, 0, 0, 0, 1, {} },
};

static void
tell(const struct story *s, size_t len)
{
	uint64_t sent[4] = { 0, 0, s->sent, 0 };
	struct tally *t = new_tally(100);
	struct tally_sum sum;
	unsigned n;

	for (n = 0; s->arrivals[n] != 0; n++)
		arrive(t, len, 2, s->arrivals[n] - 1u);
	tally_finish(t, sent, &sum);
	tap_ok(sum.sent == s->sent && sum.received == s->received && sum.lost == s->lost &&
			sum.duplicated == s->duplicated && sum.unexpected == s->unexpected &&
			sum.flows_seen == (n > 0) && sum.corrupted == 0 && sum.foreign == 0,
		"%s (%zu bytes): received, lost, copies", s->what, len);
	tap_ok(sum.reordered == s->reordered && sum.reorder_extent_max == s->extent_max &&
			memcmp(sum.extents, s->extents, sizeof(s->extents)) == 0 &&
			sum.extent_unknown == 0,
		"%s (%zu bytes): reordering", s->what, len);
	tally_destroy(t);
}

static void
test_flows_are_apart(void)
{
	static const uint64_t sent[4] = { 3, 3, 3, 3 };
	struct tally *t = new_tally(100);
	struct tally_sum sum;

	for (uint32_t flow = 0; flow < 4; flow++)
		for (uint64_t number = 0; number < 3; number++)
			arrive(t, 100 * (flow + 1), flow, number);
	tap_int((long long)tally_received(t), 12, "received is known on the way");
	tally_finish(t, sent, &sum);
	tap_ok(sum.received == 12 && sum.reordered == 0 && sum.lost == 0 && sum.flows_seen == 4 &&
			sum.bytes == 3000,
		"flows have numbers of their own, and bytes add up");
	tally_destroy(t);
}

static void
test_bad_packets(void)
{
	static const uint64_t sent[4] = { 5 };
	struct flow_mark mark = { .flow = 0, .sequence = 1 };
	struct flow_plan other = plan;
	struct tally *t = new_tally(100);
	struct tally_sum sum;
	uint8_t p[100];

	arrive(t, 100, 0, 0);
	flow_write(p, 100, &plan, &mark);
	p[99] ^= 1;
	tally_packet(t, p, 100, 0);
	tally_payload(t, p + 28, 72, 0);
	other.run = 8;
	flow_write(p, 100, &other, &mark);
	tally_packet(t, p, 100, 0);
	memset(p, 0, sizeof(p));
	tally_packet(t, p, 100, 0);
	tally_packet(t, p, 0, 0);
	tally_payload(t, p, 3, 0);
	tally_corrupted(t);
	tally_foreign(t);
	tally_finish(t, sent, &sum);
	tap_ok(sum.corrupted == 3 && sum.foreign == 5 && sum.received == 1 && sum.lost == 4 &&
			sum.unexpected == 0,
		"corrupted and foreign packets are counted, and are not received");
	tally_destroy(t);
}

// The tally against a list of all arrivals, searched by the RFC's definitions.
static void
naive(const uint64_t *arrivals, size_t n, struct tally_sum *ret)
{
	uint64_t first[4096];
	size_t n_first = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		bool is_copy = false;

		for (size_t k = 0; k < n_first; k++)
			is_copy = is_copy || first[k] == arrivals[i];
		if (is_copy)
			ret->duplicated++;
		else
			first[n_first++] = arrivals[i];
	}
	ret->received = n_first;
	for (size_t i = 0; i < n_first; i++)
		for (size_t j = 0; j < i; j++)
			if (first[j] > first[i]) {
				ret->reordered++;
				ret->extents[tally_extent_class(i - j)]++;
				if (i - j > ret->reorder_extent_max)
					ret->reorder_extent_max = i - j;
				break;
			}
}

static void
test_against_naive(void)
{
	unsigned wrong = 0;

	srand(4);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t arrivals[1000], sent[4] = { 0, 500, 0, 0 };
		unsigned reach = 1 + (unsigned)rand() % 60;
		struct tally_sum wanted, got;
		struct tally *t = new_tally(500);
		size_t n = 0;

		for (unsigned i = 0; i < 500; i++) {
			if (rand() % 10 != 0)
				arrivals[n++] = i;
			if (rand() % 20 == 0)
				arrivals[n++] = (uint64_t)rand() % (i + 1);
		}
		for (size_t i = 0; i + reach < n; i++)
			if (rand() % 4 == 0) {
				size_t k = i + (size_t)rand() % reach;
				uint64_t x = arrivals[i];

				arrivals[i] = arrivals[k];
				arrivals[k] = x;
			}
		for (size_t i = 0; i < n; i++)
			arrive(t, round % 2 == 0 ? 64 : 128, 1, arrivals[i]);
		naive(arrivals, n, &wanted);
		tally_finish(t, sent, &got);
		wrong += got.received != wanted.received || got.duplicated != wanted.duplicated ||
		         got.reordered != wanted.reordered || got.extent_unknown != 0 ||
		         got.reorder_extent_max != wanted.reorder_extent_max ||
		         memcmp(got.extents, wanted.extents, sizeof(got.extents)) != 0 ||
		         got.lost != 500 - wanted.received;
		tally_destroy(t);
	}
	tap_int(wrong, 0, "300 random arrivals are booked as the definitions say");
}

// More gaps than are remembered: 4096 for few flows.
static void
test_forgotten_gaps(void)
{
	static const uint64_t sent[4] = { 20000 };
	struct tally *t = new_tally(20000);
	struct tally_sum sum;

	for (uint64_t i = 1; i < 20000; i += 2)
		arrive(t, 64, 0, i);
	arrive(t, 64, 0, 20000 - 2 * 4096); // of the oldest gap that is known
	arrive(t, 64, 0, 20000 - 2 * 4097); // of one that is forgotten
	arrive(t, 64, 0, 0);
	tally_finish(t, sent, &sum);
	tap_ok(sum.reordered == 3 && sum.extent_unknown == 2 && sum.received == 10003,
		"what fills a forgotten gap is reordered, with an extent that is a lower bound");
	tap_int((long long)sum.reorder_extent_max, 4098, "counted from the oldest gap known");
	tally_destroy(t);
}

static void
test_long_run(void)
{
	const uint64_t wrap = UINT64_C(1) << 32;
	static uint64_t sent[4];
	struct tally *t;
	struct tally_sum sum;

	// Memory is a bit a number: 512 MiB and a little for one flow of so many.
	struct flow_plan one = plan;
	struct flow_mark mark = {};
	uint8_t p[64];

	one.n_flows = 1;
	if (tally_create(&one, wrap + 100, &t) < 0) {
		tap_skip("short marks wrap", "no memory for 2^32 numbers");
		return;
	}
	for (uint64_t i = wrap / 4; i < wrap + 50; i += wrap / 4) {
		mark.sequence = i;
		flow_write(p, 64, &one, &mark);
		tally_packet(t, p, 64, (int64_t)(i * 1000));
	}
	for (uint64_t i = wrap + 10; i < wrap + 50; i++) {
		mark.sequence = i;
		flow_write(p, 64, &one, &mark);
		tally_packet(t, p, 64, (int64_t)(i * 1000));
	}
	sent[0] = wrap + 50;
	tally_finish(t, sent, &sum);
	tap_ok(sum.received == 44 && sum.unexpected == 0 && sum.reordered == 0 &&
			sum.duplicated == 0,
		"numbers of short marks go on beyond 2^32");
	tap_int((long long)tally_latency(t)->max_ns, 0, "and so do their due times");
	tally_destroy(t);
}

static void
test_latency(void)
{
	static const uint64_t sent[4] = { 10, 10, 10, 10 };
	struct tally *t = new_tally(10);
	struct tally_sum sum;
	uint8_t p[64];

	for (uint64_t i = 0; i < 10; i++)
		arrive(t, 200, 1, i);
	tap_ok(tally_latency(t)->n == 10 && tally_latency(t)->min_ns == 500 &&
			tally_latency(t)->max_ns == 500,
		"times count from when a packet was due");
	for (uint64_t i = 0; i < 10; i++) {
		struct flow_mark mark = { .flow = 3, .sequence = i };

		flow_write(p, 64, &plan, &mark);
		tally_packet(t, p, 64, (int64_t)(1000 * (4 * i + 3) + 700));
	}
	tap_ok(tally_latency(t)->n == 20 && tally_latency(t)->max_ns == 700,
		"of short packets by the schedule");
	arrive(t, 200, 1, 3);
	tap_ok(tally_latency(t)->n == 20, "a copy has none");
	tally_finish(t, sent, &sum);
	tally_destroy(t);
}

static void
test_json(void)
{
	struct tally_sum sum = { .sent = 10, .received = 8, .lost = 2, .reordered = 3 }, more = sum;
	json_t *json;

	sum.extents[0] = 1;
	sum.extents[16] = 1;
	sum.extents[TALLY_EXTENTS - 1] = 1;
	json = tally_json(&sum);
	tap_ok(json_integer_value(json_object_get(json, "lost")) == 2 &&
			json_real_value(json_object_get(json, "loss_ratio")) == 0.2,
		"JSON has the counts and the ratio");
	tap_ok(json_object_get(json_object_get(json, "extents"), "1") != NULL &&
			json_object_get(json_object_get(json, "extents"), "17-32") != NULL &&
			json_object_get(json_object_get(json, "extents"), "1048577-") != NULL &&
			json_object_size(json_object_get(json, "extents")) == 3,
		"and the extents that occurred");
	json_decref(json);
	sum.reorder_extent_max = 5;
	more.reorder_extent_max = 9;
	tally_sum_add(&sum, &more);
	tap_ok(sum.sent == 20 && sum.lost == 4 && sum.reorder_extent_max == 9 &&
			sum.extents[16] == 1,
		"sums add, the greatest extent stays the greatest");
	tap_ok(tally_extent_class(1) == 0 && tally_extent_class(16) == 15 &&
			tally_extent_class(17) == 16 && tally_extent_class(32) == 16 &&
			tally_extent_class(33) == 17 && tally_extent_class(1 << 20) == 31 &&
			tally_extent_class((1 << 20) + 1) == 32 &&
			tally_extent_class(UINT64_MAX) == 32,
		"classes of extents");
}

int
main(void)
{
	for (unsigned i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		tell(&stories[i], 64); // a short mark
		tell(&stories[i], 128);
	}
	test_flows_are_apart();
	test_bad_packets();
	test_against_naive();
	test_forgotten_gaps();
	test_long_run();
	test_latency();
	test_json();
	return tap_done();
}
