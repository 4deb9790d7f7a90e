/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Giving up what this process does not need, before it reads the first byte from the network.
 */
#ifndef CONTROLPLANE_GATEWAY_SANDBOX_H
#define CONTROLPLANE_GATEWAY_SANDBOX_H

/*
 * Only CAP_NET_ADMIN is kept, where we have it (addresses, routes, sysctls of the network); nothing
 * can be gained any more, no core dumps, nobody may trace us.  0 or -errno.
 */
[[nodiscard]] int sandbox_drop_privileges(void);

/* Allow the system calls that this program makes and no others.  0 or -errno. */
[[nodiscard]] int sandbox_filter_calls(void);

#endif
