/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Both ends of a ring against a memory image of the other side that changes between any two steps.
 * Each byte of input is a step; some take the four bytes behind them as a value.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shm/ring.h"

#define N_SLOTS   8u
#define SLOT_SIZE 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct fuzz {
	struct shm_ring_producer head;
	struct shm_ring_consumer tail;
	uint8_t *slots; // exactly as long as they are: the sanitizer sees the end
	struct shm_ring_tx tx;
	struct shm_ring_rx rx;
};

static void
must(int is_true)
{
	if (!is_true)
		abort();
}

static void
join(struct fuzz *f)
{
	shm_ring_tx_init(&f->tx, &f->head, &f->tail, f->slots, SLOT_SIZE, N_SLOTS);
	shm_ring_rx_init(&f->rx, &f->tail, &f->head, f->slots, SLOT_SIZE, N_SLOTS);
}

static void
reserve(struct fuzz *f, uint32_t value)
{
	uint8_t *slot = shm_ring_reserve(&f->tx);

	if (slot == NULL)
		return;
	must(!f->tx.violated && slot >= f->slots &&
		slot + SLOT_SIZE <= f->slots + N_SLOTS * SLOT_SIZE);
	must((size_t)(slot - f->slots) % SLOT_SIZE == 0);
	memset(slot, (int)value, SLOT_SIZE);
	if (value % 4 != 0)
		shm_ring_publish(&f->tx);
}

static void
peek(struct fuzz *f, uint32_t value)
{
	uint8_t *copy = malloc(SLOT_SIZE);

	must(copy != NULL);
	if (shm_ring_peek(&f->rx, copy)) {
		must(!f->rx.violated);
		if (value % 4 != 0)
			shm_ring_advance(&f->rx);
	}
	free(copy);
}

static void
step(struct fuzz *f, uint8_t what, uint32_t value)
{
	switch (what % 9) {
	case 0:
		reserve(f, value);
		break;
	case 1:
		peek(f, value);
		break;
	case 2: // the other side's counts, near the truth and anywhere
		atomic_store(&f->head.head, f->rx.tail + value % (2 * N_SLOTS));
		break;
	case 3:
		atomic_store(&f->tail.tail, f->tx.head - value % (2 * N_SLOTS));
		break;
	case 4:
		atomic_store(&f->head.head, value);
		break;
	case 5:
		atomic_store(&f->tail.tail, value);
		break;
	case 6:
		must(shm_ring_used(&f->tx) <= N_SLOTS);
		(void)shm_ring_wants_bell(&f->tx);
		break;
	case 7:
		if (!shm_ring_sleep(&f->rx))
			must(!f->rx.violated);
		shm_ring_wake(&f->rx);
		break;
	case 8:
		f->slots[value % (N_SLOTS * SLOT_SIZE)] = (uint8_t)(value >> 16);
		if (value % 16 == 0)
			join(f);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { .slots = calloc(N_SLOTS, SLOT_SIZE) };

	must(f.slots != NULL);
	join(&f);
	for (size_t at = 0; at + 5 <= len; at += 5) {
		uint32_t value;

		memcpy(&value, data + at + 1, sizeof(value));
		step(&f, data[at], value);
	}
	free(f.slots);
	return 0;
}
