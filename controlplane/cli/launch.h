/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Starting a gateway that does not run: by its systemd unit where that is installed and means our
 * network, else as `sluice run` in the background.
 */
#ifndef CONTROLPLANE_CLI_LAUNCH_H
#define CONTROLPLANE_CLI_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#define LAUNCH_LOG "sluice.log" /* in the run directory, of a gateway in the background */

struct launch_options {
	const char *command; /* for messages: "up" */
	const char *run_dir;
	const char *config, *state_dir; /* NULL: the defaults */
	bool accept_tailscaled;         /* start beside one */
};

struct launch {
	pid_t pid;      /* of `sluice run`; 0: it is not our child */
	char log[512];  /* its log */
	off_t log_from; /* where its part of it begins */
};

/*
 * Start it and wait until it answers.  Returns false when it does not; what, why and what to do are
 * on stderr.  It goes on when this process ends.
 */
[[nodiscard]] bool launch_gateway(const struct launch_options *options, struct launch *ret_launch);

/* Whether it has ended again since; then the end of its log is on stderr.  Never for a unit. */
bool launch_has_failed(struct launch *launch, const char *command);

#endif
