/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One ICMP echo request to an address, by a socket of our own: it goes where the kernel's routes
 * lead, which for a tailnet's addresses is the tunnel.
 *
 * Source: RFC 792, RFC 4443 section 4.1; icmp(7), raw(7).
 */
#ifndef CONTROLPLANE_CLI_ICMP_ECHO_H
#define CONTROLPLANE_CLI_ICMP_ECHO_H

#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define ICMP_ECHO_MAX_LEN 8972 /* bytes of data */

/*
 * len: bytes of data, at least 8 are sent.  Waits for the answer, timeout_ms at most.
 * 0 and the time it took; -ETIMEDOUT: none came; -EPERM: it needs root; -errno.
 */
[[nodiscard]] int
icmp_echo(const struct addr *to, size_t len, int timeout_ms, int64_t *ret_took_ns);

#endif
