/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Waiting until a gateway is connected, and saying meanwhile how far it is.
 */
#ifndef CONTROLPLANE_CLI_JOIN_H
#define CONTROLPLANE_CLI_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/cli/launch.h"

struct join_options {
	const char *command; /* for messages */
	const char *run_dir;
	int64_t timeout_ns; /* 0: as long as it takes */
	bool qr;            /* the address for logging in also as a QR code */
};

/*
 * Progress goes to stderr, the address for logging in and the result to stdout.  Returns whether it
 * is connected; else what, why and what to do are on stderr.
 */
[[nodiscard]] bool join_wait(const struct join_options *options, struct launch *launch);

#endif
