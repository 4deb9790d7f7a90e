/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/crypto_measure.h"

#include <errno.h>
#include <stdio.h>
#include <x86intrin.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

#define SLICE_NS \
	(4 * NS_PER_MS) // shorter than what a scheduler gives, longer than the clock's measuring
#define SLICE_MIN_NS (NS_PER_MS / 4)
#define TURNS        8 // at least so many, if time allows

const char *const direction_names[DIRECTIONS] = { "seal", "open" };

struct cell_run {
	struct crypto_measure *m;
	uint32_t n_loads;
	struct load loads[PLAN_LOADS_MAX];
	struct crypto_samples *samples;
	struct bench_clock clocks[SUBJECTS_MAX];
};

static uint64_t
ticks(void)
{
	uint64_t t;

	_mm_lfence(); // what was begun is done, what follows has not begun
	t = __rdtsc();
	_mm_lfence();
	return t;
}

// --- are they right? -----------------------------------------------------------------------------

static bool
is_opened(const struct load *load, const struct aead_job *jobs)
{
	for (uint32_t i = 0; i < load->chunk; i++) {
		if (!jobs[i].ok)
			return false;
		for (uint32_t j = 0; j < jobs[i].len; j++)
			if (jobs[i].data[j] != LOAD_BYTE)
				return false;
	}
	return true;
}

// What one sealed the other opens, and the other way round.
static bool
agree(const struct load *load, const struct subject *a, const struct subject *b)
{
	static struct aead_job jobs[LOAD_CHUNK_MAX];

	load_jobs(load, 0, jobs);
	for (uint32_t i = 0; i < load->chunk; i += load->burst)
		a->seal(jobs + i, load->burst);
	for (uint32_t i = 0; i < load->chunk; i++)
		jobs[i].ok = false;
	for (uint32_t i = 0; i < load->chunk; i += load->burst)
		b->open(jobs + i, load->burst);
	return is_opened(load, jobs);
}

static int
check_subjects(const struct cell_run *c, const struct load *load)
{
	const struct subject *oracle = subject_oracle();

	load_fill(load);
	for (size_t i = 0; i < c->m->n_subjects; i++) {
		const struct subject *s = &c->m->subjects[i];

		if (agree(load, s, oracle) && agree(load, oracle, s))
			continue;
		bench_error("it does not agree with libsodium",
			"Leave it out (--only), and report this.", "%s, packets of %s bytes",
			s->name, load->sizes->text);
		return ERR_BAD_MAC;
	}
	return 0;
}

// --- measuring -----------------------------------------------------------------------------------

static void
time_pass(const struct load *load,
	void (*work)(struct aead_job *jobs, size_t n),
	struct samples *samples)
{
	static struct aead_job jobs[LOAD_CHUNK_MAX];

	for (uint32_t first = 0; first < load->n_packets; first += load->chunk) {
		uint64_t begin;

		load_jobs(load, first, jobs);
		begin = ticks();
		for (uint32_t i = 0; i < load->chunk; i += load->burst)
			work(jobs + i, load->burst);
		samples_add(samples, (double)(ticks() - begin) / load->chunk);
	}
}

// The first pass only fetches code, keys and buffers: they are this cipher's again.
static void
warm_up(const struct load *load, const struct subject *s)
{
	static struct samples unused;

	unused.n = 0;
	time_pass(load, s->seal, &unused);
	time_pass(load, s->open, &unused);
}

static void
slice(struct cell_run *c, size_t subject, uint32_t number, int64_t ns)
{
	const struct subject *s = &c->m->subjects[subject];
	const struct load *load = &c->loads[number];
	struct samples *samples = c->samples[subject * c->n_loads + number].direction;
	struct mono begin;

	if (load->n_packets <= load->chunk * 4)
		warm_up(load, s);
	begin = mono_now();
	do {
		time_pass(load, s->seal, &samples[SEAL]);
		time_pass(load, s->open, &samples[OPEN]);
	} while (mono_diff_ns(mono_now(), begin) < ns && !bench_run_is_stopped(c->m->run));
	bench_clock_again(&c->clocks[subject]);
}

// Every cipher once, with every load.
static void
turn(struct cell_run *c, int64_t slice_ns, const char *what)
{
	for (size_t i = 0; i < c->m->n_subjects; i++)
		for (uint32_t j = 0; j < c->n_loads; j++) {
			if (bench_run_is_stopped(c->m->run))
				return;
			slice(c, i, j, slice_ns);
			bench_run_progress(c->m->run, what, c->m->subjects[i].name);
		}
}

static void
take_turns(struct cell_run *c, const struct crypto_cell *cell, double seconds)
{
	struct mono end = mono_add_ns(mono_now(), (int64_t)(seconds * NS_PER_S));
	int64_t ns =
		(int64_t)(seconds * NS_PER_S / TURNS) / (int64_t)(c->m->n_subjects * c->n_loads);
	char what[320];

	snprintf(what, sizeof(what), "%s B, burst %u%s", cell->loads[0].text, cell->burst,
		cell->working_set_bytes > 0 ? ", in turn" : "");
	ns = ns > SLICE_NS ? SLICE_NS : ns < SLICE_MIN_NS ? SLICE_MIN_NS : ns;
	do
		turn(c, ns, what);
	while (mono_diff_ns(end, mono_now()) > 0 && !bench_run_is_stopped(c->m->run));
}

/*
 * Ticks become core cycles by the fastest clock seen around this cipher's slices (wide vectors may
 * slow a core down).  What a measured clock can be wrong by, it is too low: one for each slice
 * would make the best of many a mixture of fast packets and slow clocks.  So the median is rather
 * too high where the clock changes, never the best too low.
 */
static void
to_cycles(struct cell_run *c)
{
	double tsc_ghz = bench_run_clock(c->m->run)->tsc_ghz;

	for (size_t i = 0; i < c->m->n_subjects; i++) {
		double factor = c->clocks[i].core_ghz / tsc_ghz;

		c->m->core_ghz[i] = c->clocks[i].core_ghz;
		for (uint32_t j = 0; j < c->n_loads * DIRECTIONS; j++) {
			struct samples *s = &c->samples[i * c->n_loads + j / DIRECTIONS]
			                             .direction[j % DIRECTIONS];

			for (size_t k = 0; k < s->n; k++)
				s->value[k] *= factor;
		}
	}
}

static int
make_loads(struct cell_run *c, const struct crypto_cell *cell, struct load_arena *arena)
{
	size_t most = 0;
	int err;

	for (uint32_t i = 0; i < cell->n_loads; i++) {
		load_init(&c->loads[i], &cell->loads[i], cell->burst, c->m->n_keys,
			cell->working_set_bytes, arena);
		if (load_size(&c->loads[i]) > most)
			most = load_size(&c->loads[i]);
	}
	err = load_arena_create(arena, most);
	if (err < 0)
		bench_error(err_str(err), "Give a smaller --working-set.", "%zu MiB of packets",
			most >> 20);
	return err;
}

int
crypto_measure_cell(struct crypto_measure *m,
	const struct crypto_cell *cell,
	double seconds,
	struct crypto_samples *samples)
{
	struct cell_run c = { .m = m, .n_loads = cell->n_loads, .samples = samples };
	struct load_arena arena = {};
	int err = make_loads(&c, cell, &arena);

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < c.n_loads && err == 0; i++)
		err = check_subjects(&c, &c.loads[i]);
	if (err == 0) {
		take_turns(&c, cell, seconds);
		to_cycles(&c);
		if (bench_run_is_stopped(m->run))
			err = -EINTR;
	}
	load_arena_destroy(&arena);
	return err;
}
