/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Time to live, hop limit.
 *
 * Source: RFC 1812 section 5.3.1; RFC 8200 section 3; RFC 1624 for the checksum.
 */
#ifndef LIB_NET_TTL_H
#define LIB_NET_TTL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/checksum.h"

/*
 * Count down in a packet that ip_parse() has accepted, IPv4 with its checksum brought up to date.
 * False, and nothing changed, where it would reach 0: the packet must not go on.
 */
[[nodiscard]] static inline bool
ip_decrement_ttl(uint8_t *p)
{
	uint16_t old_word;

	if (p[0] >> 4 == 6) {
		if (p[7] <= 1)
			return false;
		p[7]--;
		return true;
	}
	if (p[8] <= 1)
		return false;
	old_word = load_be16(p + 8);
	p[8]--;
	checksum_update16(p + 10, old_word, (uint16_t)(old_word - 0x0100));
	return true;
}

#endif
