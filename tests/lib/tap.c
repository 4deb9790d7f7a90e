/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/tap.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int n_checks;
static int n_failed;

bool
tap_check(bool passed, const char *file, int line, const char *format, ...)
{
	va_list args;

	n_checks++;
	n_failed += !passed;
	printf("%s %d - ", passed ? "ok" : "not ok", n_checks);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (!passed)
		printf("# at %s:%d\n", file, line);
	fflush(stdout); // a crash must not swallow what was already known
	return passed;
}

bool
tap_equal_int(long long got, long long wanted, const char *file, int line, const char *what)
{
	if (tap_check(got == wanted, file, line, "%s", what))
		return true;
	printf("# got %lld, wanted %lld\n", got, wanted);
	return false;
}

static void
print_hex(const char *label, const uint8_t *p, size_t len)
{
	printf("# %s ", label);
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
	putchar('\n');
}

bool
tap_equal_bytes(const void *got,
	const void *wanted,
	size_t len,
	const char *file,
	int line,
	const char *what)
{
	if (tap_check(memcmp(got, wanted, len) == 0, file, line, "%s", what))
		return true;
	print_hex("got   ", got, len);
	print_hex("wanted", wanted, len);
	return false;
}

bool
tap_equal_text(const char *got, const char *wanted, const char *file, int line, const char *what)
{
	if (tap_check(strcmp(got, wanted) == 0, file, line, "%s", what))
		return true;
	printf("# got    %s\n# wanted %s\n", got, wanted);
	return false;
}

void
tap_skip(const char *what, const char *reason)
{
	printf("ok %d - %s # SKIP %s\n", ++n_checks, what, reason);
}

int
tap_done(void)
{
	printf("1..%d\n", n_checks);
	return n_failed != 0;
}
