/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A network card made of memory, with the traffic of descriptors and lines that a real one's driver
 * has: T1's stand-in for the ports that come with AF_XDP and DPDK.
 *
 * Receive: the driver posts empty frames of the worker's pool in a ring of 32-byte descriptors; the
 * device writes a whole Ethernet frame into the next one and its length, hash and "done" into the
 * descriptor; the driver reads a burst of descriptors, parses the outer headers as a wire port must
 * (Ethernet, IPv4, UDP: addresses, port, ECN), hands the packets over and posts new frames.
 * Send: the driver writes outer headers in front of each packet and a 16-byte descriptor, and a
 * doorbell per burst; the device reads both and marks the descriptor; the driver gives frames so
 * marked back to the pool when it comes by again, at least a burst later.
 *
 * A frame comes round again once the ring has: the ring's size is the working set.  What the device
 * wrote may be left where this core's stores leave it (as if DMA went to the second-level cache),
 * moved to the last level, as DMA does on servers, or written out to memory.
 *
 * IPv4 outside; checksums are the device's (offloaded).  Nothing here knows WireGuard.
 *
 * Owner:  whoever created it; frames belong to the pool of the worker it was given.
 * Thread: port_ops for the worker, the rest for the world; here both are one thread.
 */
#ifndef BENCH_PATH_NIC_H
#define BENCH_PATH_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/io.h"

#define NIC_ETHERNET_LEN 14
#define NIC_OUTER_LEN    (NIC_ETHERNET_LEN + 20 + 8) /* in front of a UDP payload */
#define NIC_RING_MAX     (1u << 17)

/* Written by the driver: address; by the device: the rest. */
struct nic_rx_descriptor {
	uint64_t address; /* where the device writes the frame */
	uint64_t reserved;
	uint32_t flow_hash;
	uint16_t len; /* bytes of the whole frame */
	uint16_t type;
	uint32_t status; /* NIC_DONE; cleared by the driver when it posts anew */
	uint32_t reserved2;
};

/* Written by the driver; the device only sets NIC_DONE. */
struct nic_tx_descriptor {
	uint64_t address;
	uint32_t len;
	uint32_t status;
};

#define NIC_DONE 1u

enum nic_lines {
	NIC_LINES_LEFT,   /* where the stores leave them */
	NIC_LINES_SHARED, /* in the last-level cache, as far as the CPU takes the hint (CLDEMOTE) */
	NIC_LINES_MEMORY, /* in memory (CLFLUSHOPT, or CLFLUSH) */
};

struct nic_config {
	const char *name;
	enum pkt_kind kind; /* PKT_WIRE: UDP over IPv4 outside; PKT_INNER: Ethernet only;
	                       PKT_FRAME: a link port, whose frames the gateway makes */
	uint8_t port_index;
	uint32_t ring;  /* descriptors each way: a power of two, 64 to NIC_RING_MAX */
	uint32_t burst; /* most packets that one rx takes */
	enum nic_lines lines;
	uint32_t address; /* its own IPv4 address, host order */
	uint16_t udp_port;
	struct pool_cache *cache; /* of the worker; borrowed until the end */
};

struct nic; /* its first member is a struct port */

/* 0, -EINVAL, -ENOMEM, or -ENOBUFS: the pool cannot fill the ring. */
[[nodiscard]] int nic_create(const struct nic_config *config, struct nic **ret_nic);
/* Frames in its rings are forgotten: the pool goes too.  NULL is allowed. */
void nic_destroy(struct nic *nic);
struct port *nic_port(struct nic *nic);

/* --- the world ------------------------------------------------------------------------------- */

/* Where the i-th frame from now will be received (i < nic_rx_room()), to be written in place. */
uint32_t nic_rx_room(const struct nic *nic);
uint8_t *nic_rx_frame(struct nic *nic, uint32_t i);
/* The device has written the next n frames, of these lengths. */
void nic_receive(struct nic *nic, const uint16_t *lens, const uint32_t *hashes, uint32_t n);

struct nic_frame {
	uint8_t *data; /* valid until nic_sent() */
	uint32_t len;
};
/* Up to max frames that the driver has given to be sent, oldest first. */
uint32_t nic_to_send(struct nic *nic, struct nic_frame *ret_frames, uint32_t max);
/* The device has sent the first n of them. */
void nic_sent(struct nic *nic, uint32_t n);

#endif
