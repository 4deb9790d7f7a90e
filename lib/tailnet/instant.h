/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Points in time of the coordination protocol, of everybody's wall clock: key expiry, last seen.
 *
 * Source: RFC 3339; ../shared/protocol/control.md 11.2, no. 16.
 *
 * Counted from the first second of the year 1, because that is the protocol's "unset": zeros.
 */
#ifndef LIB_TAILNET_INSTANT_H
#define LIB_TAILNET_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTANT_UNIX_EPOCH_S INT64_C(62135596800) /* 1970-01-01 */

struct instant {
	int64_t s;   /* since 0001-01-01T00:00:00Z */
	uint32_t ns; /* 0 to 999,999,999 */
};

static inline bool
instant_is_unset(struct instant t)
{
	return t.s == 0 && t.ns == 0;
}

static inline struct instant
instant_from_unix(int64_t s, uint32_t ns)
{
	return (struct instant){ s + INSTANT_UNIX_EPOCH_S, ns };
}

/* <0, 0, >0 as a is before, the same as, or after b. */
static inline int
instant_compare(struct instant a, struct instant b)
{
	if (a.s != b.s)
		return a.s < b.s ? -1 : 1;
	return (a.ns > b.ns) - (a.ns < b.ns);
}

/*
 * Exactly text_len characters of RFC 3339: "T" and "Z" in capitals, an optional fraction (digits
 * behind the ninth are dropped), "Z" or an offset.  0 or ERR_BAD_FORMAT.
 */
[[nodiscard]] int instant_parse(const char *text, size_t text_len, struct instant *ret_instant);

/* In UTC, the fraction without trailing zeros.  Years beyond 9999 are written as 9999.  Returns
 * `text`. */
#define INSTANT_TEXT_SIZE 64
char *instant_format(struct instant t, char text[static INSTANT_TEXT_SIZE]);

#endif
