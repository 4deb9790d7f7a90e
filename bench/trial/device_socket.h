/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A device of trials that is real: whatever speaks WireGuard, between a tunnel end and a clear end
 * of ours, over sockets (T3).
 *
 * Owner:  whoever made it.  Thread: one; a trial makes two more while it runs.
 */
#ifndef BENCH_TRIAL_DEVICE_SOCKET_H
#define BENCH_TRIAL_DEVICE_SOCKET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/trial/trial.h"
#include "bench/tunnel/tunnel_end.h"

struct device_socket_progress {
	const char *phase;   /* "shaking hands", "encrypting ahead", "sending", "draining" */
	double seconds_left; /* of sending */
	uint64_t sent, received;
};

struct device_socket_config {
	struct tunnel_config tunnel;
	struct addr clear; /* our address on the network behind the device */
	const char *clear_netns;
	const char *clear_interface; /* frames over AF_XDP there; NULL: sockets */
	uint16_t port;               /* that inner packets go to, at either end; 0: 20000 */
	bool has_no_offload;         /* of the clear end */
	size_t ahead_bytes;          /* what encrypting ahead may take; 0: half of what is free */
	double wait_s;               /* for a handshake; 0: 5, or 15 if the device begins */
	int send_core, receive_core; /* -1: any */
	/* Both may be NULL.  progress is called some ten times a second while a trial runs. */
	bool (*is_stopped)(void *context);
	void (*progress)(void *context, const struct device_socket_progress *now);
	void *context;
};

/*
 * Opens both ends; shakes hands at the first trial.  NULL: it has said why.  Strings are kept as
 * pointers, the rest is copied.
 *
 * A trial that is_stopped() cuts short ends with 0 and the result so far: ask it again.
 */
struct device *device_socket_create(const struct device_socket_config *config);

/* {"tunnel": counters, "tunnel_line": ..., "clear_line": ...} since it was made: what became of
 * datagrams as such, to tell a device's faults from the line's. */
json_t *device_socket_wire(const struct device *d);

#endif
