/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An address in 16 bytes: IPv4 stands as ::ffff:a.b.c.d and is unmapped when read.
 *
 * Source: ../shared/protocol/peer.md 0 ("IP16", "AP18"); RFC 4291 section 2.5.5.2.  Disco, PCP and
 * DERP.
 */
#ifndef LIB_NET_IP16_H
#define LIB_NET_IP16_H

#include <stdint.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/addr.h"

#define IP16_LEN 16
#define AP18_LEN 18 /* IP16 and a port */

static const uint8_t ip16_mapped[12] = { [10] = 0xff, [11] = 0xff };

static inline void
ip16_read(const uint8_t p[static IP16_LEN], struct addr *ret_addr)
{
	*ret_addr = (struct addr){};
	if (memcmp(p, ip16_mapped, sizeof(ip16_mapped)) == 0) {
		ret_addr->family = ADDR_V4;
		memcpy(ret_addr->bytes, p + sizeof(ip16_mapped), 4);
	} else {
		ret_addr->family = ADDR_V6;
		memcpy(ret_addr->bytes, p, IP16_LEN);
	}
}

/* ADDR_NONE is written as ::. */
static inline void
ip16_write(uint8_t p[static IP16_LEN], const struct addr *addr)
{
	if (addr->family == ADDR_V4) {
		memcpy(p, ip16_mapped, sizeof(ip16_mapped));
		memcpy(p + sizeof(ip16_mapped), addr->bytes, 4);
	} else {
		memcpy(p, addr->bytes, IP16_LEN);
	}
}

/* The scope of a link-local address does not travel. */
static inline void
ap18_read(const uint8_t p[static AP18_LEN], struct endpoint *ret_endpoint)
{
	*ret_endpoint = (struct endpoint){};
	ip16_read(p, &ret_endpoint->addr);
	ret_endpoint->port = load_be16(p + IP16_LEN);
}

static inline void
ap18_write(uint8_t p[static AP18_LEN], const struct endpoint *endpoint)
{
	ip16_write(p, &endpoint->addr);
	store_be16(p + IP16_LEN, endpoint->port);
}

#endif
