/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A trial whose ends are two programs, perhaps on two machines: one sends, the other receives, and
 * the sender tells what it sent in the same way that its packets take (control.h).
 *
 * Owner: the caller.  Thread: one; sending makes two more while it runs.
 */
#ifndef BENCH_TUNNEL_APART_H
#define BENCH_TUNNEL_APART_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/trial/trial.h"
#include "bench/tunnel/end_options.h"

/* Direction of a generator that has this end only. */
static inline enum trial_direction
apart_send_direction(const struct end_options *o)
{
	return o->has_tunnel ? TRIAL_INBOUND : TRIAL_OUTBOUND;
}

/*
 * Send one trial's packets: hello, load, goodbye.  Of *ret_result what a sender knows is set: sent,
 * rates, lateness, CPU.  *ret_wire: as device_socket_wire().
 * 0, or an error that has been said; a trial that was stopped ends with 0.
 */
[[nodiscard]] int apart_send(const struct end_options *o,
	const struct trial_request *request,
	struct trial_result *ret_result,
	json_t **ret_wire);

struct apart_received {
	struct trial_result result;
	enum trial_direction direction;
	uint32_t n_flows;
	bool was_told;    /* a goodbye came, so what was lost is known; else it is counted against
	                   * what the hello had announced */
	bool has_latency; /* both ends have one clock */
	json_t *wire;
};

/*
 * Receive one trial: waits for its hello, ends with its goodbye, after idle_s seconds of silence
 * (0: never), or when it is stopped.
 *
 * 0: *ret is set, its JSON is the caller's; -ENODATA: nothing came before the end, said; another
 * error, said.
 */
[[nodiscard]] int
apart_receive(const struct end_options *o, double idle_s, struct apart_received *ret);

#endif
