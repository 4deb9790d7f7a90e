/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Regions: exactly as long as agreed, sealed, and read-only where they should be.
 */

#include "lib/shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/tap.h"

#define LEN 8192u

static int
plain_memfd(size_t len, unsigned seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)len) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	return fd;
}

static void
made_and_mapped(void)
{
	bool huge = true;
	int fd = shm_region_create("test", LEN, false, &huge);
	void *one, *two;

	tap_ok(fd >= 0 && !huge, "a region is made");
	tap_ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "it does not cross an exec");
	tap_ok(ftruncate(fd, LEN / 2) < 0 && errno == EPERM, "nobody shrinks it");
	tap_ok(ftruncate(fd, LEN * 2) < 0 && errno == EPERM, "nor grows it");
	tap_int(shm_region_map(fd, LEN, true, &one), 0, "it is mapped");
	tap_int(shm_region_map(fd, LEN, false, &two), 0, "and once more for reading");
	memset(one, 7, LEN);
	tap_ok(((uint8_t *)two)[LEN - 1] == 7, "both see the same");
	munmap(one, LEN);
	munmap(two, LEN);
	close(fd);
}

static void
only_to_read(void)
{
	int fd = shm_region_create("test", LEN, false, NULL);
	int ro = shm_region_read_only(fd);
	void *map = NULL, *rw;

	tap_ok(ro >= 0, "a second descriptor for reading");
	tap_int(shm_region_map(ro, LEN, true, &map), -EACCES, "it cannot be mapped for writing");
	tap_int(shm_region_map(ro, LEN, false, &map), 0, "for reading it can");
	tap_ok(mprotect(map, LEN, PROT_READ | PROT_WRITE) < 0 && errno == EACCES,
		"and not be made writable afterwards");
	tap_ok(write(ro, "x", 1) < 0 && errno == EBADF, "nor written through");
	if (shm_region_map(fd, LEN, true, &rw) < 0)
		abort();
	((uint8_t *)rw)[3] = 42;
	tap_ok(((uint8_t *)map)[3] == 42, "what the other side writes is seen");
	munmap(rw, LEN);
	munmap(map, LEN);
	close(ro);
	close(fd);
}

static const struct {
	const char *what;
	size_t len;
	unsigned seals;
	int err;
} refused[] = {
	{ "a byte too short", LEN - 1, F_SEAL_SHRINK | F_SEAL_GROW, -ERANGE },
	{ "a page too long", LEN + 4096, F_SEAL_SHRINK | F_SEAL_GROW, -ERANGE },
	{ "empty", 0, F_SEAL_SHRINK | F_SEAL_GROW, -ERANGE },
	{ "without seals", LEN, 0, -EPERM },
	{ "sealed against growing only", LEN, F_SEAL_GROW, -EPERM },
	{ "sealed against shrinking only", LEN, F_SEAL_SHRINK, -EPERM },
	{ "sealed against both", LEN, F_SEAL_SHRINK | F_SEAL_GROW, 0 },
};

static void
refusals(void)
{
	int fds[2];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int fd = plain_memfd(refused[i].len, refused[i].seals);
		void *map = NULL;

		tap_int(shm_region_map(fd, LEN, false, &map), refused[i].err, refused[i].what);
		tap_ok((map == NULL) == (refused[i].err != 0), "nothing is mapped if refused");
		if (map != NULL)
			munmap(map, LEN);
		close(fd);
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	tap_ok(shm_region_map(fds[0], LEN, false, &(void *){ NULL }) < 0, "a pipe is no region");
	tap_ok(shm_region_map(-1, LEN, false, &(void *){ NULL }) == -EBADF, "nor is nothing");
	tap_ok(shm_region_read_only(-1) < 0, "which has no second descriptor either");
	close(fds[0]);
	close(fds[1]);
}

static void
huge_or_not(void)
{
	const size_t len = 2u << 20;
	bool huge;
	int fd = shm_region_create("test", len, true, &huge);
	void *map;

	if (!tap_ok(fd >= 0, "huge pages are asked for: with or without, there is a region"))
		return;
	tap_int(shm_region_map(fd, len, true, &map), 0,
		huge ? "of huge pages" : "of ordinary ones");
	memset(map, 1, len);
	munmap(map, len);
	close(fd);
}

// In huge pages, by the kernel's books; -1: it does not say.
static long
huge_kib(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[256];
	bool is_ours = false;
	long kib = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		unsigned long first, end;

		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			is_ours = (uintptr_t)at >= first && (uintptr_t)at < end;
		else if (is_ours)
			(void)sscanf(line, "ShmemPmdMapped: %ld", &kib);
	}
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
aligned(void)
{
	const size_t len = 3 * SHM_HUGE_LEN + 4096;
	int fd = shm_region_create("test", len, false, NULL);
	uint8_t *map, *reserved = shm_region_reserve(5000);
	void *at = NULL;

	tap_ok(reserved != NULL && (uintptr_t)reserved % SHM_HUGE_LEN == 0,
		"address space for huge pages");
	munmap(reserved, 8192);
	tap_int(shm_region_map(fd, len, true, &at), 0, "a large region is mapped");
	map = at;
	tap_ok((uintptr_t)map % SHM_HUGE_LEN == 0, "where huge pages can be");
	map[SHM_HUGE_LEN + 5] = 7;
	map[2 * SHM_HUGE_LEN - 1] = 9;
	shm_huge_page_make(map + SHM_HUGE_LEN);
	tap_ok(map[SHM_HUGE_LEN + 5] == 7 && map[2 * SHM_HUGE_LEN - 1] == 9 &&
			map[SHM_HUGE_LEN + 6] == 0,
		"content stays when it moves into one");
	munmap(map, len);
	close(fd);
}

// Rows of 2,112 bytes from 4,096 on: the first huge page that lies wholly inside the array is the
// second of the region.
static void
rows_in_huge_pages(void)
{
	const size_t row_len = 2112, n_rows = 4000, first = (SHM_HUGE_LEN - 4096) / row_len;
	const size_t len = 5 * SHM_HUGE_LEN;
	int fd = shm_region_create("test", len, false, NULL);
	void *at = NULL;
	uint8_t *rows;

	if (shm_region_map(fd, len, true, &at) < 0)
		abort();
	rows = (uint8_t *)at + 4096;
	for (size_t i = 0; i < first; i++) {
		shm_huge_page_row(rows, n_rows * row_len, row_len, i);
		rows[i * row_len] = 1;
	}
	tap_ok(huge_kib(at) <= 0, "the first rows stay in small pages");
	shm_huge_page_row(rows, n_rows * row_len, row_len, first);
	if (huge_kib(at) <= 0)
		tap_skip("the first row that reaches into a huge page's worth makes one",
			"this kernel makes none when asked (Linux 6.1 and later do)");
	else
		tap_int(huge_kib(at), 2048,
			"the first row that reaches into a huge page's worth makes one");
	for (size_t i = first; i < n_rows; i++) {
		shm_huge_page_row(rows, n_rows * row_len, row_len, i);
		rows[i * row_len] = 1;
	}
	tap_ok(huge_kib(at) <= 3 * 2048, "and what is not wholly inside the array stays as it is");
	munmap(at, len);
	close(fd);
}

int
main(void)
{
	made_and_mapped();
	only_to_read();
	refusals();
	huge_or_not();
	aligned();
	rows_in_huge_pages();
	tap_ok(shm_layout_hash() == shm_layout_hash() && shm_layout_hash() != 0,
		"the layout has a number");
	return tap_done();
}
