/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Making, mapping and checking shared regions.
 *
 * Source: docs/shm-abi.md, "Regions".
 * Owner:  the keeper makes the descriptors; whoever maps a region unmaps it.
 */
#ifndef LIB_SHM_REGION_H
#define LIB_SHM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/shm/huge_page.h"

/* A number that differs between builds whose layouts differ; the second for sessions alone. */
uint64_t shm_layout_hash(void);

/*
 * A new memfd of exactly len bytes, all zero, sealed against a change of its size, close-on-exec.
 * huge: try huge pages first (len must then be a multiple of 2 MiB); ordinary ones otherwise.
 * Returns the descriptor or -errno.
 */
[[nodiscard]] int shm_region_create(const char *name, size_t len, bool huge, bool *ret_huge);

/*
 * A second descriptor of the same memory that can only be mapped for reading, for the process on
 * the other side.  Returns it or -errno.  (Needs /proc, and before PR_SET_DUMPABLE 0.)
 */
[[nodiscard]] int shm_region_read_only(int fd);

/*
 * Address space for len bytes, beginning at a multiple of SHM_HUGE_LEN: to be mapped over with
 * MAP_FIXED, or unmapped.  NULL: there is none.
 */
void *shm_region_reserve(size_t len);

/*
 * Map `len` bytes, a length that we computed ourselves: the region must have exactly that size.
 * Returns 0, -ERANGE (another size), -EPERM (size not sealed: it could shrink under us), or -errno.
 */
[[nodiscard]] int shm_region_map(int fd, size_t len, bool writable, void **ret_map);

#endif
