/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Datagrams over loopback: what goes in comes out, however it was merged on the way.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "bench/tunnel/line_socket.h"
#include "bench/tunnel/netns.h"
#include "tests/lib/tap.h"

#define PACKETS 2000
#define LEN_MAX 9000

static uint8_t buffer[LINE_BURST][LEN_MAX];

static struct endpoint
loopback(enum addr_family family)
{
	struct endpoint e = {};

	(void)!addr_parse(family == ADDR_V4 ? "127.0.0.1" : "::1", &e.addr);
	return e;
}

// A length for packet i: runs of equal ones, shorter ones between.
static uint32_t
len_of(unsigned i, bool is_mixed)
{
	static const uint32_t lens[] = { 1400, 1400, 1400, 80, 1400, 1400, 64, 64, 64, 64, 9000, 4,
		700, 699, 698, 1400 };

	return is_mixed ? lens[i % 16] : 1000;
}

static void
fill(uint8_t *p, uint32_t len, unsigned i)
{
	memset(p, (int)(i * 7 & 0xff), len);
	memcpy(p, &i, sizeof(i));
}

static bool
is_filled(const uint8_t *p, uint32_t len, unsigned i)
{
	uint8_t wanted[LEN_MAX];

	fill(wanted, len, i);
	return memcmp(p, wanted, len) == 0;
}

struct taken {
	unsigned n, wrong;
};

static void
take(struct line *rx, struct taken *t, bool is_mixed, int wait_ms)
{
	struct pollfd fd = { .fd = rx->fd, .events = POLLIN };
	const struct line_packet *packets;

	while (poll(&fd, 1, wait_ms) > 0) {
		int n = line_receive(rx, &packets);

		for (int i = 0; i < n; i++, t->n++)
			t->wrong += packets[i].len != len_of(t->n, is_mixed) ||
			            !is_filled(packets[i].data, packets[i].len, t->n);
		if (n == 0)
			return;
	}
}

static void
through(enum addr_family family, bool is_mixed, bool has_no_offload, bool is_connected)
{
	struct line_socket_config config = { .local = loopback(family),
		.has_no_offload = has_no_offload };
	struct line *rx = NULL, *tx = NULL;
	struct line_counters sent, received;
	struct taken taken = {};
	struct endpoint to;
	enum line_step step;

	tap_int(line_socket_open(&config, &rx, &step), 0, "a line that receives");
	to = line_socket_local(rx);
	if (is_connected)
		config.remote = to;
	tap_int(line_socket_open(&config, &tx, &step), 0, "a line that sends");
	for (unsigned i = 0; i < PACKETS;) {
		struct line_packet packets[LINE_BURST];
		unsigned n = PACKETS - i < LINE_BURST ? PACKETS - i : LINE_BURST;

		for (unsigned k = 0; k < n; k++) {
			fill(buffer[k], len_of(i + k, is_mixed), i + k);
			packets[k] = (struct line_packet){ .data = buffer[k],
				.len = len_of(i + k, is_mixed),
				.to = is_connected ? NULL : &to };
		}
		i += (unsigned)line_send(tx, packets, n);
		take(rx, &taken, is_mixed, 0);
	}
	take(rx, &taken, is_mixed, 200);
	line_counters(tx, &sent);
	line_counters(rx, &received);
	tap_ok(taken.n == PACKETS && taken.wrong == 0,
		"IPv%d, %s lengths, %s, %s: all come, in order (%u, %u wrong)", family,
		is_mixed ? "mixed" : "equal", has_no_offload ? "one by one" : "merged",
		is_connected ? "connected" : "not connected", taken.n, taken.wrong);
	tap_ok(sent.datagrams_sent == PACKETS && received.datagrams_received == PACKETS &&
			sent.refused == 0 && received.dropped == 0,
		"and are counted");
	// A super-packet that the kernel refuses costs calls, and merging.
	tap_ok(sent.calls_sent <= PACKETS / LINE_BURST + 1 + sent.blocked,
		"a call for each burst (%llu)", (unsigned long long)sent.calls_sent);
	line_close(tx);
	line_close(rx);
}

static void
errors(void)
{
	struct line_socket_config config = { .local = loopback(ADDR_V4) };
	struct line *gone = NULL, *tx = NULL;
	struct line_packet packet = { .data = buffer[0], .len = 100 };
	struct line_counters c;
	enum line_step step;
	struct netns_visit visit;
	int n = 0;

	tap_int(line_socket_open(&config, &gone, &step), 0, "a line");
	config.remote = line_socket_local(gone);
	line_close(gone);
	tap_int(line_socket_open(&config, &tx, &step), 0, "a line to where nobody is any more");
	for (int i = 0; i < 10; i++)
		n += line_send(tx, &packet, 1);
	line_counters(tx, &c);
	tap_int(n, 10, "what is refused counts as taken");
	tap_ok(c.refused > 0 && c.last_refusal == ECONNREFUSED, "and as refused");
	packet.len = 70000;
	tap_int(line_send(tx, &packet, 1), 1, "a datagram that cannot be sent is taken");
	line_close(tx);

	config =
		(struct line_socket_config){ .local = loopback(ADDR_V4), .netns = "no-such-netns" };
	tap_int(line_socket_open(&config, &tx, &step), -ENOENT, "a namespace that is not there");
	tap_int(step, LINE_STEP_NETNS, "is what failed");
	config = (struct line_socket_config){};
	(void)!addr_parse("192.0.2.1", &config.local.addr);
	tap_int(line_socket_open(&config, &tx, &step), -EADDRNOTAVAIL, "an address of others");
	tap_int(step, LINE_STEP_BIND, "is what failed");
	tap_ok(netns_enter(NULL, &visit) == 0 && netns_leave(&visit) == 0 &&
			netns_enter("", &visit) == 0 && netns_leave(&visit) == 0,
		"no name: nothing to enter, nothing to leave");
}

int
main(void)
{
	for (int i = 0; i < 8; i++)
		through(ADDR_V4, i & 1, i & 2, i & 4);
	through(ADDR_V6, true, false, true);
	through(ADDR_V6, true, false, false);
	errors();
	return tap_done();
}
