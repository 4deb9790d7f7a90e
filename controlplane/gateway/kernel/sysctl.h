/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers below /proc/sys.  Keys are paths with slashes, because interface names may have dots.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_SYSCTL_H
#define CONTROLPLANE_GATEWAY_KERNEL_SYSCTL_H

#include <stdint.h>

/*
 * 0, -ENOENT (no such setting: the interface or the protocol is missing), -ENAMETOOLONG,
 * -ERANGE (no number), -EPERM, -EACCES or -EROFS (a container that may not), -errno.
 */
[[nodiscard]] int sysctl_read(const char *key, int32_t *ret_value);
[[nodiscard]] int sysctl_write(const char *key, int32_t value);

#endif
