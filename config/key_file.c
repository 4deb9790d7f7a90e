/* SPDX-License-Identifier: BSD-3-Clause */

#include "config/key_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

#define READ_BYTES 512 // more than a key with white space around it

static_assert(READ_BYTES > CONFIG_AUTH_KEY_LEN, "what is too long is seen");

#define advise(advice, ...) snprintf((advice), KEY_FILE_ADVICE_LEN, __VA_ARGS__)

static const char *
open_advice(int err, const char *where_from)
{
	switch (err) {
	case -ENOENT:
		return where_from;
	case -EACCES:
		return "run as the user that owns the file";
	default:
		return "correct the name";
	}
}

static int
check_file(int fd, char advice[static KEY_FILE_ADVICE_LEN])
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		advise(advice, "cannot be looked at; %s; correct the name", strerror(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		advise(advice, "is not a regular file; a key is kept in a file; correct the name");
		return -EINVAL;
	}
	if ((st.st_mode & 077) != 0) {
		advise(advice,
			"can be used by group or others (mode %04o); a secret key is for its owner "
			"only; run `chmod 600` on it",
			(unsigned)(st.st_mode & 07777));
		return -EPERM;
	}
	return 0;
}

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// The key in the file's bytes: white space around it does not count.
static int
parse_content(char *content, size_t len, struct secret_key *ret_key)
{
	char text[KEY_TEXT_LEN];
	int err;

	while (len > 0 && is_white(content[len - 1]))
		len--;
	while (len > 0 && is_white(*content)) {
		content++;
		len--;
	}
	if (len != KEY_TEXT_LEN - 1 || memchr(content, '\0', len) != NULL)
		return ERR_BAD_FORMAT;
	memcpy(text, content, len);
	text[len] = '\0';
	err = secret_key_parse(text, ret_key);
	secret_wipe(text, sizeof(text));
	return err;
}

static int
read_content(int fd, char content[static READ_BYTES], size_t *ret_len)
{
	size_t len = 0;
	ssize_t n;

	while (len < READ_BYTES) {
		n = read(fd, content + len, READ_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

// What is in the file; `where_from` is what to do when there is none.
static int
read_secret_file(const char *path,
	const char *where_from,
	char content[static READ_BYTES],
	size_t *ret_len,
	char advice[static KEY_FILE_ADVICE_LEN])
{
	int fd, err;

	// Not blocking: a FIFO would wait for a writer for ever.
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err = -errno;
		advise(advice, "cannot be opened; %s; %s", strerror(-err),
			open_advice(err, where_from));
		return err;
	}
	err = check_file(fd, advice);
	if (err == 0) {
		err = read_content(fd, content, ret_len);
		if (err < 0)
			advise(advice, "cannot be read; %s; correct the name", strerror(-err));
	}
	close(fd);
	return err;
}

int
key_file_read(const char *path, struct secret_key *ret_key, char advice[static KEY_FILE_ADVICE_LEN])
{
	char content[READ_BYTES];
	size_t len = 0;
	int err;

	err = read_secret_file(path,
		"make one with `sluice genkey` (or genpsk), or correct the name", content, &len,
		advice);
	if (err == 0) {
		err = parse_content(content, len, ret_key);
		if (err < 0)
			advise(advice,
				"holds no key; a key is 44 characters of base64 on one line; make "
				"one with `sluice genkey` (or genpsk)");
	}
	secret_wipe(content, sizeof(content));
	return err;
}

bool
auth_key_parse(const char *text, size_t len, char ret_key[static CONFIG_AUTH_KEY_LEN])
{
	while (len > 0 && is_white(text[len - 1]))
		len--;
	while (len > 0 && is_white(*text)) {
		text++;
		len--;
	}
	if (len == 0 || len >= CONFIG_AUTH_KEY_LEN)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' || text[i] == '\\')
			return false;
	memcpy(ret_key, text, len);
	ret_key[len] = '\0';
	return true;
}

int
auth_key_file_read(const char *path,
	char ret_key[static CONFIG_AUTH_KEY_LEN],
	char advice[static KEY_FILE_ADVICE_LEN])
{
	char content[READ_BYTES];
	size_t len = 0;
	int err;

	err = read_secret_file(path,
		"ask who administers the tailnet for a key and put it there, or correct the name",
		content, &len, advice);
	if (err == 0 && !auth_key_parse(content, len, ret_key)) {
		advise(advice,
			"holds no auth key; that is one word of up to %d characters; ask who "
			"administers the tailnet for one",
			CONFIG_AUTH_KEY_LEN - 1);
		err = ERR_BAD_FORMAT;
	}
	secret_wipe(content, sizeof(content));
	return err;
}

static int
write_whole(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

// The new name survives a loss of power only when its folder has been written too.
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, err = 0;

	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0 && errno != EINVAL) // some file systems have nothing to write
		err = -errno;
	close(fd);
	return err;
}

static int
fill(int fd, const struct secret_key *key)
{
	char text[KEY_TEXT_LEN];
	int err;

	secret_key_format(key, text);
	text[KEY_TEXT_LEN - 1] = '\n';
	err = write_whole(fd, text, sizeof(text));
	secret_wipe(text, sizeof(text));
	return err;
}

int
key_file_write(const char *path, const struct secret_key *key, bool replace)
{
	char temporary[PATH_MAX];
	int fd, err;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC); // mode 0600
	if (fd < 0)
		return -errno;
	err = fill(fd, key);
	close(fd);
	if (err < 0)
		goto remove_temporary;

	// link() fails where a file is already, rename() replaces it; both in one step.
	if (replace) {
		if (rename(temporary, path) < 0) {
			err = -errno;
			goto remove_temporary;
		}
		return sync_folder(path);
	}
	if (link(temporary, path) < 0) {
		err = -errno;
		goto remove_temporary;
	}
	unlink(temporary);
	return sync_folder(path);

remove_temporary:
	unlink(temporary);
	return err;
}
