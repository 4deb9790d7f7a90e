/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What else on this host a gateway would be in the way of: looked for before it starts, because
 * afterwards the symptoms (packets that vanish) do not name their cause.
 */
#ifndef CONTROLPLANE_CLI_CONFLICT_H
#define CONTROLPLANE_CLI_CONFLICT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A tailscaled in our network namespace, other than one with user space networking.  True: there is
 * one, and what, why and what to do are on stderr.  Routing rules that a dead one left are only
 * warned of.
 */
bool conflict_with_tailscaled(const char *command);

/* Somebody in our network namespace has the UDP port.  True: likewise. */
bool conflict_about_port(const char *command, uint16_t port, const char *option);

#endif
