/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a network device is made of: driver, queues, offloads.  Asked by ethtool's ioctl, which
 * needs no privilege, because sysfs may show another namespace than ours.
 *
 * Source: linux/ethtool.h.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_DEVICE_H
#define CONTROLPLANE_GATEWAY_KERNEL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_DRIVER_LEN 32

struct device {
	char driver[DEVICE_DRIVER_LEN]; /* "veth", "virtio_net", "ixgbe", ...; "": not said */
	uint16_t n_queues;              /* for receiving, 0: not said */
};

/* 0, or -errno of the socket.  What the device does not say stays empty. */
[[nodiscard]] int device_read(const char *name, struct device *ret_device);

/*
 * Whether frames from this driver may come with a checksum of TCP or UDP that hardware was to fill
 * in, and does not: the sender is on this machine, or on the one that this machine is a guest of.
 * kind: of the link, "" for hardware.
 */
bool device_fills_checksum(const char *driver, const char *kind);

/*
 * Whether a feature of the device is on, by the kernel's name for it ("rx-lro", "rx-gro-hw",
 * "rx-vlan-hw-parse"; as `ethtool -k` with other names).  False also where it cannot be asked.
 */
bool device_has_feature(const char *name, const char *feature);

#endif
