/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a worker's time goes, step by step, kept only while a bench asks for it.
 *
 * The steps of a round follow each other, so one reading of the TSC at the end of each is enough:
 * what has passed since the one before was this step's.  Loads still under way are waited for by
 * whoever uses them, so a miss that a stage has begun counts where its line is needed.
 *
 * Owner:  whoever measures sets worker.ticks; NULL (always, in production) costs a step one branch
 *         per burst.
 */
#ifndef DATAPLANE_PATH_STEPS_H
#define DATAPLANE_PATH_STEPS_H

#include <stdint.h>
#include <x86intrin.h>

/* enumerator, name in tables and JSON */
#define PATH_STEPS(X)                            \
	X(STEP_ROUND, "round")                   \
	X(STEP_WIRE_RX, "wire_rx")               \
	X(STEP_KEYPAIR_LOOKUP, "keypair_lookup") \
	X(STEP_AEAD_OPEN, "aead_open")           \
	X(STEP_DECRYPT, "decrypt")               \
	X(STEP_SOURCE_CHECK, "source_check")     \
	X(STEP_KNOWN_FLOWS, "known_flows")       \
	X(STEP_ACL, "acl")                       \
	X(STEP_ROUTE_INNER, "route_inner")       \
	X(STEP_HOST_TRANSMIT, "host_transmit")   \
	X(STEP_HOST_RX, "host_rx")               \
	X(STEP_LINK_RX, "link_rx")               \
	X(STEP_LINK_UNWRAP, "link_unwrap")       \
	X(STEP_NET_ROUTE, "net_route")           \
	X(STEP_NAT, "nat")                       \
	X(STEP_LEARN_FLOWS, "learn_flows")       \
	X(STEP_LINK_ENTER, "link_enter")         \
	X(STEP_LINK_TRANSMIT, "link_transmit")   \
	X(STEP_PEER_LOOKUP, "peer_lookup")       \
	X(STEP_SESSION_SELECT, "session_select") \
	X(STEP_AEAD_SEAL, "aead_seal")           \
	X(STEP_ENCRYPT, "encrypt")               \
	X(STEP_WIRE_TRANSMIT, "wire_transmit")

enum path_step {
#define X(id, name) id,
	PATH_STEPS(X)
#undef X
	N_PATH_STEPS
};

struct path_ticks {
	uint64_t last; /* when the step before ended; set anew before each round by who measures */
	uint64_t ticks[N_PATH_STEPS];
	uint64_t marks[N_PATH_STEPS]; /* how often the TSC was read for it */
};

/* A step has ended.  NULL: nobody measures. */
static inline void
step_done(struct path_ticks *ticks, enum path_step step)
{
	uint64_t now;

	if (__builtin_expect(ticks == NULL, 1))
		return;
	now = __rdtsc();
	ticks->ticks[step] += now - ticks->last;
	ticks->marks[step]++;
	ticks->last = now;
}

#endif
