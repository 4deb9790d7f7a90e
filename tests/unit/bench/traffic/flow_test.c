/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/flow.h"

#include <stdlib.h>
#include <string.h>

#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"

#define LONGEST 2000

static struct flow_plan plan4 = {
	.run = 0x5eed1234,
	.n_flows = 300,
	.source = { ADDR_V4, { 10, 1, 0, 2 } },
	.destination = { ADDR_V4, { 10, 2, 255, 250 } },
	.n_sources = 1,
	.n_destinations = 7,
	.source_port = 65000,
	.destination_port = 9,
	.packet_ns = 333.25,
};

static struct flow_plan plan6 = {
	.run = 0x5eed1234,
	.n_flows = 300,
	.source = { ADDR_V6, { 0xfd, 1, [15] = 2 } },
	.destination = { ADDR_V6, { 0xfd, 2, [14] = 0xff, [15] = 0xff } },
	.n_sources = 3,
	.source_port = 2000,
	.destination_port = 9,
	.packet_ns = 333.25,
};

static struct flow_mark
some_mark(size_t len)
{
	return (struct flow_mark){
		.flow = (uint32_t)(len * 7 % 300),
		.sequence = len % 3 == 0 ? len : UINT32_MAX - len,
		.due_ns = UINT64_C(0x123456789a) + len,
	};
}

static bool
is_same(const struct flow_mark *a, const struct flow_mark *b)
{
	return a->flow == b->flow && a->sequence == b->sequence && a->due_ns == b->due_ns &&
	       a->len == b->len && a->is_short == b->is_short && a->has_due == b->has_due;
}

static bool
is_due(const struct flow_plan *plan, const struct flow_mark *wrote, const struct flow_mark *read)
{
	if (!read->is_short)
		return read->due_ns == wrote->due_ns;
	return read->due_ns ==
	       pace_due_ns(plan->packet_ns, wrote->sequence * plan->n_flows + wrote->flow);
}

// What others see: a valid packet of this length, with both checksums right.
static bool
is_valid_packet(uint8_t *p, size_t len)
{
	uint8_t copy[FLOW_MAX_LEN];
	struct ip_view v;

	if (!ip_parse(p, (uint32_t)len, &v) || v.total_len != len ||
		v.protocol != IP_PROTOCOL_UDP ||
		(v.family == ADDR_V4 && !checksum_is_valid_ipv4(p, v.header_len)) ||
		load_be16(p + v.header_len + 4) != len - v.header_len)
		return false;
	memcpy(copy, p, len);
	(void)checksum_fill_packet(copy, &v);
	return memcmp(copy, p, len) == 0;
}

static void
test_round_trip(const struct flow_plan *plan, const char *what)
{
	size_t lens = 0, valid = 0, same = 0, kinds = 0, dues = 0, payloads = 0, padded = 0;
	size_t header = flow_header_len(plan);

	for (size_t len = flow_min_len(plan); len <= LONGEST; len++) {
		struct flow_mark mark = some_mark(len), got = {}, got2 = {}, got3 = {};
		uint8_t p[LONGEST + 16], payload[LONGEST];

		lens++;
		memset(p, 0xee, sizeof(p));
		flow_write(p, len, plan, &mark);
		valid += is_valid_packet(p, len) && p[len] == 0xee;
		if (flow_read(p, len, plan, &got) == FLOW_OURS)
			same += got.flow == mark.flow && got.len == len &&
			        got.sequence == mark.sequence;
		kinds += got.is_short == (len < flow_whole_len(plan)) && got.has_due;
		dues += is_due(plan, &mark, &got);
		flow_write_payload(payload, len, plan, &mark);
		payloads += memcmp(payload, p + header, len - header) == 0 &&
		            flow_read_payload(payload, len - header, plan, &got2) == FLOW_OURS &&
		            is_same(&got, &got2);
		padded += flow_read(p, len + 15, plan, &got3) == FLOW_OURS && is_same(&got, &got3);
	}
	tap_ok(valid == lens, "%s: whole packets with right checksums, and not a byte more", what);
	tap_ok(same == lens, "%s: flow and sequence come back, every length to %d", what, LONGEST);
	tap_ok(kinds == lens, "%s: short marks exactly where a whole one has no room", what);
	tap_ok(dues == lens, "%s: due times come back, of short ones from the schedule", what);
	tap_ok(payloads == lens, "%s: the payload alone says the same", what);
	tap_ok(padded == lens, "%s: padding does not matter", what);
}

// Bytes that routers may change without a checksum over them: class, flow label, hop limit.
static bool
may_change(const struct flow_plan *plan, size_t at, uint8_t flip)
{
	if (plan->source.family == ADDR_V4)
		return false;
	return (at == 0 && (flip & 0xf0) == 0) || (at >= 1 && at <= 3) || at == 7;
}

static void
test_flips(const struct flow_plan *plan, const char *what)
{
	static const size_t lens[] = { 40, 41, 46, 60, 64, 67, 68, 69, 87, 88, 95, 128, 129, 552,
		1420, 2000 };
	unsigned unseen = 0, foreign = 0, wrongly = 0, n = 0;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct flow_mark mark = some_mark(lens[i]), got;
		size_t len = lens[i];
		uint8_t p[LONGEST];

		if (len < flow_min_len(plan))
			continue;
		flow_write(p, len, plan, &mark);
		for (size_t at = 0; at < len; at++)
			for (unsigned k = 0; k < 9; k++) {
				uint8_t flip = k < 8 ? (uint8_t)(1 << k) : 0xff;
				enum flow_verdict verdict;

				p[at] ^= flip;
				verdict = flow_read(p, len, plan, &got);
				p[at] ^= flip;
				n++;
				if (may_change(plan, at, flip))
					wrongly += verdict != FLOW_OURS;
				else {
					unseen += verdict == FLOW_OURS;
					foreign += verdict == FLOW_FOREIGN;
				}
			}
	}
	tap_ok(unseen == 0 && n > 0, "%s: every flipped byte is found", what);
	tap_ok(foreign == 0, "%s: and known as a packet of ours", what);
	tap_ok(wrongly == 0, "%s: except what may change on the way", what);
}

static void
test_payload_flips(void)
{
	unsigned unseen = 0;

	for (size_t len = 40; len < 200; len++) {
		struct flow_mark mark = some_mark(len), got;
		uint8_t p[200];

		flow_write_payload(p, len, &plan4, &mark);
		for (size_t at = 0; at < len - 28; at++) {
			p[at] ^= 0x10;
			unseen += flow_read_payload(p, len - 28, &plan4, &got) != FLOW_CORRUPTED;
			p[at] ^= 0x10;
		}
	}
	tap_int(unseen, 0, "every flipped byte of a payload alone is corruption");
}

static void
test_cuts(const struct flow_plan *plan, const char *what)
{
	struct flow_mark mark = some_mark(300), got;
	unsigned wrong = 0, swaps = 0;
	uint8_t p[1420], q[1420];

	flow_write(p, 300, plan, &mark);
	for (size_t len = 0; len < 300; len++) {
		wrong += flow_read(p, len, plan, &got) == FLOW_OURS;
		if (len > 48)
			wrong += flow_read_payload(p + flow_header_len(plan), len - 48, plan,
					 &got) == FLOW_OURS;
	}
	tap_ok(wrong == 0, "%s: a packet cut short is not taken for whole", what);

	flow_write(p, 1420, plan, &mark);
	for (size_t a = flow_header_len(plan) + 40; a + 32 < 1420; a += 16) {
		memcpy(q, p, sizeof(q));
		memcpy(q + a, p + a + 16, 16);
		memcpy(q + a + 16, p + a, 16);
		swaps += flow_read(q, 1420, plan, &got) != FLOW_CORRUPTED;
	}
	tap_ok(swaps == 0, "%s: blocks that changed places are found", what);
}

static void
test_nat(void)
{
	unsigned wrong = 0, unseen = 0;
	static const uint8_t to[4] = { 203, 0, 113, 77 };

	for (size_t len = FLOW_MIN_LEN4; len < 200; len++) {
		struct flow_mark mark = some_mark(len), got;
		uint8_t p[200];

		flow_write(p, len, &plan4, &mark);
		p[1] = 0xb9; // DSCP and ECN
		p[8] -= 3;   // TTL
		p[6] = 0;    // Don't Fragment
		store_be16(p + 4, 0xabcd);
		for (unsigned i = 0; i < 4; i += 2) {
			checksum_update16(p + 26, load_be16(p + 12 + i), load_be16(to + i));
			memcpy(p + 12 + i, to + i, 2);
		}
		checksum_update16(p + 26, load_be16(p + 20), 4242);
		store_be16(p + 20, 4242);
		unseen += flow_read(p, len, &plan4, &got) == FLOW_OURS;
		checksum_fill_ipv4(p, 20);
		wrong += flow_read(p, len, &plan4, &got) != FLOW_OURS || got.flow != mark.flow;
		store_be16(p + 26, 0);
		wrong += flow_read(p, len, &plan4, &got) != FLOW_OURS;
		store_be16(p + 26, 1);
		unseen += flow_read(p, len, &plan4, &got) == FLOW_OURS;
	}
	tap_int(wrong, 0, "a rewritten header with right checksums, or no UDP checksum, is fine");
	tap_int(unseen, 0, "one with a wrong checksum is not");
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		struct flow_mark mark = some_mark(64), got;
		uint8_t p[64];

		flow_write(p, 64, &plan4, &mark);
		p[9] = (uint8_t)protocol;
		checksum_fill_ipv4(p, 20);
		wrong += (flow_read(p, 64, &plan4, &got) == FLOW_OURS) !=
		         (protocol == IP_PROTOCOL_UDP);
	}
	tap_int(wrong, 0, "nor is another protocol than UDP");
}

static void
test_foreign(const struct flow_plan *plan, const char *what)
{
	struct flow_plan other = *plan, fewer = *plan;
	unsigned wrong = 0, noise = 0, beyond = 0;
	struct flow_mark got;
	uint8_t p[LONGEST];

	other.run++;
	for (size_t len = flow_min_len(plan); len < 400; len++) {
		struct flow_mark mark = some_mark(len);

		flow_write(p, len, &other, &mark);
		wrong += flow_read(p, len, plan, &got) != FLOW_FOREIGN;
		fewer.n_flows = mark.flow + 1;
		flow_write(p, len, &fewer, &mark);
		beyond += flow_read(p, len, &fewer, &got) != FLOW_OURS;
		fewer.n_flows = mark.flow;
		beyond += mark.flow > 0 && flow_read(p, len, &fewer, &got) != FLOW_FOREIGN;
		beyond += mark.flow > 0 &&
		          flow_read_payload(p + flow_header_len(plan), len - flow_header_len(plan),
				  &fewer, &got) != FLOW_FOREIGN;
	}
	tap_ok(wrong == 0, "%s: packets of another run are foreign, short and long", what);
	tap_ok(beyond == 0, "%s: a flow that the plan does not have is foreign", what);
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = (size_t)rand() % 300;

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t)rand();
		if (i % 2 == 0 && len > 6) { // that looks like IP
			struct flow_mark mark = some_mark(len);
			uint8_t q[LONGEST];

			flow_write(q, len < 60 ? 60 : len, plan, &mark);
			memcpy(p, q, len < 48 ? len : flow_header_len(plan));
		}
		noise += flow_read(p, len, plan, &got) == FLOW_OURS;
	}
	tap_ok(noise == 0, "%s: noise is not ours", what);
}

static void
test_addresses(void)
{
	unsigned wrong = 0;

	for (uint32_t flow = 0; flow < 300; flow++) {
		struct flow_mark mark = { .flow = flow };
		uint8_t p[100];

		flow_write(p, 100, &plan4, &mark);
		wrong += load_be32(p + 12) != 0x0a010002 ||
		         load_be32(p + 16) != 0x0a02fffa + flow % 7;
		wrong += load_be16(p + 20) !=
		         (65000 + flow > 65535 ? 65000 + flow - 65536 + 1024 : 65000 + flow);
		flow_write(p, 100, &plan6, &mark);
		wrong += p[23] != 2 + flow % 3 || p[38] != 0xff || p[39] != 0xff;
	}
	tap_int(wrong, 0, "flows spread over addresses and ports as the plan says");
}

static void
test_no_schedule(void)
{
	struct flow_plan plan = plan4;
	struct flow_mark mark = some_mark(64), got;
	uint8_t p[100];

	plan.packet_ns = 0;
	flow_write(p, 64, &plan, &mark);
	tap_ok(flow_read(p, 64, &plan, &got) == FLOW_OURS && got.is_short && !got.has_due,
		"without a schedule a short packet has no due time");
	flow_write(p, 68, &plan, &mark);
	tap_ok(flow_read(p, 68, &plan, &got) == FLOW_OURS && !got.is_short && got.has_due &&
			got.due_ns == mark.due_ns,
		"a long one has its own");
	mark.due_ns = FLOW_NO_DUE;
	flow_write(p, 68, &plan, &mark);
	tap_ok(flow_read(p, 68, &plan, &got) == FLOW_OURS && !got.has_due, "or none at all");
}

int
main(void)
{
	test_round_trip(&plan4, "IPv4");
	test_round_trip(&plan6, "IPv6");
	test_flips(&plan4, "IPv4");
	test_flips(&plan6, "IPv6");
	test_payload_flips();
	test_cuts(&plan4, "IPv4");
	test_cuts(&plan6, "IPv6");
	test_nat();
	test_foreign(&plan4, "IPv4");
	test_foreign(&plan6, "IPv6");
	test_addresses();
	test_no_schedule();
	return tap_done();
}
