/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What has to be asked of a network device before AF_XDP is opened on it.
 *
 * Thread: the main thread.
 */
#ifndef DATAPLANE_IO_XDP_DEVICE_H
#define DATAPLANE_IO_XDP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct xdp_device {
	unsigned n_rx, n_tx; /* queues in use; 0: the driver does not say */
	uint32_t mtu;        /* 0: not known */
	bool has_lro;        /* merges packets in hardware: longer than a frame */
};

/* Ask; what cannot be learnt is 0. */
void xdp_device_ask(const char *name, struct xdp_device *ret);

#endif
