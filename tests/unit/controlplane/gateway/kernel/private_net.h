/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A network namespace of the test's own, and commands in it.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_KERNEL_PRIVATE_NET_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_KERNEL_PRIVATE_NET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Leave the machine's network for a new, empty one (inside a new user namespace unless we are
 * root).  NULL, or what is missing here.
 */
const char *private_net_enter(void);

/* Run a shell command; its exit status is checked by TAP.  For setting things up. */
void sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a shell command prints, errors included; the caller frees it. */
char *sh_output(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether the output of a command contains a text; prints the output if not. */
bool shows(const char *command, const char *text);
/* The opposite. */
bool lacks(const char *command, const char *text);

/* Make a persistent TUN, as the keeper does.  The descriptor that reads it, or -1. */
int make_tun(const char *name);

/* Links, addresses, routes, rules and the sysctls that we touch, as text.  The caller frees it. */
char *net_snapshot(void);

#endif
