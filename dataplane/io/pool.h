/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packet buffers: frames of one size, in memory that the keeper made.
 *
 * Owner:  the pool belongs to main(); each thread has a cache of its own.
 * Thread: a cache is for one thread.  Caches exchange whole magazines of frames with the pool over
 *         a lock-free stack, so that nobody writes a shared line per packet.
 */
#ifndef DATAPLANE_IO_POOL_H
#define DATAPLANE_IO_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/path/pkt.h"

#define POOL_MAGAZINE 64 /* frames exchanged at a time */

struct pool; /* opaque */
struct frame_ledger;

struct pool_cache {
	struct pool *pool;
	uint32_t n;
	struct pkt *frames[2 * POOL_MAGAZINE];
};

/*
 * Frame length for packets of this MTU (inner): a power of two, 2048 at least, and one cache line.
 * With the line, fields of different packets do not lie at the same place of a 4 KiB page, where
 * the processor takes a store to one for a store to the other and makes loads wait: inbound 112
 * cycles a packet instead of 91 (measured, median).  A driver whose frames must be powers of two
 * (AF_XDP in aligned mode) should give its packets staggered headrooms instead.
 */
uint32_t pool_frame_len(uint32_t mtu);

/*
 * Divide `len` bytes of zeroed or used memory (aligned to 4096; borrowed until pool_destroy) into
 * frames.  All frames are free afterwards.  Returns 0, -EINVAL (less than four magazines), -ENOMEM.
 */
[[nodiscard]] int pool_create(void *memory, size_t len, uint32_t frame_len, struct pool **ret_pool);
/*
 * The same, but free are only those that the ledger calls ours, and none that reaches over the
 * boundary of a huge page: a device cannot write to it.  ledger: has pool_frames_in() bytes; read
 * here only.
 */
[[nodiscard]] int pool_create_from_ledger(void *memory,
	size_t len,
	uint32_t frame_len,
	const struct frame_ledger *ledger,
	struct pool **ret_pool);
void pool_destroy(struct pool *pool);
/* Frames that `len` bytes are divided into. */
uint32_t pool_frames_in(size_t len, uint32_t frame_len);
/* The memory given to pool_create(). */
uint8_t *pool_memory(const struct pool *pool);
uint32_t pool_frame_count(const struct pool *pool);
uint32_t pool_frame_length(const struct pool *pool);

/* Free frames not in any cache: a moment's value, for status and tests. */
uint32_t pool_free_count(const struct pool *pool);

void pool_cache_init(struct pool_cache *cache, struct pool *pool);
/* Give every frame back. */
void pool_cache_fini(struct pool_cache *cache);

/*
 * Take up to n frames, each reset by pkt_reset().  Returns how many there were: fewer only when the
 * pool is empty.
 */
uint32_t pool_get(struct pool_cache *cache, struct pkt **ret_pkts, uint32_t n);
/* The same, not reset: to be given to a device. */
uint32_t pool_get_raw(struct pool_cache *cache, struct pkt **ret_pkts, uint32_t n);
void pool_put(struct pool_cache *cache, struct pkt *const *pkts, uint32_t n);

#endif
