/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/diagnostic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
diagnostics_init(struct diagnostics *d, const char *path)
{
	memset(d, 0, sizeof(*d));
	d->path = path;
}

void
diagnostics_fini(struct diagnostics *d)
{
	for (size_t i = 0; i < d->n_items; i++)
		free(d->items[i].text);
	d->n_items = 0;
}

bool
diagnostics_are_full(const struct diagnostics *d)
{
	return d->n_errors >= DIAGNOSTICS_MAX;
}

static void
add(struct diagnostics *d, bool is_warning, int line, int column, const char *format, va_list args)
{
	size_t *n = is_warning ? &d->n_warnings : &d->n_errors;
	struct diagnostic *item = &d->items[d->n_items];
	char *text;

	if ((*n)++ >= DIAGNOSTICS_MAX)
		return;
	if (vasprintf(&text, format, args) < 0) {
		d->out_of_memory = true;
		return;
	}
	*item = (struct diagnostic){
		.line = line,
		.column = column,
		.number = d->n_items++,
		.is_warning = is_warning,
		.text = text,
	};
}

void
diagnostics_error(struct diagnostics *d, int line, int column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(d, false, line, column, format, args);
	va_end(args);
}

void
diagnostics_warning(struct diagnostics *d, int line, int column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(d, true, line, column, format, args);
	va_end(args);
}

static int
by_place(const void *a, const void *b)
{
	const struct diagnostic *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void
write_items(const struct diagnostics *d, FILE *out)
{
	for (size_t i = 0; i < d->n_items; i++) {
		const struct diagnostic *item = &d->items[i];

		fprintf(out, "%s:%d:%d: %s%s\n", d->path, item->line, item->column,
			item->is_warning ? "warning: " : "", item->text);
	}
	if (d->n_errors > DIAGNOSTICS_MAX)
		fprintf(out, "%s:1:1: %zu more errors; only %d are listed; correct those first\n",
			d->path, d->n_errors - DIAGNOSTICS_MAX, DIAGNOSTICS_MAX);
	if (d->n_warnings > DIAGNOSTICS_MAX)
		fprintf(out,
			"%s:1:1: warning: %zu more warnings; only %d are listed; look at "
			"those first\n",
			d->path, d->n_warnings - DIAGNOSTICS_MAX, DIAGNOSTICS_MAX);
}

int
diagnostics_text(struct diagnostics *d, char **ret_text)
{
	char *text = NULL;
	size_t len;
	FILE *out;

	if (d->out_of_memory)
		return -ENOMEM;
	if (d->n_items == 0) {
		*ret_text = NULL;
		return 0;
	}
	qsort(d->items, d->n_items, sizeof(d->items[0]), by_place);
	out = open_memstream(&text, &len);
	if (out == NULL)
		return -ENOMEM;
	write_items(d, out);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	return 0;
}

struct shown
shown(const char *text)
{
	struct shown s;
	size_t len = strlen(text);
	size_t room = sizeof(s.text) - 1;

	if (len <= room) {
		memcpy(s.text, text, len + 1);
		return s;
	}
	len = room - 3;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--; // not through the middle of a UTF-8 character
	memcpy(s.text, text, len);
	memcpy(s.text + len, "...", 4);
	return s;
}
