/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ports that the kernel gives to nobody by itself: ip_local_reserved_ports, a list that others
 * write too.  What we add, and only that, is in the journal, and goes again.
 *
 * Source: Documentation/networking/ip-sysctl.rst of Linux.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_RESERVED_PORTS_H
#define CONTROLPLANE_GATEWAY_KERNEL_RESERVED_PORTS_H

#include <stdint.h>

#include "controlplane/gateway/kernel/journal.h"

#define RESERVED_PORTS_KEY "net/ipv4/ip_local_reserved_ports"
#define RESERVED_PORTS_MAX (1 << 16)

/* A bit for each port. */
struct reserved_ports {
	uint8_t bits[RESERVED_PORTS_MAX / 8];
};

/* "1-3,9" and the empty list; white space at the end is allowed.  0, or ERR_BAD_FORMAT. */
[[nodiscard]] int reserved_ports_parse(const char *text, struct reserved_ports *ret_ports);

/*
 * Reserve first to last.  NULL journal: nothing is recorded.
 * 0, -ENOENT (no such setting here), -errno of the file or the journal.
 */
[[nodiscard]] int reserved_ports_add(struct journal *journal, uint16_t first, uint16_t last);

/* Take first to last from the list.  0, or -errno. */
[[nodiscard]] int reserved_ports_remove(uint16_t first, uint16_t last);

#endif
