/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pings inside the tunnel, IP protocol 99: the packet that asks, and the one that answers.
 *
 * Source: ../shared/protocol/peer.md 9.7.
 * Thread: any; no hidden state.
 */
#ifndef LIB_TRAVERSAL_TSMP_H
#define LIB_TRAVERSAL_TSMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define TSMP_TOKEN_LEN    8
#define TSMP_PING_MAX_LEN (40 + 1 + TSMP_TOKEN_LEN)

struct tsmp_pong {
	struct addr from;
	uint8_t token[TSMP_TOKEN_LEN]; /* of the ping */
	uint16_t peer_api_port;        /* of who answers, for this family; 0: not known */
};

/* Write a ping as an IP packet; both addresses are of one family.  Returns its length. */
size_t tsmp_ping_write(uint8_t out[static TSMP_PING_MAX_LEN],
	const struct addr *from,
	const struct addr *to,
	const uint8_t token[static TSMP_TOKEN_LEN]);

/* Whether an IP packet is a pong, and what it says. */
bool tsmp_pong_read(const uint8_t *packet, size_t len, struct tsmp_pong *ret_pong);

#endif
