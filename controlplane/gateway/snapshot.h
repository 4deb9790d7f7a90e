/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the wire thread knows, copied for whoever asks: `coord` makes text of it.
 *
 * Owner:  made by wire, in slices so that handshakes do not wait; owned by the letter, then by
 * coord.
 */
#ifndef CONTROLPLANE_GATEWAY_SNAPSHOT_H
#define CONTROLPLANE_GATEWAY_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/handshake/engine.h"
#include "controlplane/gateway/peers.h"
#include "controlplane/gateway/traversal/traversal.h"

enum snapshot_handshake {
	SNAPSHOT_HANDSHAKE_NONE,
	SNAPSHOT_HANDSHAKE_WAITING,    /* an initiation of ours is under way */
	SNAPSHOT_HANDSHAKE_INSTALLING, /* the data plane is given keys */
	SNAPSHOT_HANDSHAKE_GIVEN_UP,
};

struct snapshot_peer {
	uint32_t number; /* as the data plane knows it */
	char name[CONFIG_NAME_LEN];
	struct public_key key;
	struct endpoint endpoint;
	struct addr local;
	bool has_session, initiator;
	struct mono session_birth;
	struct mono last_handshake; /* never: none that we know of */
	enum snapshot_handshake handshake;
	uint32_t attempts;
	int64_t keepalive_ns;
	bool is_member;
	struct paths_state path; /* of a member */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	struct mono last_rx, last_tx;
};

struct snapshot_worker {
	int core; /* -1: not pinned */
	bool running;
	uint64_t bursts, packets, known, busy_tsc, idle_tsc, sleeps;
};

struct snapshot_port {
	char name[17], driver[17], note[97]; /* as the data plane writes them, ended; name empty:
	                                        the row is free */
	uint32_t ifindex;                    /* 0: none of its own */
	uint32_t mode;                       /* enum shm_port_mode */
	uint32_t n_queues;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_calls, tx_calls, rx_dropped,
		tx_dropped, steered_out, handed_over;
};

#define SNAPSHOT_MAX_HOPS 1024
struct snapshot_hop {
	uint32_t ifindex;
	struct addr addr;
	uint8_t mac[6];
	uint8_t state; /* enum shm_neighbour_state, never NONE */
};

struct snapshot_drop {
	char name[25];
	uint64_t count;
};

struct snapshot {
	struct mono taken;
	bool attached;
	uint16_t listen_port;
	uint64_t generation; /* applied */
	bool settled;        /* nothing newer waits to be applied */
	uint32_t n_sessions; /* slots in use */
	struct engine_counters counters;
	uint64_t n_commands_lost, n_inject_full;
	bool keys_locked; /* ours */

	/* of the data plane; zeros while not attached */
	uint32_t keeper_pid, forwarder_pid, forwarder_starts;
	struct mono forwarder_start;
	bool dataplane_keys_locked;
	char aead_backend[33];
	struct shm_aeads aeads; /* checked: every number in its range, every name ended */
	uint64_t tsc_per_s;
	struct snapshot_worker workers[SHM_MAX_WORKERS];
	size_t n_workers;
	struct snapshot_port ports[SHM_MAX_PORTS];
	size_t n_ports;
	struct snapshot_drop drops[SHM_MAX_DROPS];
	size_t n_drops;
	struct snapshot_hop hops[SNAPSHOT_MAX_HOPS]; /* neighbours that the workers know */
	size_t n_hops, n_hops_left_out;

	struct snapshot_peer *peers;
	size_t n_peers, room;
	uint32_t next_peer; /* while it is made */
	uint64_t number;    /* of the question */
};

/* Everything but the peers.  NULL: no memory. */
struct snapshot *snapshot_create(const struct engine *e, struct mono now);
/* Some peers more.  True: complete. */
bool snapshot_add_peers(struct snapshot *s,
	const struct engine *e,
	const struct traversal *ways,
	uint32_t max);
void snapshot_destroy(struct snapshot *s);

#endif
