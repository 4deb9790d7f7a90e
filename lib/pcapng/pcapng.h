/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Captured packets as a file that Wireshark and tcpdump read: pcapng blocks into the caller's
 * buffer.
 *
 * Source: draft-ietf-opsawg-pcapng, "PCAP Now Generic", sections 3 and 4.1 to 4.3; link types:
 *         draft-ietf-opsawg-pcaplinktype.
 * Thread: pure.
 *
 * A section block comes first, then interfaces, numbered from 0 in their order, each before its
 * first packet.  Times are nanoseconds since 1970.  libpcap reads files only whose interfaces all
 * have one link type, and (as of 1.10) of several raw ones only the first: so packets get Linux's
 * "cooked" header, which has a direction, too.
 */
#ifndef LIB_PCAPNG_PCAPNG_H
#define LIB_PCAPNG_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

#define PCAPNG_LINK_COOKED 113 /* "Linux cooked capture": what pcapng_cooked() makes, then IP */
#define PCAPNG_COOKED_LEN  16

#define PCAPNG_MAX_TEXT 255 /* bytes; longer texts are cut */

/* Enough for a section or an interface, and for a packet of cap_len bytes. */
#define PCAPNG_HEADER_ROOM          640u
#define PCAPNG_PACKET_ROOM(cap_len) ((cap_len) + 3u + 320u)

enum pcapng_direction {
	PCAPNG_UNKNOWN = 0,
	PCAPNG_INBOUND = 1,
	PCAPNG_OUTBOUND = 2,
};

struct pcapng_packet {
	uint32_t interface;
	enum pcapng_direction direction;
	uint64_t time_ns;
	uint32_t len;        /* of the packet as it was */
	uint32_t cap_len;    /* of `data`; at most len */
	const uint8_t *data; /* borrowed */
	const char *comment; /* UTF-8; NULL: none */
};

/* The header for an IP packet that begins with this byte. */
void pcapng_cooked(uint8_t header[static PCAPNG_COOKED_LEN],
	enum pcapng_direction direction,
	uint8_t first_byte);

/* Each writes one block and returns its length, a multiple of four; 0: there is not room enough. */
size_t pcapng_section(uint8_t *buf, size_t room, const char *application);
size_t pcapng_interface(uint8_t *buf,
	size_t room,
	uint16_t link_type,
	uint32_t snap_len,
	const char *name,
	const char *description); /* NULL: none */
size_t pcapng_packet(uint8_t *buf, size_t room, const struct pcapng_packet *packet);

#endif
