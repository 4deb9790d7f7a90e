/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/number.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/harness/error.h"

int
number_option(const char *name, const char *text, double least, double most, double *ret)
{
	char *end = NULL;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end != text && (*end == 'k' || *end == 'K')) {
		value *= 1e3;
		end++;
	} else if (end != text && *end == 'M') {
		value *= 1e6;
		end++;
	}
	if (end == text || *end != '\0' || errno != 0 || !(value >= least && value <= most)) {
		char advice[128];

		snprintf(advice, sizeof(advice), "give a number from %.10g to %.10g", least, most);
		bench_error("no such number", advice, "--%s %s", name, text);
		return -1;
	}
	*ret = value;
	return 0;
}
