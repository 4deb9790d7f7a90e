/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/tally.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAPS_IN_ALL   (UINT32_C(1) << 20)
#define GAPS_MOST     4096
#define TOUCH_MOST    (UINT64_C(256) << 20)
#define EXTENTS_ALONE 16 // extents that have a class each

struct gap { // numbers start to end - 1 were jumped over
	uint64_t start, end;
	uint64_t arrival; // of the packet `end`, counted in its flow
};

struct flow_books {
	uint64_t next;     // RFC 4737's NextExp
	uint64_t received; // first copies
	uint64_t n_gaps;   // opened so far; the newest are in the ring
};

struct tally {
	struct flow_plan plan;
	uint64_t expect; // numbers of a flow
	uint64_t n_words;
	uint32_t gap_mask;
	struct tally_sum sum;
	struct flow_books *flows;
	uint64_t *seen; // n_words for each flow
	struct gap *gaps;
	struct latency latency;
};

static uint32_t
gaps_per_flow(uint32_t n_flows)
{
	uint32_t n = GAPS_MOST;

	while (n * (uint64_t)n_flows > GAPS_IN_ALL)
		n /= 2;
	return n;
}

static_assert((uint64_t)FLOW_MAX * 16 <= GAPS_IN_ALL, "each flow has a few");

/*
 * Zeroed, and every page of it there, so that none is missing in the middle of a trial: with many
 * flows their first packets would all wait for one.  Of very much memory, pages come slowly enough.
 */
static void *
take(uint64_t n, uint64_t size)
{
	volatile uint8_t *touch;
	size_t len;
	void *p;

	if (__builtin_mul_overflow(n, size, &len))
		return NULL;
	p = calloc(1, len);
	touch = p;
	for (size_t at = 0; p != NULL && len <= TOUCH_MOST && at < len; at += 4096)
		touch[at] = 0;
	return p;
}

int
tally_create(const struct flow_plan *plan, uint64_t expect_per_flow, struct tally **ret_tally)
{
	struct tally *t = calloc(1, sizeof(*t));
	uint32_t n_gaps = gaps_per_flow(plan->n_flows);

	assert(plan->n_flows > 0 && plan->n_flows <= FLOW_MAX);
	if (t == NULL)
		return -ENOMEM;
	t->plan = *plan;
	t->expect = expect_per_flow;
	t->n_words = expect_per_flow / 64 + 1;
	t->gap_mask = n_gaps - 1;
	t->flows = take(plan->n_flows, sizeof(*t->flows));
	t->seen = take(plan->n_flows * t->n_words, sizeof(*t->seen));
	t->gaps = take((uint64_t)plan->n_flows * n_gaps, sizeof(*t->gaps));
	if (t->flows == NULL || t->seen == NULL || t->gaps == NULL ||
		t->n_words > UINT64_MAX / FLOW_MAX / 8) {
		tally_destroy(t);
		return -ENOMEM;
	}
	*ret_tally = t;
	return 0;
}

void
tally_destroy(struct tally *t)
{
	if (t == NULL)
		return;
	free(t->flows);
	free(t->seen);
	free(t->gaps);
	free(t);
}

// --- per packet --------------------------------------------------------------------------------

unsigned
tally_extent_class(uint64_t extent)
{
	unsigned class;

	if (extent <= EXTENTS_ALONE)
		return (unsigned)extent - 1;
	class = EXTENTS_ALONE - 4 + 63 - (unsigned)__builtin_clzll(extent - 1);
	return class < TALLY_EXTENTS ? class : TALLY_EXTENTS - 1;
}

static inline struct gap *
gap_at(struct tally *t, uint32_t flow, uint64_t n)
{
	return &t->gaps[(uint64_t)flow * (t->gap_mask + 1) + (n & t->gap_mask)];
}

// The oldest gap known that ends behind `number`.  There is one, as a higher number was seen.
static const struct gap *
find_gap(struct tally *t, uint32_t flow, uint64_t number)
{
	const struct flow_books *f = &t->flows[flow];
	uint64_t high = f->n_gaps - 1;
	uint64_t low = f->n_gaps > t->gap_mask ? f->n_gaps - t->gap_mask - 1 : 0;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (gap_at(t, flow, middle)->end > number)
			high = middle;
		else
			low = middle + 1;
	}
	return gap_at(t, flow, low);
}

/*
 * RFC 4737 section 4.2: the extent is how many arrivals ago the first packet with a higher number
 * came.  That packet is the one which jumped over us.
 */
static void
book_reordered(struct tally *t, uint32_t flow, uint64_t number)
{
	const struct gap *gap = find_gap(t, flow, number);
	uint64_t extent = t->flows[flow].received - gap->arrival;

	t->sum.reordered++;
	t->sum.extent_unknown += number < gap->start;
	if (extent > t->sum.reorder_extent_max)
		t->sum.reorder_extent_max = extent;
	t->sum.extents[tally_extent_class(extent)]++;
}

static void
open_gap(struct tally *t, uint32_t flow, uint64_t number)
{
	struct flow_books *f = &t->flows[flow];

	*gap_at(t, flow, f->n_gaps++) = (struct gap){ f->next, number, f->received };
}

// A short mark has 32 bits of the number: the nearest to what is expected is meant.
static inline uint64_t
whole_number(const struct flow_mark *mark, uint64_t next)
{
	int64_t number;

	if (!mark->is_short)
		return mark->sequence;
	number = (int64_t)next + (int32_t)((uint32_t)mark->sequence - (uint32_t)next);
	return number >= 0 ? (uint64_t)number : (uint32_t)mark->sequence;
}

static inline uint64_t
due_ns(const struct tally *t, const struct flow_mark *mark, uint64_t number)
{
	if (!mark->is_short || number == mark->sequence)
		return mark->due_ns;
	return pace_due_ns(t->plan.packet_ns, number * t->plan.n_flows + mark->flow);
}

static void
book(struct tally *t, const struct flow_mark *mark, int64_t arrived_ns)
{
	struct flow_books *f = &t->flows[mark->flow];
	uint64_t number = whole_number(mark, f->next), bit = UINT64_C(1) << (number % 64), *word;

	if (number >= t->expect) {
		t->sum.unexpected++;
		return;
	}
	word = &t->seen[mark->flow * t->n_words + number / 64];
	if (*word & bit) {
		t->sum.duplicated++;
		return;
	}
	*word |= bit;
	t->sum.received++;
	t->sum.bytes += mark->len;
	if (number < f->next) {
		book_reordered(t, mark->flow, number);
	} else {
		if (number > f->next)
			open_gap(t, mark->flow, number);
		f->next = number + 1;
	}
	f->received++;
	if (mark->has_due)
		latency_add(&t->latency, arrived_ns - (int64_t)due_ns(t, mark, number));
}

static inline void
book_verdict(struct tally *t,
	enum flow_verdict verdict,
	const struct flow_mark *mark,
	int64_t arrived_ns)
{
	if (__builtin_expect(verdict == FLOW_OURS, 1))
		book(t, mark, arrived_ns);
	else if (verdict == FLOW_CORRUPTED)
		t->sum.corrupted++;
	else
		t->sum.foreign++;
}

void
tally_packet(struct tally *t, const uint8_t *packet, size_t len, int64_t arrived_ns)
{
	struct flow_mark mark;

	book_verdict(t, flow_read(packet, len, &t->plan, &mark), &mark, arrived_ns);
}

void
tally_payload(struct tally *t, const uint8_t *payload, size_t len, int64_t arrived_ns)
{
	struct flow_mark mark;

	book_verdict(t, flow_read_payload(payload, len, &t->plan, &mark), &mark, arrived_ns);
}

void
tally_corrupted(struct tally *t)
{
	t->sum.corrupted++;
}

void
tally_foreign(struct tally *t)
{
	t->sum.foreign++;
}

uint64_t
tally_received(const struct tally *t)
{
	return t->sum.received;
}

// --- afterwards --------------------------------------------------------------------------------

// How many numbers of this flow came that are `sent` or higher.
static uint64_t
count_beyond(const struct tally *t, uint32_t flow, uint64_t sent)
{
	const uint64_t *words = &t->seen[flow * t->n_words];
	uint64_t n = 0, first = sent / 64;

	if (t->flows[flow].next <= sent)
		return 0;
	for (uint64_t i = first; i < t->n_words; i++)
		n += (uint64_t)__builtin_popcountll(
			i == first ? words[i] >> (sent % 64) : words[i]);
	return n;
}

void
tally_finish(struct tally *t, const uint64_t *sent, struct tally_sum *ret_sum)
{
	struct tally_sum sum = t->sum;

	for (uint32_t i = 0; i < t->plan.n_flows; i++) {
		uint64_t beyond = count_beyond(t, i, sent[i]);

		sum.sent += sent[i];
		sum.received -= beyond;
		sum.unexpected += beyond;
		sum.flows_seen += t->flows[i].received > beyond;
	}
	sum.lost = sum.sent - sum.received;
	*ret_sum = sum;
}

const struct latency *
tally_latency(const struct tally *t)
{
	return &t->latency;
}

void
tally_sum_add(struct tally_sum *into, const struct tally_sum *from)
{
	into->sent += from->sent;
	into->received += from->received;
	into->bytes += from->bytes;
	into->lost += from->lost;
	into->duplicated += from->duplicated;
	into->reordered += from->reordered;
	if (from->reorder_extent_max > into->reorder_extent_max)
		into->reorder_extent_max = from->reorder_extent_max;
	into->extent_unknown += from->extent_unknown;
	into->corrupted += from->corrupted;
	into->foreign += from->foreign;
	into->unexpected += from->unexpected;
	for (unsigned i = 0; i < TALLY_EXTENTS; i++)
		into->extents[i] += from->extents[i];
	into->flows_seen += from->flows_seen;
}

static json_t *
extents_json(const struct tally_sum *sum)
{
	json_t *extents = json_object();

	for (unsigned i = 0; i < TALLY_EXTENTS; i++) {
		char name[32];
		unsigned from = 1u << (i < EXTENTS_ALONE ? 0 : i - EXTENTS_ALONE + 4);

		if (sum->extents[i] == 0)
			continue;
		if (i < EXTENTS_ALONE)
			snprintf(name, sizeof(name), "%u", i + 1);
		else if (i == TALLY_EXTENTS - 1)
			snprintf(name, sizeof(name), "%u-", from + 1);
		else
			snprintf(name, sizeof(name), "%u-%u", from + 1, 2 * from);
		json_object_set_new(extents, name, json_integer((json_int_t)sum->extents[i]));
	}
	return extents;
}

json_t *
tally_json(const struct tally_sum *sum)
{
	double ratio = sum->sent > 0 ? (double)sum->lost / (double)sum->sent : 0;

	return json_pack("{s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:I,s:I,s:o,s:I,s:I,s:I,s:I}", "sent",
		(json_int_t)sum->sent, "received", (json_int_t)sum->received, "bytes",
		(json_int_t)sum->bytes, "lost", (json_int_t)sum->lost, "loss_ratio", ratio,
		"duplicated", (json_int_t)sum->duplicated, "reordered", (json_int_t)sum->reordered,
		"reorder_extent_max", (json_int_t)sum->reorder_extent_max, "extent_unknown",
		(json_int_t)sum->extent_unknown, "extents", extents_json(sum), "corrupted",
		(json_int_t)sum->corrupted, "foreign", (json_int_t)sum->foreign, "unexpected",
		(json_int_t)sum->unexpected, "flows_seen", (json_int_t)sum->flows_seen);
}
