/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/handshake/slots.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/crypto/key.h"

#define GENERATION_MASK 0xfffu

static_assert(GENERATION_MASK == UINT32_MAX >> SHM_SLOT_BITS, "what the slot leaves of 32 bits");

int
slots_init(struct slots *slots)
{
	*slots = (struct slots){ .lowest = 1, .end = 1 };
	slots->items = calloc(SHM_MAX_SESSIONS, sizeof(slots->items[0]));
	return slots->items != NULL ? 0 : -ENOMEM;
}

void
slots_fini(struct slots *slots)
{
	free(slots->items);
	*slots = (struct slots){};
}

void
slots_clear(struct slots *slots)
{
	for (uint32_t i = 1; i < slots->end; i++)
		slots->items[i].use = SLOT_FREE;
	slots->lowest = 1;
	slots->count = 0;
}

static uint32_t
index_of(const struct slots *slots, uint32_t slot)
{
	return (uint32_t)slots->items[slot].generation << SHM_SLOT_BITS | slot;
}

static void
mark_used(struct slots *slots, uint32_t slot)
{
	slots->count++;
	if (slot >= slots->end)
		slots->end = slot + 1;
}

int
slots_take(struct slots *slots, uint32_t peer, uint32_t *ret_index)
{
	struct slot *s;

	while (slots->lowest < SHM_MAX_SESSIONS && slots->items[slots->lowest].use != SLOT_FREE)
		slots->lowest++;
	if (slots->lowest == SHM_MAX_SESSIONS)
		return ERR_FULL;

	s = &slots->items[slots->lowest];
	if (!s->known)
		random_bytes(&s->generation, sizeof(s->generation));
	s->known = true;
	s->generation = (s->generation + 1) & GENERATION_MASK;
	s->peer = peer;
	s->use = SLOT_RESERVED;
	s->missing = 0;
	mark_used(slots, slots->lowest);
	*ret_index = index_of(slots, slots->lowest);
	return 0;
}

void
slots_adopt(struct slots *slots, uint32_t index, uint32_t peer)
{
	uint32_t slot = shm_index_slot(index);
	struct slot *s;

	if (slot == 0 || slot >= SHM_MAX_SESSIONS)
		return;
	s = &slots->items[slot];
	if (s->use == SLOT_FREE)
		mark_used(slots, slot);
	*s = (struct slot){ .peer = peer,
		.generation = (uint16_t)(index >> SHM_SLOT_BITS),
		.use = SLOT_INSTALLED,
		.known = true };
}

enum slot_use
slots_use(const struct slots *slots, uint32_t index, uint32_t *ret_peer)
{
	uint32_t slot = shm_index_slot(index);

	if (slot == 0 || slot >= slots->end || slots->items[slot].use == SLOT_FREE ||
		index_of(slots, slot) != index)
		return SLOT_FREE;
	*ret_peer = slots->items[slot].peer;
	return slots->items[slot].use;
}

void
slots_set(struct slots *slots, uint32_t index, enum slot_use use)
{
	uint32_t slot = shm_index_slot(index), peer;

	if (slots_use(slots, index, &peer) == SLOT_FREE)
		return;
	slots->items[slot].use = use;
	slots->items[slot].missing = 0;
	if (use != SLOT_FREE)
		return;
	slots->count--;
	if (slot < slots->lowest)
		slots->lowest = slot;
}
