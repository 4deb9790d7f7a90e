/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What became of first fragments, so that the later ones follow: by (side, addresses, protocol,
 * identification).  Of this process only: a datagram does not outlive it.
 *
 * Nothing is collected and nothing waits here (RFC 4787 REQ-14): a flood of fragments can push out
 * what is remembered of others, but takes no memory and no time from unfragmented packets.
 *
 * Thread: any number of workers.  An entry is written while its sequence is odd; who reads it
 *         meanwhile takes it for another one.
 */
#ifndef LIB_NAT_FRAGMENT_H
#define LIB_NAT_FRAGMENT_H

#include "lib/nat/table.h"

/* What a later fragment gets. */
struct nat_fragment_way {
	uint64_t addr[2];   /* TRANSLATED: source (from the tunnel) or destination */
	uint64_t remote[2]; /* HAIRPIN: the destination, too */
	uint16_t id;        /* IPv4 from the tunnel: its new identification */
	uint8_t verdict;    /* enum nat_verdict */
};

[[nodiscard]] int nat_fragments_create(struct nat *nat);
void nat_fragments_destroy(struct nat *nat);

/* A first fragment went this way.  `p` is as it came. */
void nat_fragment_remember(struct nat *nat,
	enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	const struct nat_fragment_way *way,
	struct mono now);
/* False: no first fragment is known. */
bool nat_fragment_find(const struct nat *nat,
	enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	struct mono now,
	struct nat_fragment_way *ret_way);

/* A new identification for a datagram of several fragments that gets another source (RFC 6864:
   two inside hosts may have chosen the same one). */
uint16_t nat_fragment_next_id(struct nat *nat);

#endif
