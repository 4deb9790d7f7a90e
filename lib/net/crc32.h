/* SPDX-License-Identifier: BSD-3-Clause
 *
 * CRC-32 of IEEE 802.3, as STUN's fingerprints and a member's ports for its PeerAPI have it.
 */
#ifndef LIB_NET_CRC32_H
#define LIB_NET_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Of short things: a nibble at a time, no large table. */
uint32_t crc32_ieee(const void *data, size_t len);

#endif
