/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Starting programs, starting them again when they die, and ending them.
 *
 * Thread: one.  The children die with this process (parent-death signal).
 */
#ifndef CONTROLPLANE_CLI_SUPERVISOR_H
#define CONTROLPLANE_CLI_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/clock.h"

struct program {
	const char *name; /* sluice-dataplane: also what it is called on disk */
	char path[512];
	char *const *argv; /* borrowed */

	pid_t pid; /* -1: does not run */
	bool ran;  /* has lived longer than a moment at least once */
	unsigned quick_deaths;
	struct mono started;
	struct mono start_at; /* while it does not run */
};

/*
 * Where a program of ours is: beside the running one, or where the build folder has it.
 * 0, or -ENOENT.
 */
[[nodiscard]] int program_find(const char *name, char path[static 512]);

/*
 * Run the programs until SIGTERM or SIGINT: the first is started first and ended last.  SIGHUP is
 * passed on to the last one.  A program that dies is started again, at once and then with growing
 * pauses; one that fails at its very first start ends everything.
 *
 * Returns 0 after a signal, or -ECHILD when a first start failed.  No child is left.
 */
[[nodiscard]] int supervise(struct program *programs, unsigned n);

#endif
