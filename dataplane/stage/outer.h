/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The headers around a sealed message that leaves by a link port, and where they lead.  A worker
 * remembers, for the paths it used last, all that packets of a path have in common.
 *
 * Source: RFC 768, RFC 791, RFC 8200; RFC 6864 for identifications; RFC 6438 for flow labels.
 * Thread: a worker.
 */
#ifndef DATAPLANE_STAGE_OUTER_H
#define DATAPLANE_STAGE_OUTER_H

#include "dataplane/path/worker.h"

/* An outer IPv4 packet up to this length may be cut on its way; a longer one says "don't". */
#define OUTER_CUT_MAX 1360

#define OUTER_HEADERS_MAX (IPV6_HEADER_LEN + UDP_HEADER_LEN)

struct outer_way {
	struct pkt_outer of; /* the path as it was looked up */
	uint32_t serial;     /* of the net table; 0: never looked up */
	uint8_t port;        /* index in net_table.ports, or NET_NO_PORT: the kernel's socket */
	uint8_t headers_len; /* IP and UDP */
	uint16_t mtu;        /* bytes of an outer packet */
	uint32_t sum;        /* folded, of the UDP pseudo-header without length, and the ports */
	struct shm_addr next_hop;
	const struct shm_neighbour_row *row;            /* NULL: was not known */
	_Alignas(8) uint8_t headers[OUTER_HEADERS_MAX]; /* with zeros where packets differ */
};

/*
 * The way of packets with this path, looked up if it is not the one remembered.  Valid until the
 * next call.
 */
const struct outer_way *outer_way_of(struct worker *w, const struct pkt_outer *path);

/*
 * Whether messages may leave by the way's port now: *ret_word is their next hop's.  Else
 * the kernel's socket sends it; where only the next hop is missing, the control plane is asked.
 */
[[nodiscard]] bool outer_is_open(struct worker *w, const struct outer_way *way, uint64_t *ret_word);

/* Put IP and UDP header in front of a message.  There is room for them and an Ethernet header. */
void outer_write(struct worker *w, const struct outer_way *way, struct pkt *p);

#endif
