/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/shm/huge_page.h"

#include <stdint.h>
#include <sys/mman.h>

// glibc 2.36 does not name it; the kernel's number is fixed.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

void
shm_huge_page_make(void *at)
{
	// Where there is no page at all the kernel (6.18) sees nothing to collapse.
	(void)*(const volatile uint8_t *)at;
	(void)madvise(at, SHM_HUGE_LEN, MADV_COLLAPSE);
}

void
shm_huge_page_row(void *array, size_t array_len, size_t row_len, size_t row)
{
	uintptr_t first = (uintptr_t)array, at = first + row * row_len;
	uintptr_t page = (at + row_len - 1) / SHM_HUGE_LEN * SHM_HUGE_LEN;

	if (page < first || page + SHM_HUGE_LEN > first + array_len)
		return;
	if (row > 0 && at - 1 >= page)
		return; // the row before has done it
	shm_huge_page_make((void *)page);
}
