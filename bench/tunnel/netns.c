/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
open_named(const char *name)
{
	static const char *const folders[] = { "/run/netns", "/var/run/netns" };
	char path[PATH_MAX];
	int fd = -1;

	if (strchr(name, '/') != NULL)
		return open(name, O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < 2 && fd < 0; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", folders[i], name) >= (int)sizeof(path)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

int
netns_enter(const char *name, struct netns_visit *ret_visit)
{
	int there, err;

	*ret_visit = (struct netns_visit){ .home = -1 };
	if (name == NULL || name[0] == '\0')
		return 0;
	there = open_named(name);
	if (there < 0)
		return -errno;
	ret_visit->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ret_visit->home < 0) {
		err = -errno;
		goto close_there;
	}
	err = setns(there, CLONE_NEWNET) < 0 ? -errno : 0;
	if (err < 0) {
		close(ret_visit->home);
		ret_visit->home = -1;
	}
close_there:
	close(there);
	return err;
}

int
netns_leave(struct netns_visit *visit)
{
	int err = 0;

	if (visit->home < 0)
		return 0;
	if (setns(visit->home, CLONE_NEWNET) < 0)
		err = -errno;
	close(visit->home);
	visit->home = -1;
	return err;
}
