/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which peer is due first: a binary heap of one deadline per peer.  Pure.
 *
 * Owner:  embedded in the engine.
 */
#ifndef CONTROLPLANE_GATEWAY_HANDSHAKE_DEADLINES_H
#define CONTROLPLANE_GATEWAY_HANDSHAKE_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"

struct deadline {
	struct mono at;
	uint32_t peer;
};

struct deadlines { /* starts zeroed */
	struct deadline *heap;
	uint32_t *place;  /* of a peer in the heap + 1; 0: it has none */
	uint32_t n, room; /* room: peers 0 ... room - 1 fit */
};

void deadlines_fini(struct deadlines *d);
/* Never: the peer has none.  0 or -ENOMEM. */
[[nodiscard]] int deadlines_set(struct deadlines *d, uint32_t peer, struct mono at);
/* The earliest, or never. */
struct mono deadlines_next(const struct deadlines *d);
/* Take out the earliest if it is due; false: none is. */
bool deadlines_take(struct deadlines *d, struct mono now, uint32_t *ret_peer);

#endif
