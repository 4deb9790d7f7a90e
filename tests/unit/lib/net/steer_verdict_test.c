/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steering decision by rows (the same as in tests/unit/ebpf/steer_test.c), and the sieve's
 * limits by a clock of the test's own.
 */

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/steer_naive.h"
#include "tests/lib/tap.h"

#define MS UINT64_C(1000000)

static const uint8_t mac[6] = STEER_ROW_MAC;
static struct steer_naive tables;

static enum steer_verdict
decide(const struct steer_settings *settings, const uint8_t *frame, size_t len)
{
	// Behind a copy that ends where the frame ends, so that a sanitizer sees a byte too far.
	uint8_t *exact = malloc(len > 0 ? len : 1);
	enum steer_verdict verdict;

	memcpy(exact, frame, len);
	verdict = steer_verdict(settings, mac, exact, exact + len, &tables);
	free(exact);
	return verdict;
}

static void
test_rows(void)
{
	struct steer_settings settings =
		steer_row_settings((struct steer_limit){}, (struct steer_limit){});
	uint8_t frame[STEER_FRAME];

	steer_naive_init(&tables);
	for (size_t i = 0; i < n_steer_rows; i++) {
		size_t len = steer_row_frame(&steer_rows[i], frame);

		tap_int(decide(&settings, frame, len), steer_rows[i].wanted, steer_rows[i].what);
	}
}

/* Every frame of the table, cut at every byte: nothing is read beyond (with a sanitizer). */
static void
test_cuts(void)
{
	struct steer_settings settings =
		steer_row_settings((struct steer_limit){}, (struct steer_limit){});
	uint8_t frame[STEER_FRAME];
	bool all = true;

	steer_naive_init(&tables);
	for (size_t i = 0; i < n_steer_rows; i++) {
		size_t len = steer_row_frame(&steer_rows[i], frame);

		for (size_t cut = 0; cut <= len; cut++)
			all &= decide(&settings, frame, cut) < STEER_PASS_UNREAD;
	}
	tap_ok(all, "any cut of any frame has a verdict");
}

static void
test_off(void)
{
	struct steer_settings settings = { .nat_first = 1, STEER_LIMITS };
	uint8_t frame[STEER_FRAME];
	size_t len;

	steer_naive_init(&tables);
	len = steer_wire_frame("198.51.100.9", 1, "192.0.2.1", 0x04000000, 64, frame);
	tap_int(decide(&settings, frame, len), STEER_PASS,
		"without a port nothing is transport data");
	len = steer_row_frame(&(struct steer_row_case){ .ip = { .src = "198.51.100.9",
								.dst = "192.0.2.1",
								.protocol = 6,
								.dport = 61000 } },
		frame);
	tap_int(decide(&settings, frame, len), STEER_PASS, "without a range nothing is translated");
	len = steer_row_frame(
		&(struct steer_row_case){
			.ip = { .src = "198.51.100.9", .dst = "100.64.0.5", .protocol = 6 } },
		frame);
	tap_int(decide(&settings, frame, len), STEER_INNER, "the tunnel stays closed all the same");
}

/* --- limits ------------------------------------------------------------------------------------
 */

static unsigned
passed_of(unsigned n,
	const struct steer_settings *settings,
	const char *src,
	uint16_t port,
	uint32_t word,
	uint16_t payload)
{
	uint8_t frame[STEER_FRAME];
	size_t len = steer_wire_frame(
		src, port, strchr(src, ':') ? "2001:db8::1" : "192.0.2.1", word, payload, frame);
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += decide(settings, frame, len) == STEER_PASS_WIRE;
	return passed;
}

#define INITIATION 0x01000000, 148
#define DATA       0x04000000, 64
#define JUNK       0xdeadbeef, 64

static void
know(const char *text, uint16_t port)
{
	struct steer_source s = { .port = port };
	struct addr a = {};
	int err = addr_parse(text, &a);

	assert(err == 0);
	s.family = a.family;
	memcpy(s.bytes, a.bytes, a.family == 4 ? 4 : 16);
	tables.known[tables.n_known++] = s;
}

static void
test_source_limit(void)
{
	// 5 at once, then one each 10 ms.
	struct steer_settings s = steer_row_settings(
		(struct steer_limit){ 10 * MS, 5 }, (struct steer_limit){ 1 * MS, 100 });

	steer_naive_init(&tables);
	tap_int(passed_of(50, &s, "198.51.100.9", 1, INITIATION), 5, "a source's burst");
	tap_int(passed_of(50, &s, "198.51.100.9", 2, INITIATION), 0, "whatever its port");
	tap_int(passed_of(50, &s, "198.51.100.10", 1, INITIATION), 5, "another source has its own");
	tables.now += 9 * MS;
	tap_int(passed_of(50, &s, "198.51.100.9", 1, INITIATION), 0, "9 ms are not enough");
	tables.now += 1 * MS;
	tap_int(passed_of(50, &s, "198.51.100.9", 1, INITIATION), 1, "10 ms bring one");
	tables.now += 35 * MS;
	tap_int(passed_of(50, &s, "198.51.100.9", 1, INITIATION), 3, "35 ms bring three");
	tables.now += 1000 * MS;
	tap_int(passed_of(50, &s, "198.51.100.9", 1, INITIATION), 5, "never more than the burst");
	tap_int(passed_of(50, &s, "198.51.100.9", 1, JUNK), 5,
		"other messages count by themselves");
	tap_int(passed_of(3, &s, "2001:db8:9::1", 1, INITIATION) +
			passed_of(3, &s, "2001:db8:9::2", 1, INITIATION),
		5, "an IPv6 network is one source");
	tap_int(passed_of(50, &s, "2001:db8:9:1::1", 1, INITIATION), 5,
		"another network is another");
}

static void
test_total_limit(void)
{
	struct steer_settings s = steer_row_settings(
		(struct steer_limit){ 10 * MS, 5 }, (struct steer_limit){ 1 * MS, 20 });
	unsigned passed = 0;

	steer_naive_init(&tables);
	know("198.51.100.77", 0);
	know("2001:db8:77::1", 0);
	for (unsigned i = 0; i < 250; i++) {
		char src[32];

		snprintf(src, sizeof(src), "203.0.113.%u", i);
		passed += passed_of(2, &s, src, 1, INITIATION);
	}
	tap_int(passed, 20, "of 500 initiations from 250 sources, as many as all together may");
	tap_int(passed_of(1, &s, "203.0.113.251", 1, INITIATION), 0, "one more is too many");
	tap_int(passed_of(9, &s, "198.51.100.77", 1, INITIATION), 5,
		"a peer's address still has its own");
	tap_int(passed_of(9, &s, "2001:db8:77::1", 1, INITIATION), 5, "in IPv6 too");
	tap_int(passed_of(9, &s, "2001:db8:77::2", 1, INITIATION), 0, "but not its neighbours'");
	tap_int(passed_of(9, &s, "203.0.113.9", 1, JUNK), 5, "other messages have their own total");
	tables.now += 7 * MS;
	passed = 0;
	for (unsigned i = 0; i < 50; i++) {
		char src[32];

		snprintf(src, sizeof(src), "203.0.112.%u", i);
		passed += passed_of(2, &s, src, 1, INITIATION);
	}
	tap_int(passed, 7, "7 ms bring seven");
}

/* One that floods is stopped by its own limit, before it eats what all may send together. */
static void
test_one_flooder(void)
{
	struct steer_settings s = steer_row_settings(
		(struct steer_limit){ 10 * MS, 5 }, (struct steer_limit){ 1 * MS, 20 });

	steer_naive_init(&tables);
	tap_int(passed_of(5000, &s, "203.0.113.1", 1, INITIATION), 5, "one source sends 5,000");
	tap_int(passed_of(5, &s, "203.0.113.2", 1, INITIATION), 5, "another has room");
	tap_int(passed_of(5, &s, "203.0.113.3", 1, INITIATION), 5, "and a third");
}

static void
test_known_ports(void)
{
	struct steer_settings s = steer_row_settings(
		(struct steer_limit){ 10 * MS, 5 }, (struct steer_limit){ 1 * MS, 20 });

	steer_naive_init(&tables);
	know("198.51.100.77", 4001);
	know("198.51.100.77", 4002);
	know("198.51.100.77", 0);
	tap_int(passed_of(99, &s, "198.51.100.77", 6666, INITIATION), 5,
		"a stranger behind a peer's translator has the address's limit");
	tap_int(passed_of(9, &s, "198.51.100.77", 4001, INITIATION), 5, "the peer's port its own");
	tap_int(passed_of(9, &s, "198.51.100.77", 4002, INITIATION), 5,
		"and so has another peer's");
}

/* Any sum of refused and passed messages leaves transport data alone. */
static void
test_data_is_not_limited(void)
{
	struct steer_settings s = steer_row_settings(
		(struct steer_limit){ 10 * MS, 1 }, (struct steer_limit){ 1 * MS, 1 });
	uint8_t frame[STEER_FRAME];
	size_t len = steer_wire_frame("198.51.100.9", 7, "192.0.2.1", DATA, frame);
	unsigned steered = 0;

	steer_naive_init(&tables);
	(void)passed_of(1000, &s, "198.51.100.9", 7, INITIATION);
	for (unsigned i = 0; i < 1000; i++)
		steered += decide(&s, frame, len) == STEER_WIRE;
	tap_int(steered, 1000, "transport data has no limit");
}

int
main(void)
{
	test_rows();
	test_cuts();
	test_off();
	test_source_limit();
	test_total_limit();
	test_one_flooder();
	test_known_ports();
	test_data_is_not_limited();
	return tap_done();
}
