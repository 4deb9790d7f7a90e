/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_LEN   128
#define NUMBER_LEN 32

static int
open_key(const char *key, int flags)
{
	char path[PATH_LEN];
	int fd;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", key) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
sysctl_read(const char *key, int32_t *ret_value)
{
	char text[NUMBER_LEN], *end;
	int fd = open_key(key, O_RDONLY);
	long value;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		n = -errno;
		close(fd);
		return (int)n;
	}
	close(fd);
	text[n] = '\0';
	value = strtol(text, &end, 10);
	if (end == text || value < INT32_MIN || value > INT32_MAX)
		return -ERANGE;
	*ret_value = (int32_t)value;
	return 0;
}

int
sysctl_write(const char *key, int32_t value)
{
	char text[NUMBER_LEN];
	int len = snprintf(text, sizeof(text), "%d\n", value);
	int fd = open_key(key, O_WRONLY);
	int err = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, (size_t)len) < 0)
		err = -errno;
	close(fd);
	return err;
}
