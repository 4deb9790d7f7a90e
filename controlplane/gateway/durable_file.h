/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file that is replaced as a whole: written under another name first, stored, renamed, the
 * folder stored too.  After a crash or a power cut there is the old file or the new one.
 *
 *     struct durable_file f;
 *     int err = durable_file_begin(&f, path);
 *     if (err == 0)
 *             err = write to f.fd
 *     err = durable_file_end(&f, err);
 *
 * Thread: any; one writer of a path at a time.
 */
#ifndef CONTROLPLANE_GATEWAY_DURABLE_FILE_H
#define CONTROLPLANE_GATEWAY_DURABLE_FILE_H

#include <stddef.h>

#define DURABLE_FILE_PATH_LEN 4096 /* with its zero */

struct durable_file {
	int fd;
	char path[DURABLE_FILE_PATH_LEN], fresh[DURABLE_FILE_PATH_LEN + 8];
};

/* Mode 0600.  0, -ENAMETOOLONG, -errno; after an error fd is -1. */
[[nodiscard]] int durable_file_begin(struct durable_file *f, const char *path);
/* All of it.  0 or -errno. */
[[nodiscard]] int durable_file_write(struct durable_file *f, const void *data, size_t len);
/*
 * With err 0 the file takes its place; else it is removed and the one before stays.  Closes fd; to
 * be called after a failed begin too.  Returns err, or -errno of what went wrong here.
 */
[[nodiscard]] int durable_file_end(struct durable_file *f, int err);

#endif
