/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Session slots: which of them are in use, by whom, and which receiver index comes next for each.
 *
 * A receiver index is generation << 20 | slot.  Slot 0 is never used.  Slots are handed out from
 * the lowest free one, so that the touched part of the shared arrays stays dense; the generation is
 * random at a slot's first use and then counts up, so that a late packet for an old session does
 * not find a new one.
 *
 * Source: docs/shm-abi.md, "Sessions".
 * Owner:  embedded in the engine.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_HANDSHAKE_SLOTS_H
#define CONTROLPLANE_GATEWAY_HANDSHAKE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

enum slot_use {
	SLOT_FREE,
	SLOT_RESERVED, /* an initiation of ours carries it; the data plane does not know it */
	SLOT_OFFERED,  /* a SESSION command is on its way */
	SLOT_INSTALLED,
};

struct slot {
	uint32_t peer;
	uint16_t generation; /* of the last index given out, if `known` */
	uint8_t use;         /* enum slot_use */
	bool known;
	uint8_t missing; /* sweeps in a row that did not find it in the directory */
};

struct slots {
	struct slot *items; /* SHM_MAX_SESSIONS, touched as used */
	uint32_t lowest;    /* no free one below it, except 0 */
	uint32_t end;       /* highest ever used + 1 */
	uint32_t count;     /* in use */
};

[[nodiscard]] int slots_init(struct slots *slots); /* 0 or -ENOMEM */
void slots_fini(struct slots *slots);
/* Everything is free (a new keeper's memory); generations go on counting. */
void slots_clear(struct slots *slots);

/* A receiver index for this peer, in use as SLOT_RESERVED.  0 or ERR_FULL. */
[[nodiscard]] int slots_take(struct slots *slots, uint32_t peer, uint32_t *ret_index);
/* This index is in use in the data plane (read from the directory).  What it held before is gone.
 */
void slots_adopt(struct slots *slots, uint32_t index, uint32_t peer);
/* How this index is used: SLOT_FREE also for one of another generation, or out of range. */
enum slot_use slots_use(const struct slots *slots, uint32_t index, uint32_t *ret_peer);
/* Change the use of an index that is in use; SLOT_FREE gives it back.  Others: nothing happens. */
void slots_set(struct slots *slots, uint32_t index, enum slot_use use);

#endif
