/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/micro/crypto_table.h"

#include <stdio.h>
#include <string.h>

#include "bench/micro/crypto_measure.h"

static double
number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static const char *
text(const json_t *o, const char *name)
{
	const char *t = json_string_value(json_object_get(o, name));

	return t != NULL ? t : "";
}

static const json_t *
axes(const json_t *trial)
{
	return json_object_get(trial, "axes");
}

static const json_t *
result(const json_t *trial)
{
	return json_object_get(trial, "result");
}

static const json_t *
cycles(const json_t *trial)
{
	return json_object_get(result(trial), "cycles");
}

// Do two trials differ by nothing but, where it is given, what the name says?
static bool
is_beside(const json_t *a, const json_t *b, const char *but)
{
	static const char *const names[] = { "backend", "direction", "size", "burst", "keys",
		"working_set_bytes" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], but) != 0 && !json_equal(json_object_get(axes(a), names[i]),
							  json_object_get(axes(b), names[i])))
			return false;
	return true;
}

// The trial of this cell by that cipher; NULL: it is not there.
static const json_t *
by(const json_t *trials, const json_t *cell, const char *backend)
{
	const json_t *t;
	size_t i;

	json_array_foreach(trials, i, t)
	{
		if (strcmp(text(axes(t), "backend"), backend) == 0 && is_beside(t, cell, "backend"))
			return t;
	}
	return NULL;
}

static void
print_machine(const json_t *trial)
{
	const json_t *m = json_object_get(trial, "machine");

	printf("T0: core cycles per packet, one core.  %s (%s), core %.2f GHz / TSC %.2f GHz = "
	       "%.3f\n",
		text(m, "cpu"), text(m, "class"), number(m, "core_ghz"), number(m, "tsc_ghz"),
		number(m, "core_per_tsc"));
	printf("Best of many samples of 64 packets or more; behind it how far the median is "
	       "above.\n"
	       "openssl: one context per key, made beforehand.  Mpps and Gbit/s: of the best, at "
	       "the core clock of that row.\n");
}

static void
size_text(const json_t *trial, char *out, size_t size)
{
	const json_t *s = json_object_get(axes(trial), "size");

	if (json_is_string(s))
		snprintf(out, size, "mix");
	else
		snprintf(out, size, "%lld", (long long)json_integer_value(s));
}

// --- a row for each cell -------------------------------------------------------------------------

struct columns {
	size_t n;
	const char *name[SUBJECTS_MAX];
};

static void
find_columns(const json_t *trials, struct columns *c)
{
	const json_t *t;
	size_t i;

	*c = (struct columns){};
	json_array_foreach(trials, i, t)
	{
		const char *name = text(axes(t), "backend");
		bool is_new = true;

		for (size_t j = 0; j < c->n; j++)
			is_new &= strcmp(c->name[j], name) != 0;
		if (is_new && c->n < SUBJECTS_MAX)
			c->name[c->n++] = name;
	}
}

static void
print_title(const json_t *trial, const struct columns *c)
{
	size_t bytes = (size_t)number(axes(trial), "working_set_bytes");

	printf("\n%s, %g key%s, ", text(axes(trial), "direction"), number(axes(trial), "keys"),
		number(axes(trial), "keys") == 1 ? "" : "s");
	if (bytes > 0)
		printf("%zu MiB of packets in turn\n", bytes >> 20);
	else
		printf("warm buffers\n");
	printf("%6s %5s", "bytes", "burst");
	for (size_t i = 0; i < c->n; i++)
		printf(" %14s", c->name[i]);
	printf("  %s/library    Mpps  Gbit/s\n", c->name[0]);
}

static void
print_cell(const json_t *trials, const json_t *first, const struct columns *c)
{
	const json_t *ratio = json_object_get(result(first), "ratio_to_library");
	char size[16];

	size_text(first, size, sizeof(size));
	printf("%6s %5g", size, number(axes(first), "burst"));
	for (size_t i = 0; i < c->n; i++) {
		const json_t *t = by(trials, first, c->name[i]);
		double best = number(cycles(t), "best");

		if (t == NULL || best <= 0)
			printf(" %14s", "-");
		else
			printf(" %8.0f +%3.0f%%", best,
				100 * (number(cycles(t), "median") / best - 1));
	}
	if (json_is_number(ratio))
		printf("  %*.2f", (int)strlen(c->name[0]) + 8, json_number_value(ratio));
	else
		printf("  %*s", (int)strlen(c->name[0]) + 8, "-");
	printf(" %7.2f %7.2f\n", number(result(first), "mpps"), number(result(first), "gbit_s"));
}

// The first in the list of those that are like it in all but size, burst and cipher.
static bool
begins_table(const json_t *trials, size_t at)
{
	const json_t *t = json_array_get(trials, at);

	for (size_t i = 0; i < at; i++) {
		const json_t *o = json_array_get(trials, i);

		if (json_equal(json_object_get(axes(t), "direction"),
			    json_object_get(axes(o), "direction")) &&
			json_equal(json_object_get(axes(t), "working_set_bytes"),
				json_object_get(axes(o), "working_set_bytes")))
			return false;
	}
	return true;
}

static bool
is_in_table(const json_t *t, const json_t *head)
{
	return json_equal(json_object_get(axes(t), "direction"),
		       json_object_get(axes(head), "direction")) &&
	       json_equal(json_object_get(axes(t), "working_set_bytes"),
		       json_object_get(axes(head), "working_set_bytes"));
}

static void
print_table(const json_t *trials, const json_t *head, const struct columns *c)
{
	const json_t *t;
	size_t i;

	print_title(head, c);
	json_array_foreach(trials, i, t)
	{
		if (is_in_table(t, head) && strcmp(text(axes(t), "backend"), c->name[0]) == 0)
			print_cell(trials, t, c);
	}
}

static void
print_mixes(const json_t *trials)
{
	const json_t *t;
	bool has_title = false;
	size_t i;

	json_array_foreach(trials, i, t)
	{
		if (!json_is_string(json_object_get(axes(t), "size")))
			continue;
		if (!has_title)
			printf("\nmix of %s in random order: what it costs over the sum of its "
			       "sizes measured alone\n%12s %5s %5s %8s %8s %8s %8s\n",
				text(axes(t), "size"), "", "", "burst", "mix", "singles", "excess",
				"median");
		has_title = true;
		printf("%12s %5s %5g %8.0f %8.0f %+7.1f%% %+7.1f%%\n", text(axes(t), "backend"),
			text(axes(t), "direction"), number(axes(t), "burst"),
			number(cycles(t), "best"), number(result(t), "sum_of_singles"),
			100 * number(result(t), "excess"),
			100 * number(result(t), "excess_median"));
	}
}

static void
print_cells(const json_t *trials)
{
	struct columns columns;
	size_t n = json_array_size(trials);

	find_columns(trials, &columns);
	for (size_t i = 0; i < n; i++)
		if (begins_table(trials, i))
			print_table(trials, json_array_get(trials, i), &columns);
}

// --- a row for each trial ------------------------------------------------------------------------

static void
print_rows(const json_t *trials)
{
	const json_t *t;
	size_t i;

	printf("\n%-36s %9s %9s %9s %9s %6s %8s %8s %8s\n", "", "best", "median", "p10", "p90",
		"c/B", "Mpps", "Gbit/s", "/library");
	json_array_foreach(trials, i, t)
	{
		const json_t *ratio = json_object_get(result(t), "ratio_to_library");

		printf("%-36s %9.1f %9.1f %9.1f %9.1f %6.3f %8.3f %8.2f", text(t, "key"),
			number(cycles(t), "best"), number(cycles(t), "median"),
			number(cycles(t), "p10"), number(cycles(t), "p90"),
			number(result(t), "cycles_per_byte"), number(result(t), "mpps"),
			number(result(t), "gbit_s"));
		if (json_is_number(ratio))
			printf(" %8.3f\n", json_number_value(ratio));
		else
			puts("        -");
	}
}

void
crypto_table_print(const json_t *trials, bool with_rows)
{
	if (json_array_size(trials) == 0)
		return;
	print_machine(json_array_get(trials, 0));
	if (with_rows)
		print_rows(trials);
	else
		print_cells(trials);
	print_mixes(trials);
}
