/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/gate.h"

#include <stdlib.h>
#include <string.h>

#define BOUND_STEP 0.001 // ratios are written with three digits

static const char *
text(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL ? s : "";
}

static bool
is_model(const json_t *entry, const struct gate_place *place)
{
	return json_integer_value(json_object_get(entry, "family")) == place->family &&
	       json_integer_value(json_object_get(entry, "model")) == place->model &&
	       strcmp(text(entry, "class"), place->class) == 0;
}

// "gcc" of "gcc 12.2.0".
static bool
is_compiler(const json_t *entry, const struct gate_place *place)
{
	size_t len = strcspn(place->compiler, " ");

	return strncmp(text(entry, "compiler"), place->compiler, len) == 0 &&
	       strcspn(text(entry, "compiler"), " ") == len;
}

const json_t *
gate_entry(const json_t *baseline, const struct gate_place *place, bool *ret_is_own)
{
	const json_t *machines = json_object_get(baseline, "machines"), *entry, *best = NULL;
	int best_rank = -1;
	size_t i;

	json_array_foreach(machines, i, entry)
	{
		int rank = is_model(entry, place)                            ? 4
		           : strcmp(text(entry, "class"), place->class) == 0 ? 2
		                                                             : 0;

		rank += is_compiler(entry, place);
		if (rank > best_rank) {
			best_rank = rank;
			best = entry;
		}
	}
	*ret_is_own = best_rank == 5;
	return best;
}

static json_t *
rows_json(const struct gate_figure *figures, size_t n)
{
	json_t *rows = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(rows, figures[i].row,
			json_pack(
				"{s:f, s:f}", "path", figures[i].path, "whole", figures[i].whole));
	return rows;
}

json_t *
gate_with_entry(const json_t *baseline,
	const struct gate_place *place,
	const struct gate_figure *figures,
	size_t n)
{
	json_t *machines = json_array();
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(baseline, "machines"), i, entry)
	{
		if (!is_model(entry, place) || !is_compiler(entry, place))
			json_array_append_new(machines, json_deep_copy(entry));
	}
	json_array_append_new(machines,
		json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:o}", "cpu", place->cpu, "family",
			place->family, "model", place->model, "class", place->class, "compiler",
			place->compiler, "aead", place->aead, "rows", rows_json(figures, n)));
	return json_pack("{s:s, s:o}", "schema", GATE_SCHEMA, "machines", machines);
}

static bool
judge_one(const char *row, const char *what, double now, double before, double bound, FILE *out)
{
	bool is_over = now > before * bound + BOUND_STEP;

	if (out != NULL)
		fprintf(out, "  %-18s %-6s %7.3f  baseline %7.3f  %+6.1f %%  bound %+.0f %%  %s\n",
			row, what, now, before, (now / before - 1) * 100, (bound - 1) * 100,
			is_over ? "TOO SLOW" : "ok");
	return is_over;
}

unsigned
gate_judge(const json_t *entry,
	bool is_own,
	const struct gate_place *place,
	const struct gate_figure *figures,
	size_t n,
	FILE *out)
{
	double bound = is_own ? GATE_BOUND : GATE_BOUND_FOREIGN;
	bool same_aead = strcmp(text(entry, "aead"), place->aead) == 0;
	unsigned n_over = 0;

	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_object_get(json_object_get(entry, "rows"), figures[i].row);
		double path = json_number_value(json_object_get(row, "path"));
		double whole = json_number_value(json_object_get(row, "whole"));

		if (path > 0)
			n_over += judge_one(
				figures[i].row, "path", figures[i].path, path, bound, out);
		if (whole > 0 && same_aead)
			n_over += judge_one(
				figures[i].row, "whole", figures[i].whole, whole, bound, out);
	}
	return n_over;
}
