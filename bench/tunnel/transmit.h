/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sending half of a trial: packets of a plan, paced, on either end or both.
 *
 * Packet k of a trial in both directions goes inbound if k is even; packet i of a way belongs to
 * flow i mod n_flows, is number i / n_flows there, and flow f is peer f mod n_peers.  So everything
 * about a packet follows from its number, and what was sent of a flow from how many were sent.
 *
 * Owner:  the caller.
 * Thread: transmit_prepare() and transmit_fini() the caller's, transmit_run() a thread of its own;
 *         `sent` and `stop` are for any.
 */
#ifndef BENCH_TUNNEL_TRANSMIT_H
#define BENCH_TUNNEL_TRANSMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/flow.h"
#include "bench/traffic/pace.h"
#include "bench/traffic/sizes.h"
#include "bench/trial/trial.h"
#include "bench/tunnel/clear_end.h"
#include "bench/tunnel/tunnel_end.h"
#include "lib/base/clock.h"

struct transmit {
	/* Set by the caller. */
	struct tunnel_end *tunnel; /* NULL: nothing goes inbound */
	struct clear_end *clear;   /* NULL: nothing goes outbound */
	enum trial_direction direction;
	struct flow_plan plan[2]; /* inbound, outbound: of peer 0 */
	uint32_t n_peers;
	const struct sizes *sizes;
	double rate_pps, seconds;
	size_t ahead_bytes; /* 0: packets are made when they are due; else what may be kept */
	bool is_spinning;   /* waits for due times without sleeping */
	int core;           /* -1: any */
	struct mono start;  /* when it begins to send; later than the call of transmit_run() */

	/* The outcome. */
	struct pace pace;
	_Atomic uint64_t sent[2];
	double took_s;
	_Atomic bool stop;    /* set by anybody: end soon */
	_Atomic bool is_done; /* set by the thread, at its end */

	struct transmit_room *room;
};

/* A session for a trial is renewed beyond this age. */
#define TRANSMIT_YOUNG_NS (60 * NS_PER_S)

/* What encrypting ahead may take: what was asked for, or (0) half of the free memory and 2 GiB at
 * most. */
size_t transmit_ahead_room(size_t asked);
/* There are cores enough to wait without sleeping. */
bool transmit_may_spin(void);
/* It did not do what was asked of it. */
bool transmit_is_limited(const struct transmit *t, double offered_pps);
/* Of this process so far. */
double transmit_cpu_s(void);

/*
 * Take memory; with ahead_bytes, make and seal every packet (the sessions have to be young).
 * is_stopped may be NULL.  0; -EINTR: stopped; another error, that it has said: too much for the
 * memory, or too long for a session.
 */
[[nodiscard]] int
transmit_prepare(struct transmit *t, bool (*is_stopped)(void *context), void *context);

/* pthread_create()'s form; arg is the struct transmit. */
void *transmit_run(void *arg);

void transmit_fini(struct transmit *t);

/* How many numbers of each flow were sent of a way: ret_sent[n_flows]. */
void transmit_flows(const struct transmit *t, unsigned way, uint64_t *ret_sent);

/* Pin the calling thread; -1: leave it. */
void transmit_pin(int core);

#endif
