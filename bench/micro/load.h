/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets to be sealed and opened: their sizes, and the buffers they lie in.
 *
 * Buffers are those of a gateway's pool: one packet each, an odd number of cache lines (33 for
 * Ethernet's sizes) apart, so that packets do not fall into the same sets of the cache, the data
 * 128 bytes behind the beginning.  `warm`: as many as are sealed in one go, again and again.
 * Otherwise in turn, so many that the cache lines that are touched are working_set_bytes.
 *
 * Loads of one arena use the same memory: what is sealed is opened before another load begins.
 */
#ifndef BENCH_MICRO_LOAD_H
#define BENCH_MICRO_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/sizes.h"
#include "lib/crypto/aead.h"

#define LOAD_MAX_BURST 256
#define LOAD_CHUNK_MAX (2 * LOAD_MAX_BURST)
#define LOAD_BYTE      3 /* every byte of plaintext */

struct load_arena {
	uint8_t *data;
	size_t size;
};

/* Takes huge pages where the kernel gives them.  Returns 0 or -ENOMEM. */
[[nodiscard]] int load_arena_create(struct load_arena *arena, size_t size);
void load_arena_destroy(struct load_arena *arena);

struct load {
	const struct sizes *sizes;
	uint32_t n_packets; /* a multiple of chunk */
	uint32_t burst, chunk;
	uint32_t n_keys;
	size_t stride; /* bytes from buffer to buffer */
	struct load_arena *arena;
};

/* arena may be NULL as long as only load_size() is asked.  sizes is kept. */
void load_init(struct load *load,
	const struct sizes *sizes,
	uint32_t burst,
	uint32_t n_keys,
	size_t working_set_bytes,
	struct load_arena *arena);
/* Bytes of arena that it needs. */
size_t load_size(const struct load *load);
/* Fills the buffers with plaintext. */
void load_fill(const struct load *load);
/* The jobs of packets first .. first + chunk - 1. */
void
load_jobs(const struct load *load, uint32_t first, struct aead_job jobs[static LOAD_CHUNK_MAX]);

#endif
