/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/doctor_finding.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_LEN 512

void
doctor_find(struct doctor *d,
	const char *check,
	bool is_error,
	const char *fix,
	const char *format,
	...)
{
	char what[TEXT_LEN];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	json_array_append_new(
		d->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "severity",
				     is_error ? "error" : "warning", "what", what, "fix", fix));
}
