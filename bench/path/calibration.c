/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/calibration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define BURST  64
#define ROWS   1024 // a power of two
#define FRAMES 1024

struct row {
	_Alignas(64) uint64_t word[8];
};

struct calibration {
	struct row session[ROWS], window[ROWS], counters[ROWS];
	struct row frame[FRAMES];
	uint32_t next_frame;
	uint64_t wrong; // what no branch should find; read at the end, so nothing is optimised away
};

int
calibration_create(struct calibration **ret)
{
	struct calibration *c = aligned_alloc(64, sizeof(*c));
	uint64_t x = 1;

	if (c == NULL)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	for (uint32_t i = 0; i < ROWS; i++) {
		c->session[i].word[0] = i;
		c->session[i].word[1] = (uint64_t)i << 32;
		c->frame[i % FRAMES].word[0] = x = x * UINT64_C(6364136223846793005) + 1;
	}
	*ret = c;
	return 0;
}

void
calibration_destroy(struct calibration *c)
{
	free(c);
}

static inline uint32_t
place_of(uint64_t header)
{
	return (uint32_t)(header * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (ROWS - 1);
}

// The compiler must not turn one burst into something else because it sees the next.
__attribute__((noinline)) static void
look_up(struct calibration *c, uint32_t place[BURST], struct row *frames[BURST])
{
	for (uint32_t i = 0; i < BURST; i++) {
		struct row *f = &c->frame[c->next_frame++ & (FRAMES - 1)];

		if (f->word[0] == 0) {
			c->wrong++;
			continue;
		}
		place[i] = place_of(f->word[0]);
		__builtin_prefetch(&c->session[place[i]]);
		__builtin_prefetch(&c->window[place[i]], 1);
		f->word[1] = place[i];
		frames[i] = f;
	}
}

__attribute__((noinline)) static void
check(struct calibration *c, const uint32_t place[BURST], struct row *frames[BURST])
{
	for (uint32_t i = 0; i < BURST; i++) {
		const struct row *s = &c->session[place[i]];
		struct row *w = &c->window[place[i]];
		uint64_t bit = UINT64_C(1) << (frames[i]->word[0] & 31);

		if (s->word[0] != frames[i]->word[1] || s->word[1] >> 32 != place[i] ||
			w->word[7] != 0) {
			c->wrong++;
			continue;
		}
		w->word[0] = (w->word[0] | bit) + (UINT64_C(1) << 32);
		frames[i]->word[2] = s->word[0] + w->word[0];
		__builtin_prefetch(&c->counters[place[i]], 1);
	}
}

__attribute__((noinline)) static void
count(struct calibration *c, const uint32_t place[BURST], struct row *frames[BURST])
{
	for (uint32_t i = 0; i < BURST; i++) {
		struct row *f = frames[i], *k = &c->counters[place[i]];

		k->word[0]++;
		k->word[1] += f->word[0] & 0x5ff;
		k->word[2] = f->word[2];
		k->word[3] = f->word[2];
		f->word[3] = f->word[0] ^ k->word[0];
		f->word[4] = (uint64_t)(uintptr_t)k;
		f->word[5] = place[i];
		// Of the next round's header, so that it depends on what was read.
		f->word[0] = f->word[0] * UINT64_C(6364136223846793005) + (f->word[1] | 1);
	}
}

double
calibration_run(struct calibration *c, unsigned n)
{
	struct row *frames[BURST];
	uint32_t place[BURST];
	uint64_t start = __rdtsc();

	for (unsigned i = 0; i < n; i++) {
		look_up(c, place, frames);
		check(c, place, frames);
		count(c, place, frames);
	}
	start = __rdtsc() - start;
	return (double)(start + (c->wrong != 0)) / n / BURST;
}
