/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A device of trials whose answer is known: it carries capacity_pps and what it does beyond is
 * said here.  For tests of searches; nothing is sent and nobody waits, its clock is simulated.
 *
 * The same seed and the same trials give the same results.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_TRIAL_DEVICE_SIMULATED_H
#define BENCH_TRIAL_DEVICE_SIMULATED_H

#include <stdint.h>

#include "bench/trial/trial.h"

struct device_simulated_config {
	uint64_t seed;
	double capacity_pps;
	/*
	 * Beyond its capacity it delivers capacity x (capacity / offered)^collapse: 0 drops the
	 * excess and goes on at capacity, 1 and more collapses.
	 */
	double collapse;
	double buffer_packets; /* of an overload or a stall, so many are not lost */
	double jitter;         /* the capacity of a trial differs by up to this share: 0.01 */
	double noise;         /* with this probability a trial below capacity loses a few packets */
	uint32_t noise_most;  /* 1 to so many; 0: 10 */
	double stalls_per_s;  /* pauses of the device, on average */
	double stall_s;       /* how long each is */
	double latency_ns;    /* of an idle device; 0: 20,000 */
	double generator_pps; /* what the generator reaches; 0: ten times the capacity */
};

/* 0 or -ENOMEM.  Destroy by ret_device->destroy(). */
[[nodiscard]] int device_simulated_create(const struct device_simulated_config *config,
	struct device **ret_device);

/* Simulated seconds so far, sending and draining; and the number of trials. */
double device_simulated_clock_s(const struct device *d);
uint64_t device_simulated_trials(const struct device *d);

#endif
