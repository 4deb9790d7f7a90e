/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/shm/shm_abi.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static uint64_t
mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++) { // FNV-1a
		hash ^= (value >> (8 * i)) & 0xff;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

uint64_t
shm_layout_hash(void)
{
	const size_t parts[] = {
		SHM_ABI_VERSION,
		SHM_SESSION_VERSION,
		sizeof(struct shm_state),
		offsetof(struct shm_state, sessions_end),
		offsetof(struct shm_state, aeads),
		offsetof(struct shm_state, workers),
		offsetof(struct shm_state, ports),
		offsetof(struct shm_state, sessions),
		offsetof(struct shm_state, keypairs),
		offsetof(struct shm_state, paths),
		offsetof(struct shm_state, applied),
		offsetof(struct shm_state, filters),
		offsetof(struct shm_state, net_which),
		offsetof(struct shm_state, neighbours),
		offsetof(struct shm_state, nets),
		offsetof(struct shm_state, counters),
		offsetof(struct shm_net, ports),
		offsetof(struct shm_net, routes),
		sizeof(struct shm_net),
		sizeof(struct shm_capture),
		sizeof(struct shm_cmd_net),
		sizeof(struct shm_cmd_neighbour),
		sizeof(struct shm_applied_half),
		offsetof(struct shm_applied_half, settings),
		offsetof(struct shm_applied_half, filter_len),
		offsetof(struct shm_applied_half, peers),
		offsetof(struct shm_applied_half, prefixes),
		sizeof(struct shm_sessions),
		offsetof(struct shm_sessions, tx),
		offsetof(struct shm_sessions, replay),
		sizeof(struct shm_notes),
		sizeof(struct shm_to_dp),
		offsetof(struct shm_to_dp, commands),
		offsetof(struct shm_to_dp, inject),
		sizeof(struct shm_to_cp),
		offsetof(struct shm_to_cp, events),
		offsetof(struct shm_to_cp, punt),
		sizeof(struct shm_command),
		sizeof(struct shm_cmd_session),
		sizeof(struct shm_cmd_filter),
		sizeof(struct shm_event),
		sizeof(struct shm_packet),
		sizeof(struct shm_attach),
		SHM_CMD_CAPTURE,
		SHM_EV_PORTS,
		SHM_PKT_TSMP,
		SHM_N_FDS,
	};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		hash = mix(hash, parts[i]);
	return hash;
}

static int
create(const char *name, size_t len, unsigned flags)
{
	int err, fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

// A huge memfd can be made without a single free huge page: only touching it tells.
static bool
can_be_touched(int fd, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (map == MAP_FAILED)
		return false;
	munmap(map, len);
	return true;
}

int
shm_region_create(const char *name, size_t len, bool huge, bool *ret_huge)
{
	int fd;

	if (ret_huge != NULL)
		*ret_huge = false;
	if (huge) {
		fd = create(name, len, MFD_HUGETLB);
		if (fd >= 0 && can_be_touched(fd, len)) {
			if (ret_huge != NULL)
				*ret_huge = true;
			return fd;
		}
		if (fd >= 0)
			close(fd);
	}
	return create(name, len, 0);
}

int
shm_region_read_only(int fd)
{
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro >= 0 ? ro : -errno;
}

void *
shm_region_reserve(size_t len)
{
	size_t before, page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *all;

	len = (len + page - 1) / page * page;
	all = mmap(NULL, len + SHM_HUGE_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (all == MAP_FAILED)
		return NULL;
	before = (SHM_HUGE_LEN - (uintptr_t)all % SHM_HUGE_LEN) % SHM_HUGE_LEN;
	if (before > 0)
		munmap(all, before);
	munmap(all + before + len, SHM_HUGE_LEN - before);
	return all + before;
}

int
shm_region_map(int fd, size_t len, bool writable, void **ret_map)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	struct stat st;
	void *map, *at;
	int seals, err;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size != len)
		return -ERANGE;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPERM;

	at = shm_region_reserve(len);
	if (at == NULL)
		return -ENOMEM;
	map = mmap(at, len, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (map == MAP_FAILED) {
		err = -errno;
		munmap(at, len);
		return err;
	}
	*ret_map = map;
	return 0;
}
