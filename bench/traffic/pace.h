/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pacing arithmetic: which packets of a fixed rate are due.  Pure: the caller has the clock, in ns
 * since the trial's start, and sends.
 *
 * Each due time is computed from the packet's number alone, so nothing drifts, and a generator that
 * was held up sends what it owes, in bursts of bounded size, and, by pace_clock(), not much faster
 * than the rate: else its own pause would look like a burst that the device could not take.
 *
 * Owner: the caller.  Thread: one.
 */
#ifndef BENCH_TRAFFIC_PACE_H
#define BENCH_TRAFFIC_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* When packet i is due that has packet_ns for itself.  Good to 2^53 ns. */
static inline uint64_t
pace_due_ns(double packet_ns, uint64_t i)
{
	return (uint64_t)((double)i * packet_ns);
}

struct pace {
	double packet_ns;           /* between packets; 0: each is due at once */
	uint64_t next;              /* number of the next packet to send */
	uint64_t end;               /* this many in all; UINT64_MAX: no end */
	uint32_t burst;             /* never more at a time */
	uint64_t late;              /* packets sent more than late_ns after they were due */
	uint64_t most_ns;           /* the latest of all */
	uint64_t late_ns;           /* PACE_LATE_NS unless changed */
	uint64_t clock_ns, seen_ns; /* pace_clock()'s: what it said, and when it was asked */
	uint32_t pause_packets;     /* PACE_PAUSE_PACKETS unless changed */
};

#define PACE_LATE_NS UINT64_C(1000000)

/* rate_pps 0: as fast as possible.  seconds 0: no end.  burst: 1 at least. */
void pace_init(struct pace *p, double rate_pps, double seconds, uint32_t burst);

/*
 * A clock for pace_due() that never jumps: it is the time, but a pause between two calls counts as
 * PACE_PAUSE_NS at most (or pause_packets, if they take longer), and what it is behind it
 * makes up by going an eighth faster than time.
 */
#define PACE_PAUSE_NS      UINT64_C(50000)
#define PACE_PAUSE_PACKETS 500 /* less than a ring holds; sockets may hold less */
uint64_t pace_clock(struct pace *p, uint64_t now_ns);

/* How many packets to send now, 0 to burst: those from p->next on. */
uint32_t pace_due(const struct pace *p, uint64_t now_ns);

/* n packets, due or not, were sent (or given up) at now_ns: books lateness, goes on behind them. */
void pace_sent(struct pace *p, uint64_t now_ns, uint32_t n);

/* When the next packet is due: how long a generator may sleep.  UINT64_MAX after the end. */
uint64_t pace_next_ns(const struct pace *p);

static inline bool
pace_is_done(const struct pace *p)
{
	return p->next >= p->end;
}

#endif
