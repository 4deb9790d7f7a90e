/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/shm/capture_reader.h"

#include <string.h>

// At most so many records are skipped in one call: what a liar's rings hold in all.
#define MAX_SKIPPED (SHM_MAX_WORKERS * SHM_CAPTURE_SLOTS)

static uint64_t
read_head(const struct shm_capture_reader *r, unsigned worker)
{
	// Pairs with the writer's last store: the records before it are there.
	return atomic_load_explicit(&r->memory->heads[worker].count, memory_order_acquire);
}

void
shm_capture_reader_init(struct shm_capture_reader *r, const struct shm_capture *memory)
{
	*r = (struct shm_capture_reader){ .memory = memory };
	for (unsigned i = 0; i < SHM_MAX_WORKERS; i++)
		r->next[i] = read_head(r, i);
}

// Whether the ring has something; what was overwritten is counted.
static bool
has_next(struct shm_capture_reader *r, unsigned worker)
{
	uint64_t head = read_head(r, worker), behind = head - r->next[worker];

	if (head < r->next[worker]) { // never, but for a liar
		r->next[worker] = head;
		return false;
	}
	if (behind > SHM_CAPTURE_SLOTS) {
		r->n_lost += behind - SHM_CAPTURE_SLOTS;
		r->next[worker] = head - SHM_CAPTURE_SLOTS;
	}
	return behind > 0;
}

static const struct shm_capture_record *
record_of(const struct shm_capture_reader *r, unsigned worker)
{
	return &r->memory->records[worker][r->next[worker] % SHM_CAPTURE_SLOTS];
}

// The worker whose next record is the oldest; SHM_MAX_WORKERS: none has any.
static unsigned
find_oldest(struct shm_capture_reader *r)
{
	unsigned oldest = SHM_MAX_WORKERS;
	uint64_t oldest_ns = 0;

	for (unsigned i = 0; i < SHM_MAX_WORKERS; i++) {
		uint64_t ns;

		if (!has_next(r, i))
			continue;
		ns = *(const volatile uint64_t *)&record_of(r, i)->time_ns;
		if (oldest == SHM_MAX_WORKERS || ns < oldest_ns) {
			oldest = i;
			oldest_ns = ns;
		}
	}
	return oldest;
}

// Copy, then look whether it was being written meanwhile; only then believe it.
static bool
copy_record(const struct shm_capture_record *record, uint64_t seq, struct shm_captured *ret)
{
	struct shm_capture_record copy;

	if (atomic_load_explicit(&record->seq, memory_order_acquire) != seq)
		return false;
	memcpy(&copy, (const void *)record, sizeof(copy));
	atomic_thread_fence(memory_order_acquire); // pairs with the writer's fence behind seq = 0
	if (atomic_load_explicit(&record->seq, memory_order_relaxed) != seq)
		return false;
	if (copy.cap_len > SHM_CAPTURE_SNAP || copy.cap_len > copy.len || copy.kind > 2 ||
		copy.where < SHM_CAPTURE_FROM_TUNNEL || copy.where > SHM_CAPTURE_DROPPED)
		return false;

	ret->time_ns = copy.time_ns;
	ret->len = copy.len;
	ret->cap_len = copy.cap_len;
	ret->peer = copy.peer;
	ret->port = copy.port;
	ret->reason = copy.reason;
	ret->where = copy.where;
	ret->kind = copy.kind;
	memcpy(ret->data, copy.data, copy.cap_len);
	return true;
}

bool
shm_capture_reader_take(struct shm_capture_reader *r, struct shm_captured *ret_packet)
{
	for (unsigned n = 0; n < MAX_SKIPPED; n++) {
		unsigned worker = find_oldest(r);
		uint64_t seq;

		if (worker == SHM_MAX_WORKERS)
			return false;
		seq = r->next[worker] + 1;
		if (copy_record(record_of(r, worker), seq, ret_packet)) {
			r->next[worker] = seq;
			return true;
		}
		r->n_lost++;
		r->next[worker] = seq;
	}
	return false;
}
