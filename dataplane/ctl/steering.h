/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the steer program is told: which packets are the workers'.  The maps say what the tables
 * say, never more: a row enters the tables first and the maps second, and leaves in the opposite
 * order.  So each change has a part before the new tables are published and one after.
 *
 *     prefixes   where the longest prefix of the applied generation leads to a peer or to nobody,
 *                packets are redirected; where it leads to the host they pass.  Only rows that say
 *                something else than the shorter prefix around them are written.
 *     addresses  ours, by the network block; and of them those that NAT gives to packets
 *     sources    endpoints of peers, which no flood of others may starve
 *
 * Source: ../shared/design/architecture.md 3.1 to 3.3.
 * Owner:  the forwarder.  Memory grows with the tables.
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_STEERING_H
#define DATAPLANE_CTL_STEERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

/*
 * Where it is written: the maps (forwarder.c), or a test's record.  Each returns 0 or -errno;
 * deleting what is not there is no error.  `bytes`: 4 or 16, in network order.
 */
struct steering_sink {
	int (*put_prefix)(void *context,
		uint8_t family,
		const uint8_t *bytes,
		uint8_t len,
		bool redirect);
	int (*delete_prefix)(void *context, uint8_t family, const uint8_t *bytes, uint8_t len);
	int (*put_address)(void *context,
		uint8_t family,
		const uint8_t *bytes,
		bool is_local,
		bool is_nat);
	int (*delete_address)(void *context, uint8_t family, const uint8_t *bytes);
	/* Port 0: the address, whatever the port. */
	int (*put_source)(void *context, uint8_t family, const uint8_t *bytes, uint16_t port);
	int (*delete_source)(void *context, uint8_t family, const uint8_t *bytes, uint16_t port);
	/* A port's own address of the link layer. */
	int (*put_device)(void *context, uint32_t ifindex, const uint8_t *mac);
	/* Range of ports that NAT uses; first > last: none. */
	int (*put_settings)(void *context, uint16_t nat_first, uint16_t nat_last);
	/* Delete what this process has not put. */
	int (*sweep)(void *context);
	void *context;
};

struct steering; /* opaque */

/* NULL: no memory.  sink: copied.  seed: random, so that nobody can choose endpoints that collide.
 */
struct steering *steering_create(const struct steering_sink *sink, uint64_t seed);
void steering_destroy(struct steering *s);

/*
 * The applied generation's prefixes change to these rows, sorted as generation.c leaves them.
 * _before: what packets lose; then the tables are published; _after: what they gain.
 */
void steering_prefixes_before(struct steering *s, const struct shm_prefix_row *rows, size_t n);
void steering_prefixes_after(struct steering *s);

/* The same for a network block (checked) and the interfaces that are open as ports. */
void steering_network_before(struct steering *s,
	const struct shm_net *net,
	const uint32_t *ifindexes,
	size_t n);
/* The same arguments. */
void steering_network_after(struct steering *s,
	const struct shm_net *net,
	const uint32_t *ifindexes,
	size_t n);

/* A peer's path is this one now; peer < SHM_MAX_PEERS. */
void steering_path(struct steering *s, uint32_t peer, const struct shm_path *path);

/*
 * Everything that this process knows has been said once: what only a predecessor has put goes.
 * Rows that both know were there all the time.
 */
void steering_settle(struct steering *s);

/* How many rows could not be written since the last call (a full map), and the last error. */
uint64_t steering_failures(struct steering *s, int *ret_err);

#endif
