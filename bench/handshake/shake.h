/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Many WireGuard peers behind one UDP socket: one handshake with a gateway for each key, confirmed
 * by a keepalive, so that afterwards each of them has a session there.
 *
 * Initiations are paced and repeated after a second, with mac2 if the gateway asked for it.  The
 * latency is that of the response to the initiation that was answered.
 *
 * Thread: one.
 */
#ifndef BENCH_HANDSHAKE_SHAKE_H
#define BENCH_HANDSHAKE_SHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/harness/run.h"
#include "bench/harness/samples.h"
#include "lib/crypto/key.h"
#include "lib/net/addr.h"

#define SHAKE_MAX_PEERS 65536u

struct shake_options {
	struct endpoint gateway;
	struct public_key gateway_key;
	const char *keys; /* a file: a private key at the beginning of each line */
	unsigned rate;    /* initiations per second; 0: as fast as answers come, 64 at a time */
	unsigned seconds; /* at most */
	unsigned tries;   /* for each peer */
};

struct shake_result { /* zero before */
	uint32_t peers, done, failed;
	double seconds; /* to the last one that was made */
	uint64_t initiations, cookies;
	uint64_t strange; /* messages that were no answer */
	struct samples latency_ms;
};

/* aead_init() was called.  Returns 0 also if handshakes failed or the run was stopped; else it has
 * said why. */
[[nodiscard]] int
shake_all(const struct shake_options *options, struct bench_run *run, struct shake_result *result);

#endif
