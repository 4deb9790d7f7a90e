/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Points in time: nanoseconds of CLOCK_BOOTTIME, the same in all processes and true across a
 * suspend.  A structure, so that they cannot be mixed with plain numbers.  lib/ is given the time
 * and never asks for it: mono_now() is for the programs' loops.
 */
#ifndef LIB_BASE_CLOCK_H
#define LIB_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

struct mono {
	uint64_t ns; /* 0: never */
};

static inline struct mono
mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (struct mono){ (uint64_t)ts.tv_sec * (uint64_t)NS_PER_S + (uint64_t)ts.tv_nsec };
}

/* From `earlier` to `later`, negative if they are the other way round. */
static inline int64_t
mono_diff_ns(struct mono later, struct mono earlier)
{
	return (int64_t)(later.ns - earlier.ns);
}

static inline struct mono
mono_add_ns(struct mono t, int64_t ns)
{
	return (struct mono){ t.ns + (uint64_t)ns };
}

static inline bool
mono_is_never(struct mono t)
{
	return t.ns == 0;
}

#endif
