/* SPDX-License-Identifier: BSD-3-Clause
 *
 * TAP for unit tests: one `ok` or `not ok` line per check, the plan at the end.
 *
 *     int main(void)
 *     {
 *             tap_ok(1 + 1 == 2, "one and one is %d", 2);
 *             return tap_done();
 *     }
 */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

#include <stdbool.h>
#include <stddef.h>

/* Report one check; `format` is the sentence that it proves.  Returns `passed`. */
bool tap_check(bool passed, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
#define tap_ok(passed, ...) tap_check((passed), __FILE__, __LINE__, __VA_ARGS__)

/* Compare and print both sides when they differ. */
bool tap_equal_int(long long got, long long wanted, const char *file, int line, const char *what);
#define tap_int(got, wanted, what) tap_equal_int((got), (wanted), __FILE__, __LINE__, (what))
bool tap_equal_bytes(const void *got,
	const void *wanted,
	size_t len,
	const char *file,
	int line,
	const char *what);
#define tap_bytes(got, wanted, len, what) \
	tap_equal_bytes((got), (wanted), (len), __FILE__, __LINE__, (what))
bool
tap_equal_text(const char *got, const char *wanted, const char *file, int line, const char *what);
#define tap_text(got, wanted, what) tap_equal_text((got), (wanted), __FILE__, __LINE__, (what))

/* A check that cannot run here; `reason` says what is missing. */
void tap_skip(const char *what, const char *reason);

/* Print the plan; the exit status for main(). */
int tap_done(void);

#endif
