/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 *
 * Keys and values of the steer program's maps, as far as lib/net/steer.h does not have
 * them.  Included by both sides.
 */
#ifndef EBPF_ABI_H
#define EBPF_ABI_H

#include "lib/net/steer.h"

#define STEER_MAX_DEVICES   8u
#define STEER_MAX_QUEUES    64u
#define STEER_MAX_ADDRESSES (262144u + 65536u) /* SHM_MAX_PREFIXES, SHM_MAX_ROUTES */
#define STEER_MAX_PREFIXES  262144u            /* of each family */
#define STEER_MAX_SOURCES   524288u /* two for each peer, and as many again while paths change */
#define STEER_MAX_FRAGMENTS 4096u
#define STEER_MAX_BUCKETS   16384u

/* Later fragments follow the first one for so long (RFC 1122 section 3.3.2: at most 120 s; the
 * kernel's own time is 30 s, and identifiers come again). */
#define STEER_FRAGMENT_AGE_NS 30000000000ull

/* A device's row: index is its place in the loader's list. */
struct steer_device {
	__u32 ifindex; /* 0: free */
	__u8 mac[6];   /* frames for another address pass */
	__u16 pad;
};
_Static_assert(sizeof(struct steer_device) == 12, "value of a map");

/*
 * Values of addresses, prefixes and known sources.  Stamps: see steer_maps.h; an address may be
 * there both by itself and as a host prefix.
 */
struct steer_row {
	__u32 what; /* STEER_ADDRESS_..., enum steer_prefix_action, or 1 */
	__u16 stamp;
	__u16 prefix_stamp; /* addresses only */
};
_Static_assert(sizeof(struct steer_row) == 8, "value of a map");

struct steer_prefix4 {
	__u32 len;
	__u8 bytes[4];
};
struct steer_prefix6 {
	__u32 len;
	__u8 bytes[16];
};
_Static_assert(sizeof(struct steer_prefix4) == 8 && sizeof(struct steer_prefix6) == 20,
	"keys of tries: length, then bytes");

/* Per processor and device. */
struct steer_counts {
	__u64 packets[16]; /* by enum steer_verdict */
};
_Static_assert(STEER_N_VERDICTS <= 16, "each has a place");

#endif
