/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Our end of the shared memory: what we were given by the keeper, the rings, and a queue in front
 * of the command ring for what does not fit at the moment.
 *
 * Source: docs/shm-abi.md.
 * Owner:  one, embedded in the wire thread's state.  Detached, it has no memory: state, notes and
 *         rings are NULL and every push is refused.
 * Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_DATAPLANE_H
#define CONTROLPLANE_GATEWAY_PUBLISH_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/secret_memory.h"
#include "lib/base/clock.h"
#include "lib/shm/ring.h"
#include "lib/shm/shm_abi.h"

struct dataplane_queued;

struct dataplane {
	bool attached;
	uint64_t boot_of_keeper_ns; /* of the attachment now or before; 0: never attached */
	const struct shm_state *state;
	struct shm_notes *notes;
	struct shm_to_dp *to_dp;
	const struct shm_to_cp *to_cp;
	struct shm_ring_tx commands, inject;
	struct shm_ring_rx events, punt;
	int bell_dp, bell_cp; /* eventfds; -1: none */
	uint16_t listen_port;
	uint32_t keeper_pid; /* 0: not known */
	uint32_t epoch;

	struct secret_pool pool; /* of queued commands: they may carry keys */
	struct dataplane_queued *first, **last;
	size_t n_queued;
	uint32_t wiped;  /* commands before this count hold no keys any more */
	uint64_t n_lost; /* commands for which not even the queue had room */
	uint64_t n_inject_full;
};

#define DATAPLANE_MAX_QUEUED 16384u
/* Slots of the command ring that loading a generation leaves to what is urgent. */
#define DATAPLANE_URGENT_SLOTS 128u

/* What the keeper grants, mapped. */
struct dataplane_grant {
	const struct shm_state *state;
	struct shm_notes *notes;
	struct shm_to_dp *to_dp;
	const struct shm_to_cp *to_cp;
	int bell_dp, bell_cp; /* -1: none (tests) */
	uint64_t boot_of_keeper_ns;
	uint32_t epoch;
	uint16_t listen_port;
	uint32_t keeper_pid; /* 0: not known */
};

void dataplane_init(struct dataplane *dp);
void dataplane_fini(struct dataplane *dp);

/*
 * Join: takes over what is mapped and the descriptors.  0; ERR_VERSION or ERR_PROTOCOL if the
 * memory does not say of itself what it must (the grant stays the caller's then).
 */
[[nodiscard]] int dataplane_join(struct dataplane *dp, const struct dataplane_grant *grant);
/* Unmap and close everything; what was queued is wiped. */
void dataplane_leave(struct dataplane *dp);
/* Whether a ring was broken by the other side: leave and attach anew. */
bool dataplane_is_violated(const struct dataplane *dp);

/*
 * Say it now, or as soon as there is room, in order.  `command` is copied; wiping the caller's copy
 * is the caller's.  Without a data plane, or with a queue that is full too, it is lost: whoever
 * needs it asks again by a timer.
 */
void dataplane_push(struct dataplane *dp, const struct shm_command *command);
/* For loading: false if it would take room from what is urgent; try again later. */
bool dataplane_push_if_room(struct dataplane *dp, const struct shm_command *command);
/* Whether something waits for room in the command ring, or for its keys to be wiped. */
bool dataplane_is_waiting(const struct dataplane *dp);
/* Fill the ring from the queue, wipe keys that have arrived, ring the bell.  Call after each round.
 */
void dataplane_flush(struct dataplane *dp);

/* A datagram of a peer that came to us: as if it had come to the data plane's socket. */
void dataplane_inject(struct dataplane *dp,
	const struct shm_path *path,
	const uint8_t *data,
	size_t len);

/* A packet of ours for the tunnel, which no filter judges. */
void dataplane_inject_inner(struct dataplane *dp, const uint8_t *data, size_t len);

/* A checked copy of the session that this slot holds, or false. */
struct dataplane_session {
	uint32_t receiver_index;
	uint32_t sender_index;
	uint32_t peer;
	bool initiator;
	struct mono birth;
};
bool dataplane_session(const struct dataplane *dp, uint32_t slot, struct dataplane_session *ret);

/* The peer's sessions now: checked copies; receiver_index 0 where there is none. */
struct dataplane_keypairs {
	struct dataplane_session previous, current, next;
};
void dataplane_keypairs(const struct dataplane *dp, uint32_t peer, struct dataplane_keypairs *ret);

/* Sums and latest stamps over all workers. */
void dataplane_counters(const struct dataplane *dp, uint32_t peer, struct shm_peer_counters *ret);

/* Call `take` for each slot that the directory says is in use. */
void dataplane_sessions_foreach(const struct dataplane *dp,
	void (*take)(void *context, uint32_t slot, const struct dataplane_session *session),
	void *context);

/* The rows of the last commit: a copy of the header; borrowed rows, to be checked.  NULL: none. */
const struct shm_applied_half *dataplane_applied(const struct dataplane *dp,
	uint64_t *ret_generation,
	uint32_t *ret_n_peers,
	uint32_t *ret_n_prefixes);

#endif
