/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Huge pages under the long arrays of shared regions.
 *
 * Source: madvise(2), MADV_COLLAPSE; docs/shm-abi.md, "Regions".
 * Thread: any; who else touches the same bytes meanwhile waits.
 */
#ifndef LIB_SHM_HUGE_PAGE_H
#define LIB_SHM_HUGE_PAGE_H

#include <stddef.h>

#define SHM_HUGE_LEN ((size_t)2 << 20)

/*
 * Have SHM_HUGE_LEN bytes of a mapped region in one huge page, if the kernel can (Linux 6.1;
 * whatever its settings for shared memory say); else nothing changes.  Content stays.  at: a
 * multiple of SHM_HUGE_LEN in a region mapped by shm_region_map().  Takes up to a millisecond, in
 * which others wait who touch the same bytes; before their first use nobody does.
 */
void shm_huge_page_make(void *at);

/*
 * The same for an array in a region, called before a row is used for the first time: if the row is
 * the first to touch a huge page's worth that lies wholly inside the array.  So a short array stays
 * in small pages, and a longer one wastes less than one huge page.
 */
void shm_huge_page_row(void *array, size_t array_len, size_t row_len, size_t row);

#endif
