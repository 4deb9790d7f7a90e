/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reading the region "capture": copies of packets that workers write into rings without waiting for
 * anybody.
 *
 * Source: shm_abi.h, region "capture"; the writer is dataplane/path/capture.c.
 * Owner:  the caller maps the region read-only and keeps it mapped.
 * Thread: one.  The writer may be anything: each value is copied, checked, and then used.
 */
#ifndef LIB_SHM_CAPTURE_READER_H
#define LIB_SHM_CAPTURE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/shm/shm_abi.h"

struct shm_capture_reader {
	const struct shm_capture *memory;
	uint64_t next[SHM_MAX_WORKERS];
	uint64_t n_lost; /* records that were overwritten before they were read */
};

/* A record that was whole: cap_len is at most SHM_CAPTURE_SNAP and at most len. */
struct shm_captured {
	uint64_t time_ns;
	uint32_t len;
	uint32_t cap_len;
	uint32_t peer;   /* SHM_NO_PEER, or any number */
	uint32_t port;   /* any number */
	uint16_t reason; /* any number */
	uint8_t where;   /* enum shm_capture_where */
	uint8_t kind;    /* 0 to 2 */
	uint8_t data[SHM_CAPTURE_SNAP];
};

/* Begin with what comes from now on. */
void shm_capture_reader_init(struct shm_capture_reader *r, const struct shm_capture *memory);

/*
 * The oldest record of all workers'.  False: there is none.  Bounded, whatever the region says.
 */
[[nodiscard]] bool shm_capture_reader_take(struct shm_capture_reader *r,
	struct shm_captured *ret_packet);

#endif
