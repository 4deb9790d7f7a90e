/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/control.h"

#include <math.h>
#include <string.h>

#include "bench/traffic/flow.h"
#include "bench/tunnel/inner_udp.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "tests/lib/tap.h"

static struct control
hello(void)
{
	return (struct control){
		.kind = CONTROL_HELLO,
		.way = 1,
		.run = 0x12345678,
		.n_flows = 300,
		.packet_ns = 1e9 / 3,
		.seconds = 2.5,
		.planned = 7,
		.start_ns = UINT64_C(0x123456789abcdef0),
		.clock = { 1, 2, 3 },
	};
}

static struct control
goodbye(void)
{
	struct control c = hello();

	c.kind = CONTROL_GOODBYE;
	c.first_flow = 256;
	c.count = 44;
	c.late = 99;
	for (uint32_t i = 0; i < c.count; i++)
		c.sent[i] = UINT64_C(1) << (i % 60);
	return c;
}

static bool
is_equal(const struct control *a, const struct control *b)
{
	return a->kind == b->kind && a->way == b->way && a->run == b->run &&
	       a->n_flows == b->n_flows && a->packet_ns == b->packet_ns &&
	       a->seconds == b->seconds && a->planned == b->planned && a->start_ns == b->start_ns &&
	       a->late == b->late && memcmp(a->clock, b->clock, sizeof(a->clock)) == 0 &&
	       a->first_flow == b->first_flow && a->count == b->count &&
	       memcmp(a->sent, b->sent, sizeof(a->sent)) == 0;
}

static void
round_trip(struct control c, const char *what)
{
	uint8_t payload[CONTROL_MAX_LEN];
	size_t len = control_write(payload, &c), n_taken = 0;
	struct control back;

	tap_ok(control_read(payload, len, &back) && is_equal(&c, &back), "%s: read as written",
		what);
	for (size_t i = 0; i < len; i++) {
		payload[i] ^= 0x10;
		n_taken += control_read(payload, len, &back);
		payload[i] ^= 0x10;
	}
	tap_int((long long)n_taken, 0, "with any byte changed it is none");
	for (size_t i = 0; i < len; i++)
		n_taken += control_read(payload, i, &back);
	tap_int((long long)n_taken, 0, "nor cut short anywhere");
}

static void
nonsense(void)
{
	static const struct {
		const char *what;
		double packet_ns, seconds;
		uint32_t n_flows, first_flow, count;
		uint8_t way;
		int kind;
	} row[] = {
		{ "no flows", 1, 1, 0, 0, 0, 0, CONTROL_HELLO },
		{ "more flows than there may be", 1, 1, FLOW_MAX + 1, 0, 0, 0, CONTROL_HELLO },
		{ "flows beyond the last", 1, 1, 10, 9, 2, 0, CONTROL_GOODBYE },
		{ "flows that begin beyond the last", 1, 1, 10, 11, 0, 0, CONTROL_GOODBYE },
		{ "a third way", 1, 1, 10, 0, 0, 2, CONTROL_HELLO },
		{ "another kind", 1, 1, 10, 0, 0, 0, 3 },
		{ "endless seconds", 1, INFINITY, 10, 0, 0, 0, CONTROL_HELLO },
		{ "an endless schedule", INFINITY, 1, 10, 0, 0, 0, CONTROL_HELLO },
		{ "a schedule backwards", -1, 1, 10, 0, 0, 0, CONTROL_HELLO },
		{ "no number", NAN, 1, 10, 0, 0, 0, CONTROL_HELLO },
	};
	uint8_t payload[CONTROL_MAX_LEN];
	struct control back;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct control c = { .kind = (enum control_kind)row[i].kind,
			.packet_ns = row[i].packet_ns,
			.seconds = row[i].seconds,
			.n_flows = row[i].n_flows,
			.first_flow = row[i].first_flow,
			.count = row[i].count,
			.way = row[i].way };

		tap_ok(!control_read(payload, control_write(payload, &c), &back), "refused: %s",
			row[i].what);
	}
}

static void
inner(enum addr_family family)
{
	uint8_t packet[CONTROL_MAX_LEN + INNER_UDP_ROOM], payload[CONTROL_MAX_LEN];
	uint8_t again[sizeof(packet)];
	struct flow_plan plan = { .source_port = 1, .destination_port = 2 };
	struct control c = goodbye();
	size_t len = control_write(payload, &c), packet_len, back_len = 0, n = 0;
	struct ip_view view;
	const uint8_t *back;

	(void)!addr_parse(family == ADDR_V4 ? "10.0.0.1" : "fd00::1", &plan.source);
	(void)!addr_parse(family == ADDR_V4 ? "10.0.0.2" : "fd00::2", &plan.destination);
	packet_len = inner_udp_write(packet, &plan, payload, len);
	back = inner_udp_payload(packet, packet_len, &back_len);
	tap_ok(back != NULL && back_len == len && memcmp(back, payload, len) == 0,
		"IPv%d: the payload comes back", family);
	tap_ok(ip_parse(packet, (uint32_t)packet_len, &view) && view.total_len == packet_len &&
			view.protocol == 17,
		"IPv%d: a well-formed packet", family);
	memcpy(again, packet, packet_len);
	tap_ok(checksum_fill_packet(again, &view) && memcmp(again, packet, packet_len) == 0,
		"IPv%d: with the right checksum", family);
	for (size_t i = 0; i < (family == ADDR_V4 ? 28u : 48u); i++)
		n += inner_udp_payload(packet, i, &back_len) != NULL;
	tap_int((long long)n, 0, "cut short it has none");
}

int
main(void)
{
	round_trip(hello(), "hello");
	round_trip(goodbye(), "goodbye");
	nonsense();
	inner(ADDR_V4);
	inner(ADDR_V6);
	return tap_done();
}
