/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway in memory between two synthetic cards, and its peers as the gateway sees them: keys,
 * indices and counters of their ends of the sessions.
 *
 *     peers ==wire card== gateway (production stages, one worker) --host card-- LAN
 *                                                                \--link card-- the same, with NAT
 *
 * Peer n has the address 100.64.0.0 + n and, if prefixes > 1, that many subnets less one: /28 in
 * 44.0.0.0/8.  Everything in 10.0.0.0/8 is the host's.  The peers' ends are not Sluice's code: what
 * they send is sealed by the bench with keys of its own, so no line of the gateway is warmed.
 *
 * Owner: whoever created it.  Thread: one.
 */
#ifndef BENCH_PATH_WORLD_H
#define BENCH_PATH_WORLD_H

#include <assert.h>
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
#define WORLD_LAN_HOSTS (WORLD_LAN + 0x10000)
#define WORLD_LAN_OURS  (WORLD_LAN + 1) /* the gateway's address there: NAT's */
#define WORLD_LAN_MAC   "\x02local"
#define WORLD_NAT_FIRST 1024
#define WORLD_NAT_LAST  65535

struct world_config {
	uint32_t n_peers;
	uint32_t prefixes;  /* of each peer: 1 to 1000 */
	bool small_pages;   /* sessions in 4 KiB pages, however many */
	bool no_flow_cache; /* every packet takes the long way */
	uint32_t n_rules;   /* of a tailnet's packet filter; 0: a plain gateway */
	uint32_t n_flows; /* the LAN is behind a link port, with source NAT; 0: behind the host's */
	uint32_t lan_hosts; /* with n_flows: neighbours */
	bool is_shared;     /* locked instructions, as if there were other workers */
	uint32_t ring, burst;
	enum nic_lines lines;
};

/*
 * A peer's ends of its sessions; the index that the gateway writes to it holds the peer's number
 * and the session's generation.  One line, so that the peers' own memory leaves the gateway's
 * caches alone as far as can be: keys follow from the indices.
 */
struct world_peer {
	uint64_t counter[2];     /* of its next message, by generation */
	uint32_t their_index[4]; /* receiver index of the gateway, by generation */
	uint32_t generation;     /* of the newest session */
	uint16_t old_left;       /* packets still to be sent by turns with the session before */
	bool is_settled;         /* the newest one has been used by it */
	uint8_t pad[24];
};
static_assert(sizeof(struct world_peer) == 64, "one line");

/* What a message of a peer is sealed with. */
struct world_seal {
	uint8_t key[32];
	uint64_t counter;
	uint32_t receiver_index;
};

struct world {
	struct world_config config;
	struct in_memory *gateway;
	struct nic *wire, *host;
	struct nic *link; /* NULL: without n_flows */
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

/* For a peer's next message: now and then still of the old session after a rekey. */
void world_sending(struct world *w, uint32_t peer, struct world_seal *ret_seal);
/* The key of a message to a peer, by the index that the gateway wrote; false: of nobody. */
bool world_receiving(const struct world *w, uint32_t index, uint8_t ret_key[32]);

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
