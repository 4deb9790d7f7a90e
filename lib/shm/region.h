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

#define SHM_HUGE_LEN ((size_t)2 << 20)

/*
 * Address space for len bytes, beginning at a multiple of SHM_HUGE_LEN: to be mapped over with
 * MAP_FIXED, or unmapped.  NULL: there is none.
 */
void *shm_region_reserve(size_t len);

/*
 * Have SHM_HUGE_LEN bytes of a mapped region in one huge page, if the kernel can (Linux 6.1;
 * whatever its settings for shared memory say); else nothing changes.  Content stays.  at: a
 * multiple of SHM_HUGE_LEN in a region mapped by shm_region_map().  Takes up to a millisecond, in
 * which others wait who touch the same bytes; before their first use nobody does.
 */
void shm_region_huge_page(void *at);

/*
 * The same for an array in a region, called before a row is used for the first time: if the row is
 * the first to touch a huge page's worth that lies wholly inside the array.  So a short array stays
 * in small pages, and a longer one wastes less than one huge page.
 */
void shm_region_huge_row(void *array, size_t array_len, size_t row_len, size_t row);

/*
 * Map `len` bytes, a length that we computed ourselves: the region must have exactly that size.
 * Returns 0, -ERANGE (another size), -EPERM (size not sealed: it could shrink under us), or -errno.
 */
[[nodiscard]] int shm_region_map(int fd, size_t len, bool writable, void **ret_map);

#endif
