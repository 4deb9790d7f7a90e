/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/gateway.h"
#include "lib/base/secret.h"

#define FIRST_BYTES 65536

// realloc() could leave a copy of a key behind.
static char *
grow(char *text, size_t len, size_t size)
{
	char *larger = malloc(size);

	if (larger != NULL && text != NULL)
		memcpy(larger, text, len);
	text_file_free(text, len);
	return larger;
}

static int
read_all(int fd, char **ret_text, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0, size = 0;
	ssize_t n;
	int err;

	for (;;) {
		if (len == size) {
			size = size == 0 ? FIRST_BYTES : 2 * size;
			text = grow(text, len, size);
			if (text == NULL)
				return -ENOMEM;
		}
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > CONFIG_MAX_FILE_BYTES) {
			err = -EFBIG;
			goto free_text;
		}
	}
	if (n < 0) {
		err = -errno;
		goto free_text;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;

free_text:
	text_file_free(text, len);
	return err;
}

static void
explain(const char *path, int err, char **ret_errors)
{
	int n;

	if (err == -EFBIG)
		n = asprintf(ret_errors,
			"%s:1:1: the file is larger than %d MiB; no sensible configuration is; "
			"check the name\n",
			path, CONFIG_MAX_FILE_BYTES >> 20);
	else
		n = asprintf(ret_errors,
			"%s:1:1: the file cannot be read; %s; check its name and permissions\n",
			path, strerror(-err));
	if (n < 0)
		*ret_errors = NULL;
}

int
text_file_read(const char *path, char **ret_text, size_t *ret_len, char **ret_errors)
{
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		err = -errno;
		explain(path, err, ret_errors);
		return err;
	}
	err = read_all(fd, ret_text, ret_len);
	close(fd);
	if (err < 0)
		explain(path, err, ret_errors);
	return err;
}

void
text_file_free(char *text, size_t len)
{
	if (text != NULL)
		secret_wipe(text, len);
	free(text);
}
