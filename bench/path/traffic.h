/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Volleys of packets into the gateway's cards, and what comes out, counted and looked into.
 *
 * Inner packets are IPv4 and UDP.  Inbound: from an address of the peer whose turn it is to one of
 * `lan_hosts` machines; sealed by that peer.  Outbound: from such a machine to an address of the
 * peer.  Peer to peer: to an address of the peer whose turn it would be next.  Everything happens
 * outside of what is timed.
 */
#ifndef BENCH_PATH_TRAFFIC_H
#define BENCH_PATH_TRAFFIC_H

#include <stdint.h>

#include "bench/path/popularity.h"
#include "bench/path/world.h"
#include "bench/traffic/sizes.h"

struct traffic {
	struct world *world;
	const struct popularity *popularity;
	const struct sizes *sizes;
	uint32_t lan_hosts;
	uint64_t next;   /* packet of the sequences */
	uint64_t random; /* for subnets and LAN machines */

	uint16_t *outside; /* by flow: the port that NAT gave it; NULL: without NAT */
	uint32_t n_primed; /* flows that were begun */

	uint64_t sent, received;
	uint64_t wrong; /* came out, but is not what it should be */
};

/* n packets are given to a card.  n must not exceed its room. */
void traffic_from_peers(struct traffic *t, uint32_t n, bool to_peers);
void traffic_from_lan(struct traffic *t, uint32_t n);

/* With NAT: the next n flows begin, each with one packet. */
void traffic_prime(struct traffic *t, uint32_t n);

/*
 * Take all that came out.  look_inside: messages to peers are opened by their receivers, to see
 * that they are authentic; else they are only counted.  Returns how many.
 */
uint32_t traffic_collect(struct traffic *t, bool look_inside);

#endif
