/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_LEN 512 /* bytes of one sentence, with its zero */

void
notes_add(struct notes *notes, const char *format, ...)
{
	char text[NOTE_LEN];
	va_list args;

	if (notes == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	for (size_t i = 0; i < notes->n; i++)
		if (strcmp(notes->text[i], text) == 0)
			return;
	if (notes->n < NOTES_MAX)
		notes->text[notes->n] = strdup(text);
	if (notes->n == NOTES_MAX || notes->text[notes->n] == NULL) {
		notes->n_left_out++;
		return;
	}
	notes->n++;
}

void
notes_clear(struct notes *notes)
{
	for (size_t i = 0; i < notes->n; i++)
		free(notes->text[i]);
	memset(notes, 0, sizeof(*notes));
}
