/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where an inner address leads: to a peer, or to the kernel.  Never changed after it was built:
 * the main thread builds a new one and publishes it whole.
 *
 * Host prefixes (/32, /128: the peers' own addresses) are exact keys; only subnets go into the
 * longest-prefix table.
 */
#ifndef DATAPLANE_TABLE_FIB_H
#define DATAPLANE_TABLE_FIB_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/exact_table.h"
#include "lib/net/prefix_table.h"
#include "lib/policy/acl_table.h"
#include "lib/shm/shm_abi.h"

#define FIB_NOBODY 0x7ffffffdu /* ours to refuse; anything less is a peer's number */
#define FIB_NONE   UINT32_MAX  /* nobody has this address */
#define FIB_HOST   0x7ffffffeu /* the kernel's */

struct fib {
	struct exact_table *exact;
	struct prefix_table *prefixes;
};

/* Everything that workers read and that changes as a whole. */
struct tables {
	uint64_t generation;
	uint32_t serial; /* of all tables that this process published; never 0; set by who does */
	uint32_t filter; /* enum shm_filter; in the line that every burst reads */
	struct fib fib;
	uint32_t mtu;             /* of inner packets */
	struct addr icmp_source4; /* ADDR_NONE: no ICMP error in this family */
	struct addr icmp_source6;
	const struct acl_table *acl; /* checked; NULL: none.  In the keeper's memory; set by who
	                                publishes */
	uint16_t peer_api_port4, peer_api_port6; /* ours; 0: none */
	uint32_t all4,
		all6; /* the peer that has all addresses, or a half of them; FIB_NONE: none */
};

/*
 * Build from rows that were checked for range (peer numbers, families, lengths).
 * seed: two random words, so that nobody can choose addresses that collide.
 * Returns 0, -EEXIST (a prefix twice), -EINVAL, or -ENOMEM.
 */
[[nodiscard]] int tables_create(const struct shm_prefix_row *rows,
	size_t n,
	const struct shm_settings *settings,
	uint64_t generation,
	const uint64_t seed[2],
	struct tables **ret_tables);
void tables_destroy(struct tables *tables);

/* Whether a look-up's answer is a peer's number. */
static inline bool
fib_is_peer(uint32_t to)
{
	return to < FIB_NOBODY;
}

/*
 * A look-up in two steps, as in exact_table.h: whole bursts begin before the first one ends.
 * `addr`: the bytes of an address as they are in a packet.
 */
static inline uint32_t
fib_begin(const struct fib *fib, uint8_t family, const uint8_t *addr)
{
	return exact_table_begin(fib->exact, family, addr);
}

static inline uint32_t
fib_end(const struct fib *fib, uint8_t family, const uint8_t *addr, uint32_t place)
{
	uint32_t to = exact_table_end(fib->exact, family, addr, place);

	if (to != EXACT_TABLE_NONE)
		return to;
	return prefix_table_lookup(fib->prefixes, family, addr);
}

static inline uint32_t
fib_lookup(const struct fib *fib, uint8_t family, const uint8_t *addr)
{
	return fib_end(fib, family, addr, fib_begin(fib, family, addr));
}

static_assert(EXACT_TABLE_NONE == FIB_NONE && PREFIX_TABLE_NONE == FIB_NONE, "one value for none");

#endif
