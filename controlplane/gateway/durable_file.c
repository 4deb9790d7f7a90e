/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
durable_file_begin(struct durable_file *f, const char *path)
{
	f->fd = -1;
	if (strlen(path) >= sizeof(f->path))
		return -ENAMETOOLONG;
	snprintf(f->path, sizeof(f->path), "%s", path);
	snprintf(f->fresh, sizeof(f->fresh), "%s.new", path);
	f->fd = open(f->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return f->fd < 0 ? -errno : 0;
}

int
durable_file_write(struct durable_file *f, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(f->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
sync_folder(const char *path)
{
	char copy[DURABLE_FILE_PATH_LEN];
	int fd, err;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int
durable_file_end(struct durable_file *f, int err)
{
	if (f->fd < 0)
		return err;
	if (err == 0 && fsync(f->fd) < 0)
		err = -errno;
	close(f->fd);
	f->fd = -1;
	if (err == 0 && rename(f->fresh, f->path) < 0)
		err = -errno;
	if (err < 0) {
		unlink(f->fresh);
		return err;
	}
	return sync_folder(f->path);
}
