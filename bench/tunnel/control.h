/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a generator tells a sink elsewhere, in the same way that its packets take: what is about to
 * come (hello), and how much was sent (goodbye).  UDP payloads; each is sent several times.
 *
 *     magic 8 | kind 1 | way 1 | zero 2 | run 4 | n_flows 4 | first_flow 4 | count 4 | zero 4 |
 *     packet_ns 8 | seconds 8 | planned 8 | start_ns 8 | late 8 | clock 16 |
 *     goodbye: sent 8 for each of count flows from first_flow on | mac 16
 *
 * Integers are little-endian, doubles IEEE 754.  The mac is a keyed hash with a key known to all:
 * it tells accidents, not forgers.
 *
 * Source: our own.  Thread: any; no state.
 */
#ifndef BENCH_TUNNEL_CONTROL_H
#define BENCH_TUNNEL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_HEAD_LEN  96
#define CONTROL_MAC_LEN   16
#define CONTROL_CLOCK_LEN 16
#define CONTROL_FLOWS     128 /* of one goodbye: it fits into any tunnel */
#define CONTROL_MAX_LEN   (CONTROL_HEAD_LEN + CONTROL_FLOWS * 8 + CONTROL_MAC_LEN)

enum control_kind {
	CONTROL_HELLO = 1,
	CONTROL_GOODBYE = 2,
};

struct control {
	enum control_kind kind;
	uint8_t way; /* 0 inbound, 1 outbound */
	uint32_t run, n_flows;
	double packet_ns;                 /* schedule of the plan; 0: none */
	double seconds;                   /* hello: planned; goodbye: it took */
	uint64_t planned;                 /* packets in all; 0: as many as go */
	uint64_t start_ns;                /* of the first packet, CLOCK_BOOTTIME */
	uint64_t late;                    /* goodbye: packets that were sent late */
	uint8_t clock[CONTROL_CLOCK_LEN]; /* whose clock that is: equal on one machine */
	uint32_t first_flow, count;       /* goodbye */
	uint64_t sent[CONTROL_FLOWS];
};

/* Bytes written. */
size_t control_write(uint8_t payload[static CONTROL_MAX_LEN], const struct control *c);

/* Whether it is one, whole and sensible: 1 <= n_flows <= FLOW_MAX, flows within, finite times. */
bool control_read(const uint8_t *payload, size_t len, struct control *ret);

/* This machine's clock: a hash of what names this boot of its kernel. */
void control_clock(uint8_t ret[static CONTROL_CLOCK_LEN]);

#endif
