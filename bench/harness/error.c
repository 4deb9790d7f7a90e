/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "bench/harness/progress.h"

void
bench_error(const char *why, const char *advice, const char *what, ...)
{
	va_list args;

	progress_clear();
	fputs("sluice-bench: ", stderr);
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	if (why != NULL)
		fprintf(stderr, ": %s", why);
	fputc('\n', stderr);
	if (advice != NULL)
		fprintf(stderr, "  %s\n", advice);
}
