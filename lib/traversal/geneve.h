/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The header in front of what goes through a peer relay.
 *
 * Source: RFC 8926 section 3.4; ../shared/protocol/peer.md 1.3.
 */
#ifndef LIB_TRAVERSAL_GENEVE_H
#define LIB_TRAVERSAL_GENEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENEVE_LEN     8
#define GENEVE_VNI_MAX 0xffffff

enum geneve_protocol {
	GENEVE_DISCO = 0x7a11,
	GENEVE_WIREGUARD = 0x7a12,
};

struct geneve {
	bool control;      /* a message of the relay handshake, which ends at the relay */
	uint16_t protocol; /* enum geneve_protocol, or anything when read */
	uint32_t vni;      /* 24 bits: which of the relay's endpoints */
};

/*
 * Whether a datagram begins with such a header: version 0, no reserved bits.  The option length is
 * not looked at, as the reference does not.
 */
bool geneve_read(const uint8_t *data, size_t len, struct geneve *ret_header);

/* Only the low 24 bits of the VNI are written. */
void geneve_write(uint8_t out[static GENEVE_LEN], const struct geneve *header);

#endif
