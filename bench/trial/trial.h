/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One trial: a load offered to a device for a while, and what came out.  Search, generate and
 * compare know devices only by this.
 *
 *   inbound   WireGuard messages go in, cleartext comes out: the device decrypts
 *   outbound  cleartext goes in, WireGuard messages come out: the device encrypts
 *   both      half of the packets each way at the same time
 *
 * Devices: device_simulated.c (a known answer, for tests), device_memory.c (Sluice's data plane in
 * memory and a generator, on two cores: T2), device_socket.c (whatever speaks WireGuard, over
 * sockets: T3).
 */
#ifndef BENCH_TRIAL_TRIAL_H
#define BENCH_TRIAL_TRIAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/traffic/latency.h"
#include "bench/traffic/sizes.h"
#include "bench/traffic/tally.h"

enum trial_direction {
	TRIAL_INBOUND,
	TRIAL_OUTBOUND,
	TRIAL_BOTH,
};

extern const char *const trial_direction_names[3];

struct trial_request {
	enum trial_direction direction;
	double rate_pps; /* offered, both directions together; 0: as fast as the generator can */
	double seconds;  /* of sending; then it waits drain_seconds for what is under way */
	double drain_seconds;
	const struct sizes *sizes;
	uint32_t n_flows;
	bool encrypt_ahead; /* packets are sealed before the clock starts */
};

struct trial_result {
	double offered_pps;      /* what the generator really sent per second */
	double seconds;          /* it really took to send */
	double delivered_pps;    /* sum.received / seconds */
	struct tally_sum sum;    /* of both directions */
	struct tally_sum way[2]; /* inbound, outbound */
	struct latency latency;
	uint64_t generator_late; /* packets sent more than 1 ms after they were due */
	uint64_t socket_dropped; /* by our own sockets: not the device's fault, and said apart */
	double generator_cpu_s;  /* of this process during the trial */
	/*
	 * The share of the time in which the device's thread really had its core; 0: not known.
	 * Well below 1, others disturbed the trial.
	 */
	double device_core_share;
	bool generator_limited; /* it did not reach the rate: the figure is a lower bound of the
	                           device's */
};

struct device {
	const char *name; /* "memory", "socket", "simulated" */
	const char *tier; /* "T2", "T3" */
	/* Returns 0, or an error that has been said with bench_error(). */
	int (*run)(struct device *d,
		const struct trial_request *request,
		struct trial_result *ret_result);
	void (*destroy)(struct device *d);
};

/* axes and result as records want them (harness/run.h). */
json_t *trial_axes(const struct device *d, const struct trial_request *request);
json_t *trial_json(const struct trial_result *result);

#endif
