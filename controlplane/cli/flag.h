/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values of options, as upstream's commands take them.  What is wrong is said on stderr, behind
 * "sluice COMMAND: ".
 */
#ifndef CONTROLPLANE_CLI_FLAG_H
#define CONTROLPLANE_CLI_FLAG_H

#include <stdbool.h>
#include <stdint.h>

/* "--x" and "--x=true": true; "--x=false": false.  `arg` is getopt's, NULL for the first. */
[[nodiscard]] bool flag_bool(const char *command, const char *name, const char *arg, bool *ret);

/* "5s", "1m30s", "250ms", "0": nanoseconds; up to a day. */
[[nodiscard]] bool
flag_duration(const char *command, const char *name, const char *arg, int64_t *ret_ns);

/* A whole number from `min` to `max`. */
[[nodiscard]] bool
flag_number(const char *command, const char *name, const char *arg, long min, long max, long *ret);

#endif
