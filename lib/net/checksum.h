/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The Internet checksum: sums, incremental updates, and whole transport checksums.
 *
 * A running sum is kept in the byte order of the machine (RFC 1071 section 2(B): the order does not
 * matter as long as sums and fields are loaded the same way) and folded only at the end.
 *
 * Source: RFC 1071; RFC 1624 equation 3 for updates; RFC 9293 section 3.1 and RFC 8200 section 8.1
 *         for pseudo-headers.
 */
#ifndef LIB_NET_CHECKSUM_H
#define LIB_NET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/headers.h"

/*
 * Add len bytes to a running sum (begin with 0).  Every piece but the last has an even length.
 * Good for 4 GiB in all.
 */
[[nodiscard]] uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

/*
 * Add the pseudo-header of a transport packet of l4_len bytes: addresses (4 or 16 bytes each, by
 * `family`), protocol and length.
 */
[[nodiscard]] uint64_t checksum_add_pseudo(uint64_t sum,
	enum addr_family family,
	const uint8_t *src,
	const uint8_t *dst,
	uint8_t protocol,
	uint32_t l4_len);

/* The sum in sixteen bits, in the machine's order, not complemented. */
static inline uint16_t
checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16); // at most 0x1fffe before, so no carry is left
	return (uint16_t)sum;
}

/* The checksum of a sum: store its bytes with checksum_store(). */
static inline uint16_t
checksum_finish(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

static inline void
checksum_store(uint8_t *field, uint16_t checksum)
{
	memcpy(field, &checksum, sizeof(checksum));
}

/*
 * The checksum in `field` after a 16-bit word that it covers, at an even offset, has changed from
 * old_word to new_word (values in host order).  Never turns 0xffff into 0 by mistake (RFC 1624
 * section 3).  Not for UDP over IPv4 with checksum 0, which means none.
 */
static inline void
checksum_update16(uint8_t *field, uint16_t old_word, uint16_t new_word)
{
	uint32_t sum = (uint16_t)~load_be16(field);

	sum += (uint16_t)~old_word;
	sum += new_word;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	store_be16(field, (uint16_t)~sum);
}

/* Compute and store the header checksum of an IPv4 header of header_len bytes (20 to 60). */
void checksum_fill_ipv4(uint8_t *header, uint32_t header_len);
/* Whether that of a header that ip_parse() has accepted is right. */
bool checksum_is_valid_ipv4(const uint8_t *header, uint32_t header_len);

/*
 * Compute and store the checksum of the transport packet in l4[0, l4_len): TCP, UDP (0 becomes
 * 0xffff), ICMP (no pseudo-header) or ICMPv6.  What the field held before does not matter.
 * False: another protocol, or shorter than its header; nothing is changed.
 */
bool checksum_fill_transport(enum addr_family family,
	const uint8_t *src,
	const uint8_t *dst,
	uint8_t protocol,
	uint8_t *l4,
	uint32_t l4_len);
/* The same for the transport part of a whole, unfragmented packet. */
bool checksum_fill_packet(uint8_t *p, const struct ip_view *v);

#endif
