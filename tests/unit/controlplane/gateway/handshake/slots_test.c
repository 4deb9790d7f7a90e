/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/handshake/slots.h"

#include <stdlib.h>

#include "controlplane/gateway/handshake/deadlines.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"
#include "tests/lib/tap.h"

#define N_LIVE 300

/* Against a naive twin: a list of what is in use. */
static void
test_random(void)
{
	uint32_t live[N_LIVE], n = 0, index, owner, highest = 0;
	bool unique = true, found = true, dense = true, counted = true;
	struct slots s;

	srand(3);
	tap_int(slots_init(&s), 0, "slots");
	for (int i = 0; i < 20000; i++) {
		if (n < N_LIVE && (n == 0 || rand() % 2 == 0)) {
			if (slots_take(&s, (uint32_t)i, &index) < 0)
				break;
			for (uint32_t k = 0; k < n; k++)
				unique = unique && shm_index_slot(live[k]) != shm_index_slot(index);
			if (shm_index_slot(index) > highest)
				highest = shm_index_slot(index);
			slots_set(&s, index, (enum slot_use)(SLOT_RESERVED + rand() % 3));
			live[n++] = index;
		} else {
			uint32_t at = (uint32_t)rand() % n;

			slots_set(&s, live[at], SLOT_FREE);
			found = found && slots_use(&s, live[at], &owner) == SLOT_FREE;
			live[at] = live[--n];
		}
		for (uint32_t k = 0; k < n; k += 17)
			found = found && slots_use(&s, live[k], &owner) != SLOT_FREE;
		counted = counted && s.count == n;
		dense = dense && highest <= N_LIVE;
	}
	tap_ok(unique, "a slot in use is never handed out again");
	tap_ok(found, "what is in use is found, what was given back is not");
	tap_ok(dense, "slots come from the lowest free one");
	tap_ok(counted, "they are counted");
	slots_fini(&s);
}

static void
test_generations(void)
{
	uint32_t first, second, owner;
	struct slots s;

	tap_int(slots_init(&s), 0, "slots");
	tap_ok(slots_take(&s, 5, &first) == 0 && shm_index_slot(first) == 1,
		"slot 0 is never used");
	slots_set(&s, first, SLOT_FREE);
	tap_int(slots_take(&s, 6, &second), 0, "the slot is used again");
	tap_int(second, (first + (1u << SHM_SLOT_BITS)), "under the next generation");
	tap_int(slots_use(&s, first, &owner), SLOT_FREE,
		"the old index does not find the new session");
	slots_set(&s, first, SLOT_FREE);
	tap_ok(slots_use(&s, second, &owner) == SLOT_RESERVED && owner == 6,
		"and does not free it");

	slots_adopt(&s, 0xabc00000u | 9, 7);
	tap_ok(slots_use(&s, 0xabc00009u, &owner) == SLOT_INSTALLED && owner == 7,
		"one from before us is known");
	slots_adopt(&s, 0xabc00000u, 7);
	slots_adopt(&s, 0xabcfffffu, 7);
	tap_int(s.count, 2, "what cannot be is not taken over");
	slots_set(&s, 0xabc00009u, SLOT_FREE);
	for (int i = 0; i < 8; i++)
		(void)slots_take(&s, 1, &second);
	tap_int(second, 0xabd00009u, "its slot goes on with its generation");
	tap_int(slots_use(&s, UINT32_MAX, &owner), SLOT_FREE, "any index may be asked for");
	slots_clear(&s);
	tap_ok(s.count == 0 && slots_use(&s, second, &owner) == SLOT_FREE,
		"a new memory has none in use");
	slots_fini(&s);
}

static void
test_full(void)
{
	uint32_t index;
	uint32_t n = 0;
	struct slots s;

	tap_int(slots_init(&s), 0, "slots");
	while (n <= SHM_MAX_SESSIONS && slots_take(&s, 1, &index) == 0)
		n++;
	tap_int(n, SHM_MAX_SESSIONS - 1, "every slot but 0 is used");
	tap_int(slots_take(&s, 1, &index), ERR_FULL, "then they are full");
	slots_fini(&s);
}

static void
test_deadlines(void)
{
	uint64_t at[200] = {};
	bool right = true;
	struct deadlines d = {};
	uint32_t peer;

	srand(4);
	for (int i = 0; i < 20000; i++) {
		uint32_t p = (uint32_t)rand() % 200;
		uint64_t least = UINT64_MAX;

		at[p] = rand() % 4 == 0 ? 0 : (uint64_t)(1 + rand() % 1000);
		right = right && deadlines_set(&d, p, (struct mono){ at[p] }) == 0;
		if (i % 7 == 0 && deadlines_take(&d, (struct mono){ 300 }, &peer)) {
			for (int k = 0; k < 200; k++)
				if (at[k] != 0 && at[k] < least)
					least = at[k];
			right = right && at[peer] == least && least <= 300;
			at[peer] = 0;
		}
		least = UINT64_MAX;
		for (int k = 0; k < 200; k++)
			if (at[k] != 0 && at[k] < least)
				least = at[k];
		right = right && deadlines_next(&d).ns == (least == UINT64_MAX ? 0 : least);
	}
	tap_ok(right, "the earliest deadline comes first, as in a plain array");
	deadlines_fini(&d);
}

int
main(void)
{
	if (crypto_init() < 0)
		return 99;
	test_random();
	test_generations();
	test_full();
	test_deadlines();
	return tap_done();
}
