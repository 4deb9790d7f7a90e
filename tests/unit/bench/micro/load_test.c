/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/load.h"

#include <stdio.h>

#include "bench/micro/subject.h"
#include "tests/lib/tap.h"

static struct aead_job jobs[LOAD_CHUNK_MAX];

static void
parse(const char *text, struct sizes *sizes)
{
	const char *why;

	tap_int(sizes_parse(text, 9216, 1, sizes, &why), 0, text);
}

static void
test_shape(void)
{
	static const uint32_t bursts[] = { 1, 3, 32, 48, 64, 100, 256 };
	struct sizes sizes;
	struct load load;
	bool fits = true;

	parse("1424", &sizes);
	for (size_t i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++) {
		load_init(&load, &sizes, bursts[i], 64, 0, NULL);
		tap_ok(load.chunk % bursts[i] == 0 && load.chunk >= 64 &&
				load.chunk <= LOAD_CHUNK_MAX && load.n_packets % load.chunk == 0,
			"bursts of %u are whole, in chunks that are whole", bursts[i]);
	}
	load_init(&load, &sizes, 64, 64, 0, NULL);
	tap_int(load.stride, 2112, "buffers of Ethernet's sizes are 33 lines apart");
	tap_int(load.n_packets, 64, "warm ones are 64");
	for (unsigned size = 2000; size < 9216; size += 64) {
		char text[16];
		const char *why;

		snprintf(text, sizeof(text), "%u", size);
		fits &= sizes_parse(text, 9216, 1, &sizes, &why) == 0;
		load_init(&load, &sizes, 64, 64, 0, NULL);
		fits &= load.stride >= 128 + size + 16 && load.stride % 128 == 64;
	}
	tap_ok(fits, "larger ones have room, an odd number of lines");
}

static void
test_working_set(void)
{
	struct sizes sizes;
	struct load load;

	parse("64", &sizes);
	load_init(&load, &sizes, 64, 64, 8 << 20, NULL);
	tap_int(load.n_packets, (8 << 20) / 128, "64 bytes and a tag touch two lines each");
	parse("1424", &sizes);
	load_init(&load, &sizes, 64, 64, 8 << 20, NULL);
	tap_ok(load.n_packets * 23 * 64 >= 8 << 20 &&
			load.n_packets * 23 * 64 < (8 << 20) + 64 * 1472,
		"1,424 and a tag 23, rounded up to a chunk");
}

static void
test_jobs(void)
{
	struct load_arena arena = {};
	struct sizes sizes;
	struct load load;
	bool apart = true, filled = true;

	parse("3x64,1x500", &sizes);
	load_init(&load, &sizes, 32, 3, 0, &arena);
	tap_int(load_arena_create(&arena, load_size(&load)), 0, "there is room");
	load_fill(&load);
	for (uint32_t first = 0; first < load.n_packets; first += load.chunk) {
		load_jobs(&load, first, jobs);
		for (uint32_t i = 0; i < load.chunk; i++) {
			uint32_t number = first + i;

			apart &= jobs[i].counter == number + UINT64_C(1) &&
			         jobs[i].key == subject_keys[number % 3] &&
			         jobs[i].len == sizes_at(&sizes, number) &&
			         jobs[i].data >= arena.data + load.stride * number &&
			         jobs[i].data + jobs[i].len + AEAD_TAG_LEN <=
			                 arena.data + load.stride * (number + 1);
			filled &= jobs[i].data[0] == LOAD_BYTE &&
			          jobs[i].data[jobs[i].len - 1] == LOAD_BYTE;
		}
	}
	tap_ok(apart, "each packet has its number, its key, its size and its buffer");
	tap_ok(filled, "and plaintext");
	load_arena_destroy(&arena);
}

// How many of a chunk b opens as they were before a sealed them; of those forged, none.
static uint32_t
count_opened(const struct subject *a, const struct subject *b, bool is_forged)
{
	struct load_arena arena = {};
	struct sizes sizes;
	struct load load;
	const char *why;
	uint32_t n = 0;

	if (sizes_parse("5x1,3x64,1x1424", 9216, 1, &sizes, &why) < 0)
		return 0;
	load_init(&load, &sizes, 32, 64, 0, &arena);
	if (load_arena_create(&arena, load_size(&load)) < 0)
		return 0;
	load_fill(&load);
	load_jobs(&load, 0, jobs);
	a->seal(jobs, load.chunk);
	for (uint32_t i = 0; i < load.chunk; i++)
		jobs[i].data[jobs[i].len] ^= is_forged;
	b->open(jobs, load.chunk);
	for (uint32_t i = 0; i < load.chunk; i++)
		n += jobs[i].ok && (is_forged || jobs[i].data[0] == LOAD_BYTE);
	load_arena_destroy(&arena);
	return n;
}

static void
test_subjects(void)
{
	struct subject subjects[SUBJECTS_MAX];
	size_t n;

	if (aead_init(NULL) < 0) {
		tap_ok(false, "there is a cipher");
		return;
	}
	n = subjects_find(subjects);
	tap_text(subjects[0].name, "sluice", "the front comes first");
	for (size_t i = 0; i < n; i++) {
		tap_ok(count_opened(&subjects[i], subject_oracle(), false) == 64 &&
				count_opened(subject_oracle(), &subjects[i], false) == 64,
			"%s and libsodium understand each other", subjects[i].name);
		tap_ok(count_opened(subject_oracle(), &subjects[i], true) == 0,
			"%s refuses forgeries", subjects[i].name);
	}
	subjects_free();
}

int
main(void)
{
	test_shape();
	test_working_set();
	test_jobs();
	test_subjects();
	return tap_done();
}
