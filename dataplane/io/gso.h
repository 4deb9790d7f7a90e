/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Super-packets: what a TUN with virtio headers gives and takes instead of many packets of one
 * flow. Pure functions: cutting one into packets (gso_cut.c), merging packets into one
 * (gso_merge.c).
 *
 * Source: Virtual I/O Device (VIRTIO) 1.2, sections 5.1.6.2 and 5.1.6.4; linux/virtio_net.h. Header
 *         fields of the TUN are in the machine's byte order.
 */
#ifndef DATAPLANE_IO_GSO_H
#define DATAPLANE_IO_GSO_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/path/pkt.h"
#include "lib/net/headers.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* headers of kernels before 6.2 lack it */
#endif

/* Longest packet, by its sixteen-bit length field (IPv6: that and its header). */
#define GSO_MAX_LEN (65535u + IPV6_HEADER_LEN)

/* A packet that is being cut. */
struct gso_cut {
	const uint8_t *packet;
	struct ip_view view;  /* of the whole; the flow of each piece */
	uint32_t header_len;  /* of all headers, repeated in each piece; 0: one piece, as it is */
	uint32_t transport;   /* offset of the TCP or UDP header */
	uint32_t piece_len;   /* payload of each but the last */
	uint32_t done_len;    /* payload that has been given out */
	uint32_t payload_len; /* in all */
	uint32_t n_done;      /* pieces */
	uint8_t protocol;
};

/*
 * Begin with packet[0, len), read from the TUN behind the header `hdr`; borrowed until the last
 * piece.  A packet that only lacks its checksum gets it here, in place.
 *
 * Returns 0, or ERR_BAD_FORMAT: no IP packet, or a header that contradicts it.
 */
[[nodiscard]] int
gso_cut_begin(struct gso_cut *cut, const struct virtio_net_hdr *hdr, uint8_t *packet, uint32_t len);

/* Length in bytes of the next piece; 0: there is none. */
uint32_t gso_cut_len(const struct gso_cut *cut);
/* Write the next piece, a whole packet with right checksums: gso_cut_len() bytes. */
void gso_cut_next(struct gso_cut *cut, uint8_t *out);

#define GSO_MAX_PACKETS 64 /* in one super-packet */
#define GSO_MAX_FLOWS   8  /* that may interleave and are still merged */

/* Packets to be written as one: the first whole, of the others what follows their headers. */
struct gso_super {
	struct virtio_net_hdr hdr;
	uint32_t n;
	uint32_t header_len; /* of the packets after the first: skip so much */
	uint32_t len;        /* bytes in all, without hdr */
	struct pkt *pkts[GSO_MAX_PACKETS];
};

/* Takes the packets over. */
typedef void (*gso_emit)(void *context, const struct gso_super *super);

struct gso_flow {
	struct gso_super super;
	uint64_t age;       /* flows are emitted oldest first */
	uint32_t ports;     /* as in the packet */
	uint32_t next_seq;  /* TCP */
	uint32_t piece_len; /* payload of every packet but the last */
	uint16_t first_id;  /* IPv4 */
	bool has_equal_ids; /* of all packets so far, there being two at least */
	bool is_checked;    /* the first packet's checksum is right */
	uint8_t transport;  /* offset */
	uint8_t protocol;
	uint8_t family;
};

/*
 * Merges packets of up to GSO_MAX_FLOWS flows.  What comes out of emit is in order within each
 * flow.  Only packets that cutting would give back as they came are merged, so a wrong checksum
 * goes on as it is, alone.  (What may differ is the identifier of an IPv4 packet with "don't
 * fragment", which means nothing.)
 */
struct gso_merge {
	gso_emit emit;
	void *context;
	bool with_udp;
	unsigned n_flows;
	uint64_t next_age;
	struct gso_flow flows[GSO_MAX_FLOWS];
};

/* with_udp: the receiver takes UDP super-packets too. */
void gso_merge_init(struct gso_merge *merge, bool with_udp, gso_emit emit, void *context);
/* Add a packet (any bytes; takes ownership), which may make others be emitted. */
void gso_merge_add(struct gso_merge *merge, struct pkt *pkt);
/* Emit all that is held. */
void gso_merge_flush(struct gso_merge *merge);

#endif
