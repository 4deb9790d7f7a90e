/* SPDX-License-Identifier: BSD-3-Clause
 *
 * "Did you mean": how far a mistyped name is from a right one.  Thread: any.
 */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stddef.h>

#define NEAREST_TOO_FAR 1000u

/*
 * Letters to insert, delete, replace or swap to make `wanted` of `given`; case, '-' and '_' count
 * as equal.  A name that contains the other is near.  NEAREST_TOO_FAR when nobody would see a
 * likeness.  Made for names: longer texts than 63 bytes are too far.
 */
unsigned nearest_distance(const char *given, const char *wanted);

/* The nearest of several; begin with NEAREST_NONE, then name stays NULL if none is like it. */
struct nearest {
	const char *name; /* borrowed from the candidates */
	unsigned distance;
};
#define NEAREST_NONE ((struct nearest){ NULL, NEAREST_TOO_FAR })
void nearest_consider(struct nearest *n, const char *given, const char *candidate);

#endif
