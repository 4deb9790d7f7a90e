/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Transport checksums that a local sender left to hardware which is not there.
 *
 * A sender on veth, on a tap, or behind some virtual NICs stores the folded sum of the
 * pseudo-header and counts on the device to do the rest.  A packet that has that value is given its
 * real checksum.  This is safe for every packet: if the right checksum happens to be equal to the
 * pseudo-header's sum, filling it in changes nothing.
 *
 * Source: ../shared/design/architecture.md section 11, "missing L4 checksums"; RFC 9293, RFC 768;
 *         RFC 9260 section 6.8 for SCTP, whose CRC32c such a sender leaves as 0.
 */
#ifndef LIB_NET_CHECKSUM_FILL_H
#define LIB_NET_CHECKSUM_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/headers.h"

/*
 * Fill in the checksum of TCP, UDP or SCTP in a packet where it is missing; true if that was so.
 * Fragments, other protocols, what is too short or cannot be followed, and an inner UDP length
 * other than the packet's are left alone.  v: of ip_parse() on p.
 */
bool checksum_fill_missing(uint8_t *p, const struct ip_view *v);

#endif
