/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/micro/subject.h"

#define LINE         64u
#define HEADROOM     128u
#define BUFFER_LINES 33u  // 2,112 bytes
#define WARM         64u  // packets of one size
#define WARM_MIX     192u // of a mix: enough of each size
#define HUGE_PAGE    ((size_t)2 << 20)

static uint32_t
lines(size_t bytes)
{
	return (uint32_t)((bytes + LINE - 1) / LINE);
}

int
load_arena_create(struct load_arena *arena, size_t size)
{
	arena->size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	arena->data = aligned_alloc(HUGE_PAGE, arena->size);
	if (arena->data == NULL)
		return -ENOMEM;
	(void)madvise(arena->data, arena->size, MADV_HUGEPAGE); // better with, right without
	memset(arena->data, LOAD_BYTE, arena->size);
	return 0;
}

void
load_arena_destroy(struct load_arena *arena)
{
	free(arena->data);
	*arena = (struct load_arena){};
}

// How many packets of these sizes touch so many bytes of cache lines.
static uint32_t
packets_for(const struct sizes *sizes, size_t bytes)
{
	uint64_t touched = 0;
	uint32_t n = 0;

	for (; touched < bytes; n++)
		touched += LINE * lines(sizes_at(sizes, n) + AEAD_TAG_LEN);
	return n;
}

void
load_init(struct load *load,
	const struct sizes *sizes,
	uint32_t burst,
	uint32_t n_keys,
	size_t working_set_bytes,
	struct load_arena *arena)
{
	uint32_t warm = sizes->least == sizes->most ? WARM : WARM_MIX;
	uint32_t n = working_set_bytes > 0 ? packets_for(sizes, working_set_bytes) : warm;
	uint32_t buffer = lines(HEADROOM + sizes->most + AEAD_TAG_LEN);

	*load = (struct load){ .sizes = sizes, .burst = burst, .n_keys = n_keys, .arena = arena };
	// A sample is a chunk: long enough for the clock's own cost to vanish in it.
	load->chunk = (WARM + burst - 1) / burst * burst;
	load->n_packets = (n + load->chunk - 1) / load->chunk * load->chunk;
	load->stride = (size_t)LINE * (buffer <= BUFFER_LINES ? BUFFER_LINES : buffer | 1);
}

size_t
load_size(const struct load *load)
{
	return load->stride * load->n_packets;
}

void
load_fill(const struct load *load)
{
	for (uint32_t i = 0; i < load->n_packets; i++)
		memset(load->arena->data + load->stride * i + HEADROOM, LOAD_BYTE,
			sizes_at(load->sizes, i));
}

void
load_jobs(const struct load *load, uint32_t first, struct aead_job jobs[static LOAD_CHUNK_MAX])
{
	for (uint32_t i = 0; i < load->chunk; i++) {
		uint32_t number = first + i;

		jobs[i] = (struct aead_job){
			.data = load->arena->data + load->stride * number + HEADROOM,
			.key = subject_keys[number % load->n_keys],
			.counter = number + UINT64_C(1),
			.len = sizes_at(load->sizes, number),
		};
	}
}
