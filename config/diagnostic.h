/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list of what is wrong with a file: bounded, in the order of the file's lines, one text line
 * each: "file:line:column: what; why; what to do".  Warnings have "warning: " before the text.
 *
 * Owner: embedded in whoever reads a file; diagnostics_fini() frees.  Thread: any, one at a time.
 */
#ifndef CONFIG_DIAGNOSTIC_H
#define CONFIG_DIAGNOSTIC_H

#include <stdbool.h>
#include <stddef.h>

#define DIAGNOSTICS_MAX 50 /* errors kept, and as many warnings; the others are only counted */

struct diagnostic {
	int line, column;
	size_t number; /* order of arrival, so that sorting is stable */
	bool is_warning;
	char *text;
};

struct diagnostics {
	const char *path; /* borrowed */
	struct diagnostic items[2 * DIAGNOSTICS_MAX];
	size_t n_items;
	size_t n_errors, n_warnings; /* all, also those that were not kept */
	bool out_of_memory;
};

/* A value from the file, cut to what fits into a message.  Never for anything secret. */
struct shown {
	char text[72];
};

/* `path` is borrowed until diagnostics_fini(). */
void diagnostics_init(struct diagnostics *d, const char *path);
void diagnostics_fini(struct diagnostics *d);

/* Lines and columns count from 1.  `format` makes "what; why; what to do", without a full stop. */
void diagnostics_error(struct diagnostics *d, int line, int column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void diagnostics_warning(struct diagnostics *d, int line, int column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether another error would only be counted: an expensive text need not be made. */
bool diagnostics_are_full(const struct diagnostics *d);

/*
 * All lines, sorted by place, as one text on the heap (the caller frees it), or NULL when there
 * are none.  Returns 0 or -ENOMEM (also when a text could not be made earlier).
 */
[[nodiscard]] int diagnostics_text(struct diagnostics *d, char **ret_text);

/* The first bytes of a text of the file, whole characters only, with "..." if it was cut. */
struct shown shown(const char *text);

#endif
