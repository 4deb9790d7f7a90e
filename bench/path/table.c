/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/table.h"

#include <stdio.h>
#include <string.h>

#include "bench/path/measure.h"

static double
number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static const char *
text(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s != NULL ? s : "";
}

// "direction  bytes  peers" of a trial.
static void
print_axes(const json_t *axes)
{
	char sizes[16], active[24] = "";
	const char *all = text(axes, "sizes");

	snprintf(sizes, sizeof(sizes), "%.*s", (int)strcspn(all, " "), all);
	if (number(axes, "active_peers") != number(axes, "peers"))
		snprintf(active, sizeof(active), "/%.0f", number(axes, "active_peers"));
	printf("%-12s %5s %6.0f%-6s %-7s", text(axes, "direction"), sizes, number(axes, "peers"),
		active, text(axes, "popularity"));
}

static void
print_extras(const json_t *axes)
{
	if (number(axes, "burst") != BURST_MAX)
		printf("  burst %.0f", number(axes, "burst"));
	if (number(axes, "prefixes") != 1)
		printf("  prefixes %.0f", number(axes, "prefixes"));
	if (number(axes, "rekeys_per_s") != 0)
		printf("  rekeys %.0f/s", number(axes, "rekeys_per_s"));
	if (number(axes, "filter_rules") != 0)
		printf("  rules %.0f", number(axes, "filter_rules"));
	if (number(axes, "nat_flows") != 0)
		printf("  flows %.0f", number(axes, "nat_flows"));
	if (json_is_true(json_object_get(axes, "shared")))
		printf("  shared");
	if (strcmp(text(axes, "lines"), "left") != 0)
		printf("  lines %s", text(axes, "lines"));
}

static void
print_rows(const json_t *trials)
{
	const json_t *trial;
	size_t i;

	printf("T1: core cycles per packet of the stages, no network card (this is no throughput)\n"
	       "                   inner                        path: stages alone      AEAD   "
	       "card's     whole  core\n"
	       "direction          bytes  peers/active         best median    p90   median  "
	       "driver*   median   GHz\n");
	json_array_foreach(trials, i, trial)
	{
		const json_t *result = json_object_get(trial, "result");
		const json_t *path = json_object_get(result, "path");

		print_axes(json_object_get(trial, "axes"));
		printf("       %6.1f %6.1f %6.1f   %6.1f   %6.1f   %6.1f  %4.2f",
			number(path, "best"), number(path, "median"), number(path, "p90"),
			number(json_object_get(result, "aead"), "median"),
			number(json_object_get(result, "ports"), "median"),
			number(json_object_get(result, "whole"), "median"),
			number(result, "core_ghz"));
		print_extras(json_object_get(trial, "axes"));
		printf("\n");
	}
	printf("* of a synthetic card: descriptors, outer headers, buffers.  AEAD by %s.\n",
		text(json_object_get(json_array_get(trials, 0), "result"), "aead_backend"));
}

static bool
has_links(const json_t *trials)
{
	const json_t *trial;
	size_t i;

	json_array_foreach(trials, i, trial)
	{
		if (number(json_object_get(trial, "axes"), "nat_flows") != 0)
			return true;
	}
	return false;
}

static void
print_steps_of(const json_t *trials, enum measure_direction direction, bool has_link)
{
	const char *name = measure_direction_names[direction];
	bool any = false;
	const json_t *trial;
	size_t i;

	json_array_foreach(trials, i, trial)
	{
		const json_t *axes = json_object_get(trial, "axes");
		const json_t *steps = json_object_get(json_object_get(trial, "result"), "steps");

		if (strcmp(text(axes, "direction"), name) != 0)
			continue;
		if (!any) {
			printf("\n%s, by step: median (best)\n", name);
			printf("%-40s", "");
			for (unsigned s = 0; s < N_PATH_STEPS; s++)
				if (measure_has_step(direction, has_link, s))
					printf(" %14s", measure_step_names[s]);
			printf("\n");
			any = true;
		}
		print_axes(axes);
		for (unsigned s = 0; s < N_PATH_STEPS; s++) {
			const json_t *step = json_object_get(steps, measure_step_names[s]);

			if (measure_has_step(direction, has_link, s))
				printf(" %6.1f (%5.1f)", number(step, "median"),
					number(step, "best"));
		}
		printf("\n");
	}
}

void
table_print(const json_t *trials)
{
	if (json_array_size(trials) == 0)
		return;
	print_rows(trials);
	for (unsigned d = 0; d < MEASURE_DIRECTIONS; d++)
		print_steps_of(trials, d, has_links(trials));
}

// The trial like this one, but with one peer; NULL: none.
static const json_t *
with_one_peer(const json_t *trials, const json_t *axes)
{
	const json_t *trial;
	size_t i;

	json_array_foreach(trials, i, trial)
	{
		const json_t *other = json_object_get(trial, "axes");

		if (number(other, "peers") == 1 &&
			strcmp(text(other, "direction"), text(axes, "direction")) == 0 &&
			strcmp(text(other, "sizes"), text(axes, "sizes")) == 0 &&
			strcmp(text(other, "popularity"), text(axes, "popularity")) == 0)
			return trial;
	}
	return NULL;
}

void
table_print_growth(const json_t *trials)
{
	const json_t *trial;
	size_t i;

	printf("\nwhat more peers cost: path cycles per packet above those with one peer\n"
	       "%-40s    best  median   loading, s\n",
		"");
	json_array_foreach(trials, i, trial)
	{
		const json_t *axes = json_object_get(trial, "axes");
		const json_t *result = json_object_get(trial, "result");
		const json_t *path = json_object_get(result, "path"), *one;

		one = json_object_get(
			json_object_get(with_one_peer(trials, axes), "result"), "path");
		if (one == NULL || number(axes, "peers") == 1)
			continue;
		print_axes(axes);
		printf("  %+6.1f  %+6.1f   %10.2f\n", number(path, "best") - number(one, "best"),
			number(path, "median") - number(one, "median"), number(result, "load_s"));
	}
}
