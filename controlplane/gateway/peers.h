/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every peer that we know, by its number and by its public key.
 *
 * Numbers are what the data plane calls peers.  They are handed out from the lowest free one, and a
 * key keeps its number as long as the data plane knows it, also over a restart of ours.
 *
 * Owner:  one table, embedded in the engine; peers live in secret memory, in chunks.
 * Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PEERS_H
#define CONTROLPLANE_GATEWAY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"
#include "controlplane/gateway/secret_memory.h"
#include "lib/net/addr.h"
#include "lib/shm/shm_abi.h"
#include "lib/wg/handshake.h"
#include "lib/wg/mac.h"
#include "lib/wg/timers.h"

/* An initiation of ours that waits for its response.  In secret memory. */
struct pending {
	struct wg_handshake handshake;
	struct mono sent;
};

/* A response that waits until the data plane has acknowledged its session. */
struct answer {
	uint8_t message[WG_RESPONSE_LEN];
	uint32_t index;         /* the session's receiver index */
	struct endpoint remote; /* where the initiation came from */
	struct addr local;      /* and to which of our addresses */
	bool relayed;           /* it came through a relay, which is at `remote` */
	struct mono created;
};

enum peer_state {
	PEER_FREE,    /* the number is free */
	PEER_WANTED,  /* in the desired state */
	PEER_LEAVING, /* not any more, but the data plane still knows the number */
	PEER_FOREIGN, /* known to the data plane from before, not in the desired state */
};

struct peer {
	uint32_t number;
	uint8_t state;     /* enum peer_state */
	bool published;    /* the data plane knows it: sessions may be installed */
	bool remote_ready; /* the keys in `remote` are computed */
	bool endpoint_is_name;
	bool is_member;      /* of our tailnet: disco decides where packets go */
	bool relay;          /* of a member: packets go by a relay, or also by one */
	bool seen;           /* while a desired state is taken over */
	bool gave_up;        /* the last handshake was not answered */
	bool has_noted_path; /* `endpoint` is from a note: the file's does not replace it at first
	                      */
	bool wants_session;  /* as soon as it is published, or its name resolved */
	bool resumed;        /* what an earlier control plane had begun was looked at */
	uint32_t confirm_index; /* session of ours that will be confirmed once installed; 0: none */
	struct wg_remote remote; /* static_public and preshared_key are always valid */
	struct wg_timers timers;
	struct wg_held_cookie cookie;
	struct wg_latest latest;       /* initiation that we accepted */
	struct wg_tai64n tx_timestamp; /* latest that we sent */
	struct endpoint endpoint;      /* in use; ADDR_NONE: none known */
	struct addr local;             /* our address towards it; ADDR_NONE: as routes say */
	struct endpoint configured;    /* from the file, or resolved */
	struct pending *pending;       /* NULL: none */
	struct answer *answer;         /* NULL: none */
	struct mono session_birth;     /* of the latest session that was in use; never: none */
	struct mono active_told;       /* last_tx that member_active() was told; never: none */
	char name[CONFIG_NAME_LEN];
};

#define PEERS_PER_CHUNK 64
#define PEERS_CHUNKS    (SHM_MAX_PEERS / PEERS_PER_CHUNK)

struct peers {
	struct peer *chunks[PEERS_CHUNKS];
	uint32_t end;       /* highest number ever used + 1 */
	uint32_t lowest;    /* no free number below it */
	uint32_t *hash;     /* number + 1; open addressing */
	uint32_t hash_room; /* a power of two */
	uint32_t hash_used; /* entries, also removed ones */
	uint64_t hash_seed[4];
};

/* 0 or -ENOMEM. */
[[nodiscard]] int peers_init(struct peers *peers);
/* Pending handshakes and answers must be gone. */
void peers_fini(struct peers *peers);

/* The peer with this number in any state but PEER_FREE, or NULL: any number may be asked for. */
struct peer *peers_get(const struct peers *peers, uint32_t number);
/* By public key, in any state but PEER_FREE, or NULL. */
struct peer *peers_find(const struct peers *peers, const struct public_key *key);

/*
 * A new peer in state PEER_WANTED, with this number, or with the lowest free one for SHM_NO_PEER.
 * Returns 0, ERR_FULL (no number is free), -EEXIST (the number or key is taken), -ENOMEM.
 */
[[nodiscard]] int peers_add(struct peers *peers,
	const struct public_key *key,
	uint32_t number,
	struct peer **ret_peer);
/* Wipe it; its number is free. */
void peers_remove(struct peers *peers, struct peer *peer);

/* Whether there is a way to send it anything: of a member disco knows, and keeps trying. */
static inline bool
peer_is_reachable(const struct peer *p)
{
	return p->is_member || p->endpoint.addr.family != ADDR_NONE;
}

/* for (struct peer *p = peers_next(peers, 0); p != NULL; p = peers_next(peers, p->number + 1)) */
struct peer *peers_next(const struct peers *peers, uint32_t from);

#endif
