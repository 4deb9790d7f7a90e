/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The data plane's end of the shared memory, as small as it can be: it executes commands by
 * docs/shm-abi.md, without packets.  What a real one would do later (acknowledge, promote) can be
 * held back.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_FAKE_FORWARDER_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_FAKE_FORWARDER_H

#include "controlplane/gateway/publish/dataplane.h"
#include "lib/shm/ring.h"

struct fake_forwarder {
	struct shm_state *state;
	struct shm_notes *notes;
	struct shm_to_dp *to_dp;
	struct shm_to_cp *to_cp;
	int state_fd, notes_fd, to_dp_fd, to_cp_fd;
	uint64_t boot_ns;
	uint32_t epoch;
	struct shm_ring_rx commands, inject;
	struct shm_ring_tx events, punt;

	bool silent;         /* commands stay in the ring */
	bool refuse_rows;    /* the next commit is refused with SHM_REFUSED_ROW */
	bool forget_base;    /* the next delta is refused with SHM_REFUSED_BASE */
	uint64_t generation; /* open; 0: none */
	bool full;
	struct shm_peer_row *peers; /* of the open generation, SHM_MAX_PEERS */
	struct shm_prefix_row *prefixes;
	uint32_t n_prefixes;

	uint32_t n_full, n_delta, n_refused; /* commits */
	uint32_t n_rows;                     /* rows in the last generation that was said */
	uint8_t filter[4096];                /* what FILTER parts said last, and how much of it */
	uint32_t filter_len, filter_total;
	uint32_t n_keepalive, n_unreachable, n_paths, n_sessions, n_gone;
	uint32_t last_unreachable;
	uint8_t net[8192]; /* what NET parts said last, and how much of it */
	uint32_t net_len, net_total;
	uint64_t net_serial;
	uint32_t n_nets, n_neighbours; /* blocks, commands */
	bool refuse_net;               /* the next block is refused */
	struct shm_cmd_capture capture;
	struct shm_cmd_session session; /* the last one, keys and all */
};

/* A keeper's memory and a forwarder in it. */
void fake_start(struct fake_forwarder *f, uint64_t boot_ns);
void fake_end(struct fake_forwarder *f);
/* Fresh rings; what the control plane is granted, mapped for it. */
struct dataplane_grant fake_grant(struct fake_forwarder *f);
/* Execute everything that is in the command ring. */
void fake_work(struct fake_forwarder *f);
void fake_say(struct fake_forwarder *f, struct shm_event event);
/* The first authentic packet of `next` came. */
void fake_promote(struct fake_forwarder *f, uint32_t peer);
/* Another forwarder: the open generation is lost, RESYNC is its first word. */
void fake_restart_forwarder(struct fake_forwarder *f);

#endif
