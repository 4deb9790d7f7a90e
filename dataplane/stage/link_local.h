/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses that mean something on one link only.  Source: RFC 3927 section 2.7, RFC 4291
 * section 2.5.6: no router passes on what has them.
 */
#ifndef DATAPLANE_STAGE_LINK_LOCAL_H
#define DATAPLANE_STAGE_LINK_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/headers.h"

/* address: the bytes of one of this family. */
static inline bool
is_link_local(uint8_t family, const uint8_t *address)
{
	if (family == ADDR_V4)
		return address[0] == 169 && address[1] == 254;
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

static inline bool
has_link_local(const struct ip_view *v)
{
	return is_link_local(v->family, v->src) || is_link_local(v->family, v->dst);
}

#endif
