/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device of T2 and its surroundings: a forwarder in memory with one worker in a thread of its
 * own, and the other ends of its peers' sessions.
 *
 *     peer n: 10.1.0.0 + n (fd01:: + n), endpoint IN_MEMORY_REMOTE; the host: 10.2.0.1 (fd02::1)
 *
 * Sessions last 180 s, so a world is for some trials and not for ever: memory_world_age_s().
 *
 * Owner: whoever created it.
 * Thread: one, the network around the device; the device's worker is another between start and
 *         stop.
 */
#ifndef BENCH_TRIAL_MEMORY_WORLD_H
#define BENCH_TRIAL_MEMORY_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/in_memory.h"
#include "lib/crypto/aead.h"
#include "lib/net/addr.h"

#define MEMORY_WORLD_MAX_PEERS 65536u

struct memory_peer {
	uint8_t key_to_device[AEAD_KEY_LEN];
	uint8_t key_from_device[AEAD_KEY_LEN];
	uint64_t counter;        /* of the next message to the device */
	uint32_t receiver_index; /* the device's */
};

struct memory_world {
	struct in_memory *m;
	enum addr_family family;
	uint32_t mtu;
	uint32_t n_peers;
	struct memory_peer *peers;
	struct pkt_outer outer; /* where all messages come from */
	uint64_t born_ns;
	int device_core;
};

/* 0 or -errno.  aead_init() was called before. */
[[nodiscard]] int memory_world_create(enum addr_family family,
	uint32_t mtu,
	uint32_t n_peers,
	int device_core,
	struct memory_world **ret_world);
void memory_world_destroy(struct memory_world *w); /* NULL is allowed */

double memory_world_age_s(const struct memory_world *w);

/* The device's thread, pinned to its core and never asleep; it goes round when this returns.  0 or
 * -errno. */
[[nodiscard]] int memory_world_start(struct memory_world *w);
/* Lets it end its round, whose packets can then be taken; what it has not begun is thrown away. */
void memory_world_stop(struct memory_world *w);

/* The peer that a message of the device with this receiver index is for; UINT32_MAX: none. */
uint32_t memory_world_peer_of(const struct memory_world *w, uint32_t receiver_index);

/* Inner addresses: of peer 0 (others follow) and of the host behind the device. */
struct addr memory_world_peer_addr(const struct memory_world *w);
struct addr memory_world_host_addr(const struct memory_world *w);

#endif
