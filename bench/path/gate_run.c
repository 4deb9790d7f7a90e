/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The gate's measuring: rows and the calibration loop in turns.
 */

#include <stdlib.h>
#include <string.h>

#include "bench/command.h"
#include "bench/harness/clock.h"
#include "bench/harness/machine.h"
#include "bench/harness/run.h"
#include "bench/path/calibration.h"
#include "bench/path/gate.h"
#include "bench/path/measure.h"
#include "bench/path/plan.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"

#define ROW_SECONDS        0.4
#define VOLLEYS_PER_SAMPLE 8  // of a row between two samples of the loop
#define CALIBRATION_BURSTS 20 // of a sample: some 30 us

struct turns {
	struct calibration *calibration;
	double best; // ticks per unit
	unsigned n;
};

// Between volleys.
static bool
calibrate(void *context)
{
	struct turns *t = context;

	if (t->n++ % VOLLEYS_PER_SAMPLE == 0) {
		double ticks = calibration_run(t->calibration, CALIBRATION_BURSTS);

		if (ticks < t->best)
			t->best = ticks;
	}
	return false;
}

static int
measure_one(const struct measure_row *row,
	struct calibration *calibration,
	struct measure_result *result,
	struct gate_figure *ret_figure)
{
	struct turns turns = { .calibration = calibration, .best = 1e9 };
	// A core that runs at the TSC's rate: cycles are ticks then, and the clock is left out.
	struct bench_clock ticks = { .tsc_ghz = 1, .core_ghz = 1 };
	int err = measure_run(row, &ticks, calibrate, &turns, result);

	if (err < 0)
		return err;
	snprintf(ret_figure->row, sizeof(ret_figure->row), "%.15s/%.4s/%u",
		measure_direction_names[row->direction], row->sizes->text, row->world.n_peers);
	ret_figure->path = samples_best(&result->path) / turns.best;
	ret_figure->whole = samples_best(&result->whole) / turns.best;
	return 0;
}

static int
attempt(const struct plan *plan, struct calibration *calibration, struct gate_figure *best)
{
	struct measure_result *result = malloc(sizeof(*result));
	int err = result != NULL ? 0 : -1;

	for (uint32_t i = 0; i < plan->n_rows && err == 0; i++) {
		struct gate_figure now;

		err = measure_one(&plan->rows[i], calibration, result, &now);
		if (err < 0)
			break;
		memcpy(best[i].row, now.row, sizeof(now.row));
		if (best[i].path == 0 || now.path < best[i].path)
			best[i].path = now.path;
		if (best[i].whole == 0 || now.whole < best[i].whole)
			best[i].whole = now.whole;
	}
	free(result);
	return err;
}

static bool
make_plan(struct plan *plan)
{
	struct plan_axes axes = {
		.directions = { MEASURE_INBOUND, MEASURE_OUTBOUND },
		.n_directions = 2,
		.peers = { 1, 1000 },
		.n_peers = 2,
		.ms = (uint32_t)(ROW_SECONDS * 1000),
	};
	const char *why;

	return plan_make(plan, &axes, &why) && plan->n_rows == GATE_ROWS;
}

static const char *
text(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL ? s : "?";
}

static int
judge(const json_t *baseline,
	const struct gate_place *place,
	const struct plan *plan,
	struct calibration *calibration)
{
	struct gate_figure figures[GATE_ROWS] = {};
	const json_t *entry;
	bool is_own;
	unsigned n_over = 1;

	entry = gate_entry(baseline, place, &is_own);
	if (entry == NULL) {
		bench_error("it has no machine's figures", "make them with --gate-write FILE",
			"baseline");
		return BENCH_FAILED;
	}
	printf("gate: %s, %s, against figures of %s, %s%s\n", place->cpu, place->compiler,
		text(entry, "cpu"), text(entry, "compiler"),
		is_own ? "" : ": another model or compiler, so only a gross loss is found");
	for (unsigned i = 0; i < GATE_ATTEMPTS && n_over > 0; i++) {
		if (attempt(plan, calibration, figures) < 0)
			return BENCH_FAILED;
		n_over = gate_judge(entry, is_own, place, figures, GATE_ROWS, NULL);
		if (n_over > 0 && i + 1 < GATE_ATTEMPTS)
			printf("gate: attempt %u: %u beyond the bound, once more\n", i + 1, n_over);
	}
	gate_judge(entry, is_own, place, figures, GATE_ROWS, stdout);
	fflush(stdout); // the verdict comes last
	if (n_over > 0)
		bench_error("see the lines above",
			"find it with sluice-bench path, by step; if it is meant, --gate-write a "
			"new "
			"baseline",
			"the packet path has become slower");
	return n_over > 0 ? BENCH_FAILED : BENCH_OK;
}

static int
write_baseline(const char *file,
	const json_t *baseline,
	const struct gate_place *place,
	const struct plan *plan,
	struct calibration *calibration)
{
	struct gate_figure figures[GATE_ROWS] = {};
	json_t *changed;
	int err = 0;

	for (unsigned i = 0; i < GATE_ATTEMPTS && err == 0; i++)
		err = attempt(plan, calibration, figures);
	if (err < 0)
		return BENCH_FAILED;
	changed = gate_with_entry(baseline, place, figures, GATE_ROWS);
	err = changed != NULL
	              ? json_dump_file(changed, file, JSON_INDENT(2) | JSON_REAL_PRECISION(4))
	              : -1;
	json_decref(changed);
	if (err < 0) {
		bench_error("it cannot be written", "choose another place", "%s", file);
		return BENCH_FAILED;
	}
	printf("gate: baseline of %s written to %s\n", place->cpu, file);
	return BENCH_OK;
}

static int
run_at(const char *file, bool write, const json_t *baseline, const struct gate_place *place)
{
	static struct plan plan; // large
	struct calibration *calibration;
	int status;

	if (!make_plan(&plan) || calibration_create(&calibration) < 0)
		return BENCH_FAILED;
	status = write ? write_baseline(file, baseline, place, &plan, calibration)
	               : judge(baseline, place, &plan, calibration);
	calibration_destroy(calibration);
	return status;
}

// The preferred back end for everything, unless one is forced already: what a few milliseconds of
// timing choose on a busy machine may differ from run to run.
static int
fix_cipher(void)
{
	const struct aead_choice *choice = aead_choice();
	const char *name = NULL;

	for (size_t i = choice->n_candidates; i-- > 0;)
		if (choice->candidates[i].presence == AEAD_WORKS)
			name = choice->candidates[i].name;
	if (choice->reason == AEAD_FORCED || name == NULL)
		return 0;
	setenv("SLUICE_AEAD", name, 1);
	return aead_init(NULL);
}

int
gate_run(const char *file, bool write)
{
	json_error_t error = {};
	json_t *baseline = json_load_file(file, 0, &error);
	struct bench_clock clock;
	json_t *machine, *build;
	struct gate_place place;
	int status;

	if (!write && (baseline == NULL || strcmp(text(baseline, "schema"), GATE_SCHEMA) != 0)) {
		bench_error(baseline == NULL ? error.text : "it is no baseline of the gate",
			"name the file that --gate-write made", "%s", file);
		json_decref(baseline);
		return BENCH_FAILED;
	}
	if (fix_cipher() < 0) {
		json_decref(baseline);
		return BENCH_FAILED;
	}
	bench_clock_init(&clock);
	machine = bench_machine(&clock);
	build = bench_build();
	place = (struct gate_place){
		.cpu = text(machine, "cpu"),
		.class = text(machine, "class"),
		.compiler = text(build, "compiler"),
		.aead = aead_backend(),
		.family = (int)json_integer_value(json_object_get(machine, "family")),
		.model = (int)json_integer_value(json_object_get(machine, "model")),
	};
	status = run_at(file, write, baseline, &place);
	json_decref(machine);
	json_decref(build);
	json_decref(baseline);
	return status;
}
