/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The timestamps of initiations.
 *
 * Source: https://cr.yp.to/libtai/tai64.html; whitepaper section 5.1; peer.md 3.5.
 */
#ifndef LIB_WG_TAI64N_H
#define LIB_WG_TAI64N_H

#include <stdint.h>

#include "lib/wg/message.h"

struct wg_tai64n { /* big-endian, so that time order is byte order; all zeros: before any */
	uint8_t bytes[WG_TAI64N_LEN];
};

/*
 * From Unix time; nanoseconds is below 10^9.  The low 24 bits of the nanoseconds are cleared, so
 * that the message does not give away a precise clock: values step by 16.8 ms.
 */
struct wg_tai64n wg_tai64n_from_unix(uint64_t seconds, uint32_t nanoseconds);

/* <0, 0, >0 */
int wg_tai64n_compare(const struct wg_tai64n *a, const struct wg_tai64n *b);

/*
 * What to put into the next initiation: the clock's value if it is greater than `last` (the
 * greatest that was ever sent), else the smallest step after `last`: the clock may stand still,
 * or have been set back.  Always greater than `last`, except at the end of time.
 */
struct wg_tai64n wg_tai64n_after(const struct wg_tai64n *last, const struct wg_tai64n *clock);

#endif
