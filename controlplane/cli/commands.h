/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The table of commands.
 */
#ifndef CONTROLPLANE_CLI_COMMANDS_H
#define CONTROLPLANE_CLI_COMMANDS_H

#include <stddef.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *help;
	const char *details; /* lines for `sluice help NAME`, or NULL */
};

/* The command at this place, in the order of the help; NULL behind the last. */
const struct command *commands_at(size_t i);
/* By its name, or NULL. */
const struct command *commands_find(const char *name);

#endif
