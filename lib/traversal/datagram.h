/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a datagram on the socket that WireGuard, disco and STUN share is.
 *
 * Source: ../shared/protocol/peer.md 1.2; vectors/disco.json, "classify".
 * Owner:  the payload is borrowed from the datagram.
 *
 * It says only who is to look closer: nothing here is authentic, and "WireGuard" is all that is
 * nothing else.
 */
#ifndef LIB_TRAVERSAL_DATAGRAM_H
#define LIB_TRAVERSAL_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/traversal/geneve.h"

enum datagram_kind {
	DATAGRAM_WIREGUARD,
	DATAGRAM_DISCO,
	DATAGRAM_STUN, /* a binding message: requests are not answered on this socket */
};

struct datagram {
	enum datagram_kind kind;
	bool relayed;         /* it came in Geneve, through a peer relay */
	struct geneve geneve; /* if relayed */
	const uint8_t *payload;
	size_t len; /* of the payload: without the Geneve header; 0 is possible */
};

/* data may be NULL when len is 0. */
void datagram_classify(const uint8_t *data, size_t len, struct datagram *ret_datagram);

/* The same for what came through a DERP relay: there is neither STUN nor Geneve. */
enum datagram_kind datagram_kind_of_relay(const uint8_t *data, size_t len);

#endif
