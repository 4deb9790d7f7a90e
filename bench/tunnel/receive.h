/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The receiving half of a trial: what comes out of either end goes into the books of its way, and
 * the tunnel's sessions are looked after.
 *
 * Owner:  the caller.  Thread: receive_run() is a thread of its own, which alone uses the tallies
 *         and the receiving sides of the ends while it runs; `received` and `stop` are for any.
 */
#ifndef BENCH_TUNNEL_RECEIVE_H
#define BENCH_TUNNEL_RECEIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/traffic/tally.h"
#include "bench/tunnel/clear_end.h"
#include "bench/tunnel/tunnel_end.h"
#include "lib/base/clock.h"

struct receive {
	/* Set by the caller. */
	struct tunnel_end *tunnel; /* NULL: there is none */
	struct clear_end *clear;   /* NULL, or without receiving line: nothing is received there */
	struct tally *tally[2];    /* what comes out inbound (clear end), outbound (tunnel end);
	                            * NULL: thrown away */
	struct mono start;
	int core; /* -1: any */

	/*
	 * Asked about each payload that may be a message of the other end's program rather than a
	 * packet of the trial (control.h); true: it was one.  NULL: there are none.
	 */
	bool (*control)(void *context, const uint8_t *payload, size_t len);
	void *context;

	/* The outcome. */
	_Atomic uint64_t received[2]; /* packets of any kind, by way */
	_Atomic uint64_t last_ns;     /* since start: when the last one came */
	_Atomic bool stop;            /* set by anybody: end at once */
};

/* pthread_create()'s form; arg is the struct receive. */
void *receive_run(void *arg);

/* Wait up to wait_ms for something to come, and take it: for those who have no thread for it. */
void receive_round(struct receive *r, int wait_ms);

#endif
