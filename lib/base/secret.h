/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Secrets: wiped by whoever frees them, compared in constant time, never formatted.
 */
#ifndef LIB_BASE_SECRET_H
#define LIB_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Overwrite with zeros; the compiler may not leave it out.  NULL is allowed. */
static inline void
secret_wipe(void *p, size_t len)
{
	if (p != NULL) // gcc's sanitizers see a path to here after each of their null checks
		explicit_bzero(p, len);
}

/* Equality whose time depends on len only. */
static inline bool
secret_equal(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++) {
		diff |= x[i] ^ y[i];
		__asm__("" : "+r"(diff)); // keeps the loop from learning to stop early
	}
	return diff == 0;
}

#endif
