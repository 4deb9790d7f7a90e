/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The steer program's tables, written by the forwarder: plain bpf() calls on descriptors that the
 * keeper made and the forwarder inherited.  They need no capability, and no libbpf.
 *
 * Owner:  the keeper holds the maps; they outlive forwarders, and so do their rows.
 * Thread: one writer at a time: the forwarder's main thread (the keeper only before it starts one,
 *         and for devices).
 *
 * A new forwarder takes another stamp, puts all that it knows, and then sweeps: what has not been
 * put again goes.  Rows that it did put are never absent in between.
 *
 * All functions return 0 or -errno of bpf(); -E2BIG or -ENOSPC: the table is full.  With a
 * descriptor of -1 (no steer program was loaded) they do nothing and return 0.
 */
#ifndef EBPF_STEER_MAPS_H
#define EBPF_STEER_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/abi.h"
#include "lib/net/addr.h"

struct steer_maps {
	int settings;
	int devices;
	int addresses;
	int prefixes4;
	int prefixes6;
	int sources;
	int counters;
	uint32_t n_cpus; /* possible ones: length of a counter */
	uint16_t stamp;  /* of rows that are put from now on */
};

/* The descriptors of a `struct steer_maps` as an array, for handing them over: its first
 * STEER_N_MAP_FDS members. */
#define STEER_N_MAP_FDS 7

/* All descriptors -1. */
extern const struct steer_maps STEER_NO_MAPS;

/* The default limits, no port, no translation. */
struct steer_settings steer_default_settings(void);
[[nodiscard]] int steer_put_settings(const struct steer_maps *maps,
	const struct steer_settings *settings);

/* The device's own MAC has changed.  -ENODEV: no program is attached to it. */
[[nodiscard]] int
steer_put_device(const struct steer_maps *maps, uint32_t ifindex, const uint8_t mac[static 6]);

/*
 * `flags`: STEER_ADDRESS_LOCAL, STEER_ADDRESS_NAT or both; they replace those that the address has.
 * Deleting what is not there is fine, here and below.
 */
[[nodiscard]] int
steer_put_address(const struct steer_maps *maps, const struct addr *address, uint32_t flags);
[[nodiscard]] int steer_delete_address(const struct steer_maps *maps, const struct addr *address);

/* Host bits of the prefix do not count.  The longest one that contains a destination decides. */
[[nodiscard]] int steer_put_prefix(const struct steer_maps *maps,
	const struct prefix *prefix,
	enum steer_prefix_action action);
[[nodiscard]] int steer_delete_prefix(const struct steer_maps *maps, const struct prefix *prefix);

/*
 * A peer may write from this address: the limits for all unknown sources together do not hold for
 * it.  With a port, what comes from there shares its limit with nobody; with port 0 the address
 * counts whatever the port.  Put both for a path's remote.
 */
[[nodiscard]] int
steer_put_known_source(const struct steer_maps *maps, const struct addr *address, uint16_t port);
[[nodiscard]] int
steer_delete_known_source(const struct steer_maps *maps, const struct addr *address, uint16_t port);

/* Delete every address, prefix and known source whose stamp is not maps->stamp. */
[[nodiscard]] int steer_sweep(const struct steer_maps *maps);

/* Packets of a device by verdict since its program was attached.  -ENODEV: none is. */
[[nodiscard]] int
steer_read_counters(const struct steer_maps *maps, uint32_t ifindex, struct steer_counts *ret);

/* How many of them the program dropped. */
uint64_t steer_dropped(const struct steer_counts *counts);
/* As in status and metrics; "unknown" beyond the last. */
const char *steer_verdict_name(unsigned verdict);

#endif
