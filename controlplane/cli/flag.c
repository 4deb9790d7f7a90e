/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/flag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

bool
flag_bool(const char *command, const char *name, const char *arg, bool *ret)
{
	static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
	static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };

	if (arg == NULL) {
		*ret = true;
		return true;
	}
	for (unsigned i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(arg, yes[i]) == 0 || strcmp(arg, no[i]) == 0) {
			*ret = strcmp(arg, yes[i]) == 0;
			return true;
		}
	}
	fprintf(stderr,
		"sluice %s: --%s=%s is not understood; it takes true or false; write --%s or "
		"--%s=false\n",
		command, name, arg, name, name);
	return false;
}

static int64_t
unit_ns(const char **text)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "ms", NS_PER_MS },
		{ "us", NS_PER_US },
		{ "ns", 1 },
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
	};

	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*text, units[i].name, len) == 0) {
			*text += len;
			return units[i].ns;
		}
	}
	return 0;
}

// One or more of number and unit, as Go's time.ParseDuration().
static bool
parse_duration(const char *text, int64_t *ret_ns)
{
	double sum = 0;

	if (strcmp(text, "0") == 0) {
		*ret_ns = 0;
		return true;
	}
	if (*text == '\0')
		return false;
	while (*text != '\0') {
		char number[32];
		size_t len = strspn(text, "0123456789.");
		int64_t unit;

		if (len == 0 || len >= sizeof(number))
			return false;
		memcpy(number, text, len);
		number[len] = '\0';
		text += len;
		unit = unit_ns(&text);
		if (unit == 0)
			return false;
		sum += strtod(number, NULL) * (double)unit;
		if (sum > (double)DAY_NS)
			return false;
	}
	*ret_ns = (int64_t)sum;
	return true;
}

bool
flag_duration(const char *command, const char *name, const char *arg, int64_t *ret_ns)
{
	if (parse_duration(arg, ret_ns))
		return true;
	fprintf(stderr,
		"sluice %s: --%s %s is not understood; it takes a duration of at most a day; write "
		"for example --%s 30s\n",
		command, name, arg, name);
	return false;
}

bool
flag_number(const char *command, const char *name, const char *arg, long min, long max, long *ret)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(arg, &end, 10);
	if (errno == 0 && end != arg && *end == '\0' && number >= min && number <= max) {
		*ret = number;
		return true;
	}
	fprintf(stderr, "sluice %s: %s %s is not understood; it takes a number from %ld to %ld\n",
		command, name, arg, min, max);
	return false;
}
