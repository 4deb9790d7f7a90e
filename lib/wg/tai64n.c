/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/wg/tai64n.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"

#define TAI_OF_1970 (UINT64_C(0x4000000000000000) + 10) /* TAI was 10 s ahead of UTC in 1970 */
#define STEP_NS     (UINT32_C(1) << 24)
#define WHITE_MASK  (~(STEP_NS - 1))

static struct wg_tai64n
pack(uint64_t seconds, uint32_t nanoseconds)
{
	struct wg_tai64n t;

	store_be64(t.bytes, seconds);
	store_be32(t.bytes + 8, nanoseconds);
	return t;
}

struct wg_tai64n
wg_tai64n_from_unix(uint64_t seconds, uint32_t nanoseconds)
{
	return pack(TAI_OF_1970 + seconds, nanoseconds & WHITE_MASK);
}

int
wg_tai64n_compare(const struct wg_tai64n *a, const struct wg_tai64n *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

// The smallest whitened value above `t`.
static struct wg_tai64n
step(const struct wg_tai64n *t)
{
	uint64_t seconds = load_be64(t->bytes);
	uint64_t nanoseconds = (load_be32(t->bytes + 8) & WHITE_MASK) + (uint64_t)STEP_NS;

	if (nanoseconds < (uint64_t)NS_PER_S)
		return pack(seconds, (uint32_t)nanoseconds);
	if (seconds == UINT64_MAX)
		return *t;
	return pack(seconds + 1, 0);
}

struct wg_tai64n
wg_tai64n_after(const struct wg_tai64n *last, const struct wg_tai64n *clock)
{
	return wg_tai64n_compare(clock, last) > 0 ? *clock : step(last);
}
