/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How many handshake messages a source may cost us: a token bucket per IPv4 address or IPv6 /64,
 * 20 per second with a burst of 5.
 *
 * Source: ../shared/design/reliability.md 1.1 and 2.3 (V-22, V-23).
 * Owner:  the caller gives the table's memory and keeps it until it stops using the limiter.
 * Thread: one.
 *
 * Ask only about sources that have proven their address (mac2): with forged ones anybody could
 * spend another's tokens, or fill the table.
 */
#ifndef LIB_WG_RATELIMIT_H
#define LIB_WG_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"

#define WG_RATELIMIT_KEY_LEN 16

struct wg_ratelimit_entry {
	uint8_t source[8];   /* IPv4 address and zeros, or the first half of an IPv6 address */
	struct mono updated; /* never: entry is free */
	int64_t tokens_ns;   /* at that time; a message costs 1/20 s */
	uint32_t next;       /* index + 1 in the chain of the bucket, or of free entries; 0: end */
	uint32_t head;       /* of the bucket with this number: index + 1 */
	uint8_t family;
};

struct wg_ratelimit {
	struct wg_ratelimit_entry *entries;
	uint32_t capacity;
	uint32_t count;   /* sources known */
	uint32_t touched; /* entries from here on were never used */
	uint32_t free;    /* index + 1 of the first free entry below `touched`; 0: none */
	struct mono collected;
	uint8_t key[WG_RATELIMIT_KEY_LEN];
};

/*
 * entries:  `capacity` of them, all zeros (calloc), borrowed; capacity is a power of two
 *           (WG_RATE_MAX_SOURCES), which is also the most sources known at a time.
 * random:   the key of the hash, so that nobody can choose addresses of one bucket.
 */
void wg_ratelimit_init(struct wg_ratelimit *limit,
	struct wg_ratelimit_entry *entries,
	uint32_t capacity,
	const uint8_t random[static WG_RATELIMIT_KEY_LEN]);

/*
 * Whether a message from `source` may be handled now; takes a token if so.  A new source is
 * refused while the table is full.  Forgets idle sources by itself, at most once a second.
 */
bool wg_ratelimit_accept(struct wg_ratelimit *limit, const struct addr *source, struct mono now);

/* Forget every source that was idle for a second: its bucket is full again. */
void wg_ratelimit_collect(struct wg_ratelimit *limit, struct mono now);

#endif
