/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A network in process, with a fake clock: hosts behind NATs of several kinds, lines that lose,
 * delay, reorder and repeat datagrams, and relays that lose nothing.
 *
 *     host 0 -- NAT 0 --+--  lines  --+-- NAT 1 -- host 1
 *                       +-- relays  --+
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_LINE_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"

#define LINE_MAX_HOSTS 3
#define LINE_MAX_FLOWS 64
#define LINE_MTU       512
#define LINE_FLOW_NS   (30 * NS_PER_S) /* a NAT forgets a flow after this without a datagram out */

enum nat_mapping {
	NAT_NONE,      /* a public address */
	NAT_STABLE,    /* one outer port, whoever is spoken to */
	NAT_SYMMETRIC, /* another outer port for each that is spoken to */
};

enum nat_filter { /* whose datagrams may come in */
	NAT_ANY,
	NAT_SAME_ADDR, /* who was spoken to, from any of its ports */
	NAT_SAME_PORT,
};

struct nat_flow {
	struct endpoint remote;
	uint16_t port; /* outer; 0: the entry is free */
	struct mono last_out;
};

struct nat {
	enum nat_mapping mapping;
	enum nat_filter filter;
	bool no_out, no_in; /* UDP is blocked that way */
	struct addr outer;
	uint16_t next_port;
	struct nat_flow flows[LINE_MAX_FLOWS];
};

struct line_host {
	struct nat nat;
	struct endpoint inner; /* hosts of one LAN differ in the last byte only */
	uint32_t regions;      /* bits: relays that it is connected to */
};

struct line_datagram { /* as it arrives */
	int to;
	int from_host;
	uint16_t region;      /* 0: over UDP */
	struct endpoint from; /* over UDP */
	size_t len;
	uint8_t data[LINE_MTU];
};

struct line_packet;

struct line {
	struct mono now;
	uint64_t random_state;
	int n_hosts;
	struct line_host hosts[LINE_MAX_HOSTS];
	int64_t latency_ns, jitter_ns; /* of UDP one way; that of relays is three times as much */
	int loss_percent, repeat_percent;
	bool relays_down;
	struct line_packet **packets; /* a heap, by the time of arrival */
	size_t n_packets, room;
	uint64_t n_ever;
};

uint64_t line_random(struct line *line);
int line_below(struct line *line, int n); /* 0 to n - 1 */
bool line_chance(struct line *line, int percent);

void line_send_udp(struct line *line,
	int from,
	const struct endpoint *to,
	const uint8_t *data,
	size_t len);
void line_send_relay(struct line *line,
	int from,
	uint16_t region,
	int to,
	const uint8_t *data,
	size_t len);
/* When the next one arrives, or never. */
struct mono line_next(const struct line *line);
/* Take what has arrived by now; false: nothing. */
bool line_take(struct line *line, struct line_datagram *ret_datagram);
void line_drop_all(struct line *line);

/* From which endpoint a STUN server would see the host; false: it would not. */
bool line_stun(struct line *line, int host, struct endpoint *ret_outer);
/* The host's NAT starts anew: other ports, and another outer address if wanted. */
void line_rebind(struct line *line, int host, bool another_address);

#endif
