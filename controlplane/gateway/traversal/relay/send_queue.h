/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets that wait for a relay: first in, first out, and what is too much or too old is dropped
 * from the front, because the newest is what its receiver can still use.
 *
 * Owner:  embedded in a relay; packets are copies.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_SEND_QUEUE_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_RELAY_SEND_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/crypto/key.h"

struct queued_packet {
	struct queued_packet *next;
	struct mono since;
	struct public_key to;
	size_t len;
	uint8_t data[];
};

struct send_queue { /* zeros but for the limits: empty */
	size_t max_packets, max_bytes;
	struct queued_packet *first, *last;
	size_t n, bytes;
};

/* Put a copy at the end.  Returns how many were dropped: older ones, or this one (no memory). */
size_t send_queue_push(struct send_queue *q,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now);

/* Drop what has waited for longer than max_age_ns.  Returns how many those were. */
size_t send_queue_expire(struct send_queue *q, int64_t max_age_ns, struct mono now);

/* Take the oldest out, to be freed with free(); NULL: empty. */
struct queued_packet *send_queue_pop(struct send_queue *q);

/* Drop all.  Returns how many those were. */
size_t send_queue_clear(struct send_queue *q);

#endif
