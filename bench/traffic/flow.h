/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packets of a trial: inner IPv4 or IPv6 with UDP, each of which says which flow it belongs to,
 * its number there, and when it was due, and whose every further byte is known to the receiver.
 *
 *     IP header, UDP header, then (little-endian; struct flow_mark)
 *     magic 4 | run 4 | flow 4 | length 2 | zero 2 | sequence 8 | due_ns 8 | check 8 = 40 bytes,
 * then filler
 *
 * An IPv4 packet of 68 bytes is the shortest that holds a whole mark; shorter ones (down to 40
 * bytes) carry the short mark: magic' 2 | flow 2 | sequence 4 | check 4 = 12 bytes, whose run is
 * folded into the check and whose due time is the schedule's (flow_schedule).  So 64-byte packets
 * are measured whole.
 *
 * `check` is a keyed hash (SipHash-2-4, key from the run's number) over the mark and the length;
 * filler bytes are a function of flow and sequence.  A packet of another run, or of none, is
 * foreign; one with any other byte is corrupted.
 *
 * due_ns is the planned time of sending, in ns since the trial's start, not the time at which a
 * late generator got round to it: latency counted from it does not omit what the generator's own
 * stalls cost (coordinated omission), and it can be written when packets are encrypted ahead.
 *
 * Owner: the caller.  Thread: any; no state.
 */
#ifndef BENCH_TRAFFIC_FLOW_H
#define BENCH_TRAFFIC_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define FLOW_MIN_LEN4 40 /* bytes of inner packet: IPv4 + UDP + short mark */
#define FLOW_MIN_LEN6 60
#define FLOW_MAX_LEN  9216
#define FLOW_MAX      65536 /* flows of a run */

/* Where a run's flows lead. */
struct flow_plan {
	uint32_t run;                    /* a number of this run alone: receivers ignore others */
	uint32_t n_flows;                /* 1 to FLOW_MAX */
	struct addr source, destination; /* of one family: that of the inner packets */
	/* Of flow 0; flow n has source_port + n, modulo the range 1024 to 65535. */
	uint16_t source_port;
	uint16_t destination_port; /* the same for all */
};

struct flow_mark {
	uint32_t flow;
	uint64_t sequence; /* from 0, per flow */
	uint64_t due_ns;   /* since the start of the trial; 0 in a short packet */
	bool is_short;     /* no due time in it */
};

/*
 * Write a whole inner packet of len bytes (FLOW_MIN_LEN.. to FLOW_MAX_LEN) with right checksums.
 * flow_write_payload writes the UDP payload alone, for sockets: len is that of the inner packet.
 */
void
flow_write(uint8_t *packet, size_t len, const struct flow_plan *plan, const struct flow_mark *mark);
void flow_write_payload(uint8_t *payload,
	size_t len,
	const struct flow_plan *plan,
	const struct flow_mark *mark);

enum flow_verdict {
	FLOW_OURS,      /* ret_mark is set */
	FLOW_FOREIGN,   /* not of this run, or no such packet */
	FLOW_CORRUPTED, /* of this run (its magic and length say so), with wrong bytes; no mark */
};
/* Judge what arrived.  TTL, DSCP, ECN, addresses and ports may differ (NAT); payload may not. */
enum flow_verdict flow_read(const uint8_t *packet,
	size_t len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark);
/* payload_len of UDP payload, from a socket; the inner packet was header longer (28 or 48). */
enum flow_verdict flow_read_payload(const uint8_t *payload,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark);

#endif
