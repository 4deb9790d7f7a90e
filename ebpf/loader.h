/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steer program: loaded once, attached to devices.  The object is embedded in this program.
 *
 * Source: ../shared/design/architecture.md, section 3.1.
 * Owner:  the keeper.  Links and socket maps belong to the caller of steer_attach(); when the
 *         last descriptor of a link is closed, the program leaves the device.
 * Thread: the keeper's only one.
 *
 * Loading makes the programs of all devices, so that attaching needs no CAP_BPF any more.
 */
#ifndef EBPF_LOADER_H
#define EBPF_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/abi.h"
#include "ebpf/steer_maps.h"

struct steer; /* opaque */

/*
 * Verify the programs and make the maps.  Needs CAP_BPF, CAP_PERFMON (the verifier
 * refuses calls with packet offsets without it) and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
 * Returns 0 or -errno; then `why` says in one line what failed and what to do.
 */
[[nodiscard]] int steer_load(struct steer **ret_steer, char *why, size_t why_size);

/* Close everything.  Links that callers hold stay as they are.  NULL is allowed. */
void steer_unload(struct steer *steer);

/* Borrowed; valid until steer_unload(). */
const struct steer_maps *steer_maps(const struct steer *steer);

/*
 * Attach to a device, in native mode or (`generic`) behind the kernel's own packet structure.
 * Transport data passes and traffic for the tunnel is dropped until a socket is set.
 *
 * ret_link, ret_xskmap: on success the caller's to close, the link first; then steer_release().
 *
 * Returns 0, -EBUSY (another XDP program is in the way: `why` names it), -EOPNOTSUPP (the driver
 * has no native mode), -ERANGE (MTU too large), -ENOSPC (STEER_MAX_DEVICES, or
 * a veth with fewer receive queues than its peer sends by), -E2BIG (more than
 * STEER_MAX_QUEUES), or -errno; `why` is a line for people.  Needs CAP_NET_ADMIN.
 */
[[nodiscard]] int steer_attach(struct steer *steer,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size);

/* The device's place is free for another one. */
void steer_release(struct steer *steer, uint32_t ifindex);

/* What comes by this queue goes to that AF_XDP socket; -1: to nobody. */
[[nodiscard]] int steer_set_socket(int xskmap, unsigned queue, int socket);

/*
 * Verify the embedded program once more and put it in the place of the one behind `link`, in one
 * step, under traffic: maps, sockets and counters stay.  Needs CAP_BPF.
 */
[[nodiscard]] int
steer_update(struct steer *steer, uint32_t ifindex, int link, char *why, size_t why_size);

#endif
