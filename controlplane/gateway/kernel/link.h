/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asking the kernel for one interface.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_LINK_H
#define CONTROLPLANE_GATEWAY_KERNEL_LINK_H

#include <stdint.h>

#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/netlink.h"

/* 0, -ENODEV (there is none with this name, or number), errors of netlink_get(). */
[[nodiscard]] int link_get(struct netlink *nl, const char *name, struct link_row *ret_link);
[[nodiscard]] int link_get_index(struct netlink *nl, uint32_t ifindex, struct link_row *ret_link);

#endif
