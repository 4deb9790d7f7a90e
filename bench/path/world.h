/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway in memory between two synthetic cards, and its peers as the gateway sees them: keys,
 * indices and counters of their ends of the sessions.
 *
 *     peers ==wire card== gateway (production stages, one worker) --host card-- LAN
 *
 * Peer n has the address 100.64.0.0 + n and, if prefixes > 1, that many subnets less one: /28 in
 * 44.0.0.0/8.  Everything in 10.0.0.0/8 is the host's.  The peers' ends are not Sluice's code: what
 * they send is sealed by the bench with keys of its own, so no line of the gateway is warmed.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_PATH_WORLD_H
#define BENCH_PATH_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/path/nic.h"
#include "dataplane/in_memory.h"

#define WORLD_PEERS_MAX 131072u
#define WORLD_GATEWAY   0xc6336401u /* 198.51.100.1, its outer address */
#define WORLD_UDP_PORT  51820
#define WORLD_ADDRESSES 0x64400000u /* 100.64.0.0: of the peers */
#define WORLD_SUBNETS   0x2c000000u /* 44.0.0.0 */
#define WORLD_LAN       0x0a000000u /* 10.0.0.0 */

struct world_config {
	uint32_t n_peers;
	uint32_t prefixes; /* of each peer: 1 to 1000 */
	bool is_shared;    /* locked instructions, as if there were other workers */
	uint32_t ring, burst;
	enum nic_lines lines;
};

/* A peer's end of one session. */
struct world_session {
	uint8_t key_send[32], key_receive[32];
	uint64_t counter;     /* of the next message it sends */
	uint32_t their_index; /* receiver index of the gateway */
	uint32_t our_index;   /* ours: number of the peer and of the session */
};

struct world_peer {
	struct world_session session[4]; /* the last four, by generation */
	uint32_t generation;             /* of the newest */
	uint8_t old_left;                /* packets still to be sent by the session before */
	bool is_settled;                 /* the newest one has been used by it */
};

struct world {
	struct world_config config;
	struct in_memory *gateway;
	struct nic *wire, *host;
	struct world_peer *peers;
	uint16_t *slot_generation; /* by slot: how often it was used */
	uint32_t *free_slots;
	uint32_t n_free, n_slots;
	uint32_t rekey_next;   /* the peer whose turn it is */
	uint64_t n_rekeys;     /* sessions installed after the first ones */
	double tables_seconds; /* prefixes and peers: until the commit was answered */
	double load_seconds;   /* the same, and all sessions and paths */
};

/* aead_init() was called.  On error it has said what is wrong (bench_error). */
[[nodiscard]] int world_create(const struct world_config *config, struct world **ret_world);
void world_destroy(struct world *w);

/*
 * Give `n` peers, in turn, new sessions: by turns the gateway is responder (the peer's first packet
 * promotes it) and initiator.  confirm: peers will send; without, the gateway is always initiator.
 * Only peers that have used their last one get another, so fewer may be made.
 */
void world_rekey(struct world *w, uint32_t n, bool confirm);

/* The session that a peer's next message is of: now and then still the old one after a rekey. */
struct world_session *world_sending(struct world_peer *p);
/* By the index that the gateway wrote; NULL: none of ours. */
const struct world_session *world_receiving(const struct world *w, uint32_t our_index);

/* An address of a peer: its own (i = 0), or in its i-th subnet (i < prefixes). */
uint32_t world_address(const struct world *w, uint32_t peer, uint32_t i);
/* Outer address of a peer: all differ. */
static inline uint32_t
world_outer(uint32_t peer)
{
	return 0xc6120000u + peer; // 198.18.0.0/15, RFC 2544
}

/* Packets dropped since the beginning, all reasons. */
uint64_t world_drops(const struct world *w);

#endif
