/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opening an interface for AF_XDP: the sockets, their rings and buffers, and the steer program.
 * The keeper does this and holds what comes out, for a socket cannot be bound again at once after
 * the death of its owner, and attaching a program resets the link of many NICs.
 *
 * Every port registers the same packet memory, so that a frame received by one port leaves by
 * another uncopied.  Each does it for itself, because sockets that share one registration share
 * its mode too, and can only join one that is still bound: here a port with zero copy stands
 * beside one without, and any may be closed first.  Frames need not be powers of two
 * (unaligned chunks): struct pkt lies in the room that the kernel leaves before a packet.
 *
 * Source: Documentation/networking/af_xdp.rst of the kernel, linux/if_xdp.h.
 * Owner:  the keeper.  The forwarder gets copies of the descriptors.
 * Thread: the main thread.
 */
#ifndef DATAPLANE_IO_XDP_OPEN_H
#define DATAPLANE_IO_XDP_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

/* Slots of the rings of a queue. */
#define XDP_RX_SLOTS   2048u
#define XDP_TX_SLOTS   2048u
#define XDP_FILL_SLOTS 2048u
#define XDP_DONE_SLOTS 2048u

struct xdp_fds {
	uint32_t ifindex;
	char name[16];
	enum shm_port_mode mode; /* SHM_PORT_SOCKETS: nothing is open */
	unsigned n_queues;       /* each receive queue of the device has a socket */
	unsigned n_senders;      /* the first so many also have a transmit queue; 1 to n_queues */
	int socket[SHM_MAX_WORKERS]; /* by queue */
	int link;                    /* BPF link of the steer program */
	int xskmap;                  /* its map from queues to sockets */
	char note[96];               /* why not a better mode; empty: there is none */
};

/*
 * Attach the steer program: generic, or natively by the driver (as steer_attach() in
 * ebpf/loader.h).  Both descriptors are the caller's.  Returns 0, or -errno as the kernel gave it,
 * with a line for people in `why`.
 */
typedef int (*xdp_attach)(void *context,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size);

struct xdp_open_config {
	const char *name; /* of the interface */
	uint32_t ifindex;
	bool generic_is_fine; /* else a device without native XDP is refused */
	void *packets;        /* the pool's memory, page-aligned, mapped here too */
	size_t packets_len;
	uint32_t frame_len;
	bool is_huge; /* of huge pages: without, devices cannot use it themselves */
	xdp_attach attach;
	void *context; /* of attach */
};

#define XDP_WHY_LEN 184

/*
 * Open: zero copy if the device can, else copy, else generic.  Frames arrive in the sockets from
 * now on as the program decides; without fill rings, which the forwarder fills, they are dropped.
 *
 * ret: set on success only; release with xdp_close().
 * why: on failure three parts for a person: what, why, what to do.
 *
 * Returns 0, or
 *   -EBUSY       another XDP program, or another AF_XDP socket, has the interface (a socket that
 *                was closed a moment ago counts too: try again);
 *   -ERANGE      the MTU is too long for XDP on this device;
 *   -ENOBUFS     the memory-lock limit is too low;
 *   -EOPNOTSUPP  no native XDP, and generic is not fine;
 *   -E2BIG       more queues than SHM_MAX_WORKERS;
 *   -EPERM, -ENODEV, or another -errno.
 */
[[nodiscard]] int
xdp_open(const struct xdp_open_config *config, struct xdp_fds *ret, char why[XDP_WHY_LEN]);
/* Detach and close this process's descriptors; what is open elsewhere stays. */
void xdp_close(struct xdp_fds *fds);

#endif
