/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = { "err", "warning", "notice", "info", "debug" };

// syslog priorities, for the "<N>" prefix that journald understands
static const int level_priority[] = { 3, 4, 5, 6, 7 };

static const char *program_name = "sluice";
static enum log_level max_level = LOG_LEVEL_NOTICE;
static bool to_journal;

void
log_init(const char *program, enum log_level max)
{
	const char *wanted = getenv("SLUICE_LOG");

	program_name = program;
	max_level = max;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
	for (int i = 0; wanted != NULL && i <= LOG_LEVEL_DEBUG; i++)
		if (strcmp(wanted, level_names[i]) == 0)
			max_level = (enum log_level)i;
}

void
log_line(enum log_level level, const char *tag, const char *format, ...)
{
	char line[1024];
	size_t at = 0, text;
	va_list args;
	int n;

	if (level > max_level)
		return;
	if (to_journal)
		n = snprintf(line, sizeof(line), "<%d>%s: ", level_priority[level], tag);
	else
		n = snprintf(
			line, sizeof(line), "%s[%s] %s: ", program_name, level_names[level], tag);
	at = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;

	text = at;
	va_start(args, format);
	n = vsnprintf(line + at, sizeof(line) - at, format, args);
	va_end(args);
	if (n > 0)
		at += (size_t)n < sizeof(line) - at ? (size_t)n : sizeof(line) - at - 1;
	// Names and reasons come from servers and peers: they do not get to write lines of their
	// own.
	for (size_t i = text; i < at; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[at < sizeof(line) - 1 ? at : sizeof(line) - 2] = '\n';
	at = at < sizeof(line) - 1 ? at + 1 : sizeof(line) - 1;

	// One write per line, so that lines of several processes do not mix.
	if (write(STDERR_FILENO, line, at) < 0)
		return; // nowhere left to say it
}
