/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory of the address translation: what outlives the processes that use it.
 *
 * A *flow* is one conversation: an inside endpoint (in the tunnel), a remote one (on the LAN), and
 * the outside endpoint that the remote one sees.  A *mapping* is a port of an outside address that
 * belongs to one inside endpoint, whatever it talks to (RFC 4787 REQ-1); its place is its port.
 * Flows are found by an index of tagged words, once from inside and once from outside, mappings
 * by the port and by the same index.
 *
 * A row is written while its state says that it is being written, and its fields never change after
 * its state has become NAT_LIVE; only the atomic ones do.  So nobody uses half a row, at whatever
 * instant its writer was killed: such a row bears the generation of a dead forwarder, and the sweep
 * takes it back.
 *
 * Owner:  the keeper makes it, all zero but for the head.
 * Thread: any number of workers, and one main thread that sweeps; the control plane reads, and
 *         trusts nothing (nat_foreach()).
 */
#ifndef LIB_NAT_NAT_MEMORY_H
#define LIB_NAT_NAT_MEMORY_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define NAT_MAGIC   0x534c4e54u /* "SLNT" */
#define NAT_VERSION 1u

#define NAT_MAX_FLOWS     (1u << 20)
#define NAT_MAX_ADDRESSES 32u /* of ours, that remote hosts see */
#define NAT_N_CLASSES     3u  /* TCP, UDP, echo identifiers: a port is one in each */
#define NAT_N_PORTS       65536u
#define NAT_WAYS          8u         /* words in a bucket: one cache line */
#define NAT_BUCKETS       (1u << 19) /* half full with all flows, each twice */

/* Time stamps: CLOCK_BOOTTIME in units of 2^27 ns (0.134 s); they last 18 years. */
#define NAT_STAMP_SHIFT 27

enum nat_state {
	NAT_FREE = 0,
	NAT_WRITING, /* by a worker of the generation in the upper bits */
	NAT_LIVE,
	NAT_ABORTED, /* another one was quicker, or its address has gone */
	NAT_RETIRED, /* expired; not in the index any more once the grace has passed */
};
#define NAT_STATE_BITS 4

enum nat_flow_kind {
	NAT_KIND_TRANSLATED = 1,
	NAT_KIND_PLAIN, /* begun by the LAN towards an address in the tunnel */
};

/* What has been seen of a flow: nat_flow.progress. */
#define NAT_FROM_INSIDE  1u /* TCP: a segment with ACK */
#define NAT_FROM_OUTSIDE 2u
#define NAT_FIN_INSIDE   4u
#define NAT_FIN_OUTSIDE  8u
#define NAT_RESET        16u

struct nat_flow {
	uint64_t inside[2]; /* address bytes; IPv4: the first four, the rest zero */
	uint64_t remote[2];
	uint16_t inside_port; /* host order; echo: the identifier */
	uint16_t remote_port; /* echo: 0 if inside began, 1 if the remote did */
	uint8_t protocol;
	uint8_t family;
	uint8_t kind;    /* enum nat_flow_kind */
	uint8_t address; /* TRANSLATED: row of nat_memory.addresses */
	uint16_t outside_port;
	uint16_t address_delta; /* from inside to outside, for the checksum of an IPv4 header */
	uint16_t delta;         /* the same for the transport's */
	uint16_t pad;
	_Atomic uint32_t state; /* enum nat_state, and above it the generation that writes */
	_Atomic uint32_t seen;  /* stamp */
	_Atomic uint32_t progress;
	uint32_t begun; /* stamp */
};
static_assert(sizeof(struct nat_flow) == 64, "one cache line");

struct nat_mapping {
	uint64_t inside[2];
	uint16_t inside_port;
	uint16_t pad;
	_Atomic uint32_t state;
	_Atomic uint32_t seen; /* stamp: a flow was begun */
	_Atomic uint32_t mark; /* round of the sweep that last saw a flow of it */
};
static_assert(sizeof(struct nat_mapping) == 32, "part of the layout");

struct nat_address {
	uint64_t bytes[2];
	uint8_t family;
	uint8_t pad[3];
	_Atomic uint32_t state;
	/* The lowest and highest port that was ever mapped, + 1: the sweep looks no further. */
	_Atomic uint32_t low[NAT_N_CLASSES], high[NAT_N_CLASSES];
	uint64_t pad2[2];
};
static_assert(sizeof(struct nat_address) == 64, "one cache line");

/* tag << 32 | kind of key << 24 | number of the row; 0: free. */
struct nat_bucket {
	_Alignas(64) _Atomic uint64_t word[NAT_WAYS];
};

struct nat_memory_head {
	uint32_t magic;
	uint32_t version;
	uint64_t len;    /* bytes of struct nat_memory */
	uint64_t key[4]; /* random: nobody outside may choose places in the index */
	uint64_t pad[2];
};
static_assert(sizeof(struct nat_memory_head) == 64, "part of the layout");

/* The arrays begin at multiples of a huge page, so that they can lie in such ones. */
#define NAT_HUGE_LEN  ((size_t)2 << 20)
#define NAT_FRONT_LEN (128 + NAT_MAX_ADDRESSES * sizeof(struct nat_address))

struct nat_memory {
	_Alignas(64) struct nat_memory_head head;
	_Atomic uint32_t generation; /* raised by each forwarder that joins */
	_Atomic uint32_t flows_end; /* no row from here on was ever used: looking at a page makes it
	                             */
	uint32_t pad[14];
	struct nat_address addresses[NAT_MAX_ADDRESSES];
	uint8_t pad2[NAT_HUGE_LEN - NAT_FRONT_LEN];
	struct nat_flow flows[NAT_MAX_FLOWS];
	struct nat_bucket index[NAT_BUCKETS];
	struct nat_mapping mappings[NAT_MAX_ADDRESSES][NAT_N_CLASSES][NAT_N_PORTS];
};
static_assert(offsetof(struct nat_memory, flows) == NAT_HUGE_LEN, "a huge page begins");
static_assert(offsetof(struct nat_memory, index) % NAT_HUGE_LEN == 0, "a huge page begins");
static_assert(sizeof(struct nat_bucket[NAT_BUCKETS]) % NAT_HUGE_LEN == 0, "whole huge pages");

/* The head of fresh memory, which is all zero otherwise.  key: random. */
static inline struct nat_memory_head
nat_memory_begin(const uint64_t key[4])
{
	return (struct nat_memory_head){
		.magic = NAT_MAGIC,
		.version = NAT_VERSION,
		.len = sizeof(struct nat_memory),
		.key = { key[0], key[1], key[2], key[3] },
	};
}

#endif
