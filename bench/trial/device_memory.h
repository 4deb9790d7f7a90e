/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A device of trials that is Sluice's own data plane in this process (T2): whole paths, real
 * sealing and opening, rings of 2,048 descriptors, but no NIC and no kernel.  The device has a
 * thread and a core of its own; generator and sink are the calling thread on another core, in one
 * loop.  Its result is packets per second on this machine with a NIC of memory, and is to be called
 * so.
 *
 * What the device's full ring does not take is lost, as with a NIC.  What our own receiving ring
 * does not take (the sink was too slow) is told apart, in socket_dropped.  A generator that was
 * held up goes on not much faster than the rate (pace_clock()), so its own pause is no burst.
 *
 * With encrypt_ahead the calling core neither seals nor opens while the clock runs: a trial whose
 * messages need more memory than there is for them goes in rounds, and the clock stands still
 * between them.  Latency counts from when a packet was due; without a rate there is none.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_TRIAL_DEVICE_MEMORY_H
#define BENCH_TRIAL_DEVICE_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/trial/trial.h"
#include "lib/net/addr.h"

struct device_memory_config {
	enum addr_family family; /* of inner packets; ADDR_NONE: IPv4 */
	uint32_t mtu;            /* of the tunnel, 1280 to 9000; 0: 1420 */
	uint32_t n_peers;        /* 1 to 65536, not more than a trial has flows; 0: 1 */
	size_t ahead_bytes;      /* what encrypting ahead may take; 0: half of what is free, and 1
	                            GiB at most */
	/* -1: the last and the first core that this process may use. */
	int device_core, generator_core;
	bool (*is_stopped)(void *context); /* may be NULL; asked often */
	void *context;
};

/*
 * Make one.  aead_init() was called before.  Destroy by ret_device->destroy().  Returns 0, or a
 * negative code of an error that it has said.
 *
 * A trial that is_stopped() cuts short ends with 0 and the result so far: ask it again.
 */
[[nodiscard]] int device_memory_create(const struct device_memory_config *config,
	struct device **ret_device);

/*
 * What the device says of the last trial: {"aead": name, "busy_share": of its thread's time (null
 * without a trial), "cpu_s": that its thread ran, of "round_s" that the clock did (less: others had
 * its core, and the figure says as much about them), "rounds": n, "drops": {reason: packets}}.  A
 * new reference.
 */
json_t *device_memory_json(const struct device *d);

#endif
