/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packets of a trial: inner IPv4 or IPv6 with UDP, each of which says which flow it belongs to,
 * its number there, and when it was due, and whose every further byte is known to the receiver.
 *
 *     IP header, UDP header, then (little-endian)
 *     magic 4 | run 4 | flow 4 | length 2 | zero 2 | sequence 8 | due_ns 8 | check 8 = 40 bytes,
 *     then filler
 *
 * An IPv4 packet of 68 bytes (IPv6: 88) is the shortest that holds a whole mark; shorter ones, down
 * to 40 bytes (60), carry the short mark: magic of the run 2 | flow 2 | sequence 4 | check 4 = 12
 * bytes.  The run is folded into its magic and check, and its due time is the plan's schedule
 * (packet_ns).  So 64-byte packets are measured whole.
 *
 * `check` is a hash over the mark, the length and the run (folded multiplications: sound against
 * accidents, not against somebody who forges; nobody gains by that here).  Filler is a function of
 * that hash, eight bytes and their complement in turn, so that its part of the UDP checksum is zero
 * and swapped pieces are seen.  A packet of another run, or of none, is foreign; one with any other
 * byte is corrupted.
 *
 * due_ns is the planned time of sending, in ns since the trial's start, not the time at which a
 * late generator got round to it: latency counted from it does not omit what the generator's own
 * stalls cost (coordinated omission), and it can be written when packets are encrypted ahead.
 *
 * Cost in core cycles, packets in the L1 cache, best of many bursts of 32, gcc 12 (clang 14) on a
 * Xeon of family 6, model 167: a packet of 64 bytes is written in 39 (42), read in 41 (49) and
 * booked by tally_packet(), reading included, in 58 (79); one of 1420 bytes in 136 (145), 164 (132)
 * and 186 (159).
 *
 * Owner: the caller.  Thread: any; no state.
 */
#ifndef BENCH_TRAFFIC_FLOW_H
#define BENCH_TRAFFIC_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/pace.h"
#include "lib/net/addr.h"

#define FLOW_MIN_LEN4 40 /* bytes of inner packet: IPv4 + UDP + short mark */
#define FLOW_MIN_LEN6 60
#define FLOW_MAX_LEN  9216
#define FLOW_MAX      65536 /* flows of a run */
#define FLOW_NO_DUE   UINT64_MAX

/* Where a run's flows lead. */
struct flow_plan {
	uint32_t run;                    /* a number of this run alone: receivers ignore others */
	uint32_t n_flows;                /* 1 to FLOW_MAX */
	struct addr source, destination; /* of one family: that of the inner packets */
	/*
	 * Flow n has the addresses source + n modulo n_sources and destination + n modulo
	 * n_destinations, counted in the last 32 bits: so flows spread over peers.  0 is as 1.
	 */
	uint32_t n_sources, n_destinations;
	/* Of flow 0, 1024 at least; flow n has source_port + n, modulo the range 1024 to 65535. */
	uint16_t source_port;
	uint16_t destination_port; /* the same for all */
	/*
	 * The schedule: flows take turns, so packet i of the run is number i / n_flows of flow
	 * i % n_flows, due at pace_due_ns(packet_ns, i).  Short packets get their due time back
	 * from it.  0: no schedule, their due time is not known.
	 */
	double packet_ns;
};

struct flow_mark {
	uint32_t flow;
	uint64_t sequence; /* from 0, per flow; short packets: modulo 2^32 */
	uint64_t due_ns;   /* since the start of the trial, or FLOW_NO_DUE; ignored when a short
	                      packet is written */
	uint32_t len;      /* of the inner packet, without padding; set by flow_read */
	bool is_short;     /* the same */
	bool has_due; /* set by flow_read: false: FLOW_NO_DUE, or short and without a schedule */
};

/*
 * Write a whole inner packet of len bytes (FLOW_MIN_LEN.. to FLOW_MAX_LEN) with right checksums,
 * TTL 64, Don't Fragment.  flow_write_payload writes the UDP payload alone, for sockets: len is
 * that of the inner packet.
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
	FLOW_CORRUPTED, /* of this run (its magic, run or check say so), with wrong bytes; no mark
	                 */
};
/*
 * Judge what arrived.  TTL, DSCP, ECN, flow label, addresses and ports may differ (NAT), as long as
 * the checksums are right (UDP over IPv4 may have none); nothing else may.  Bytes beyond the
 * packet's own length are padding and not looked at.
 */
enum flow_verdict flow_read(const uint8_t *packet,
	size_t len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark);
/* payload_len of UDP payload, from a socket; the inner packet was header longer (28 or 48). */
enum flow_verdict flow_read_payload(const uint8_t *payload,
	size_t payload_len,
	const struct flow_plan *plan,
	struct flow_mark *ret_mark);

/* Bytes of IP and UDP header before the payload: 28 or 48. */
static inline uint32_t
flow_header_len(const struct flow_plan *plan)
{
	return plan->source.family == ADDR_V6 ? 48 : 28;
}

static inline uint32_t
flow_min_len(const struct flow_plan *plan)
{
	return plan->source.family == ADDR_V6 ? FLOW_MIN_LEN6 : FLOW_MIN_LEN4;
}

/* The shortest that holds a whole mark. */
static inline uint32_t
flow_whole_len(const struct flow_plan *plan)
{
	return flow_header_len(plan) + 40;
}

#endif
