/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/harness/trial_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/harness/error.h"
#include "lib/base/err.h"

#define MAX_SIZE (256 << 20)
// Every line of ours begins so: what does not is not cut off, it is somebody's.
#define LINE_BEGIN "{\"schema\": \"" TRIAL_SCHEMA "\""

static int
refuse(int err, const char *path, const char *advice)
{
	bench_error(err_str(err), advice, "%s", path);
	return err;
}

// --- reading -----------------------------------------------------------------------------------

static bool
is_torn(const char *line, size_t len)
{
	size_t known = strlen(LINE_BEGIN);
	size_t zeros = 0;

	while (zeros < len && line[zeros] == '\0')
		zeros++;
	// After a power cut a file can be longer than what was written: zeros.
	return len > 0 &&
	       (zeros == len || memcmp(line, LINE_BEGIN, len < known ? len : known) == 0);
}

static bool
is_trial(const json_t *object)
{
	const char *schema = json_string_value(json_object_get(object, "schema"));

	return schema != NULL && strcmp(schema, TRIAL_SCHEMA) == 0 &&
	       json_is_string(json_object_get(object, "kind")) &&
	       json_is_string(json_object_get(object, "key"));
}

// One line.  Returns 0, or an error that it has said.
static int
take_line(struct trial_file *f, const char *line, size_t len, size_t number, bool is_last)
{
	json_t *trial = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

	if (trial == NULL && is_last && is_torn(line, len)) {
		bench_error("torn, as an interrupted write leaves it",
			"It is dropped; that trial is measured again.", "%s, line %zu", f->path,
			number);
		return 0;
	}
	if (!is_trial(trial)) {
		json_decref(trial);
		bench_error("not a trial of " TRIAL_SCHEMA,
			"Is it the right file?  It was left as it is: give --out another one.",
			"%s, line %zu", f->path, number);
		return ERR_BAD_FORMAT;
	}
	return json_array_append_new(f->old, trial) < 0 ? -ENOMEM : 0;
}

static int
take_lines(struct trial_file *f, const char *text, size_t len)
{
	size_t number = 1;

	for (size_t at = 0; at < len; number++) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t line_len = newline != NULL ? (size_t)(newline - text) - at : len - at;
		size_t next = at + line_len + (newline != NULL);
		size_t before = json_array_size(f->old);
		int err = take_line(f, text + at, line_len, number, next == len);

		if (err < 0)
			return err;
		if (json_array_size(f->old) == before)
			return 0; // torn: what is kept ends before it
		f->end = (off_t)next;
		f->wants_newline = newline == NULL;
		at = next;
	}
	return 0;
}

static int
read_old(struct trial_file *f, size_t len)
{
	char *text = malloc(len + 1);
	size_t n = 0;
	int err;

	if (text == NULL)
		return refuse(-ENOMEM, f->path, NULL);
	while (n < len) {
		ssize_t r = pread(f->fd, text + n, len - n, (off_t)n);

		if (r <= 0) {
			err = refuse(r < 0 ? -errno : ERR_TRUNCATED, f->path, NULL);
			goto free_text;
		}
		n += (size_t)r;
	}
	err = take_lines(f, text, len);
free_text:
	free(text);
	return err;
}

// --- opening -----------------------------------------------------------------------------------

static int
check_kind(const struct trial_file *f, const struct stat *st, bool resume)
{
	if (!S_ISREG(st->st_mode)) {
		bench_error(
			"not a file", "For a terminal or a pipe there is --json.", "%s", f->path);
		return -EINVAL;
	}
	if (st->st_size > MAX_SIZE)
		return refuse(-EFBIG, f->path, "Give --out a file of trials, or a new one.");
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
		bench_error("another run writes it", "Wait for its end, or give another file.",
			"%s", f->path);
		return -EBUSY;
	}
	if (!resume && st->st_size > 0) {
		bench_error("is there already",
			"Go on with it by --resume, or give --out another name; nothing is "
			"overwritten.",
			"%s", f->path);
		return -EEXIST;
	}
	return 0;
}

int
trial_file_open(struct trial_file *f, const char *path, bool resume)
{
	struct stat st;
	int err;

	*f = (struct trial_file){ .path = path };
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (f->fd < 0)
		return refuse(-errno, path,
			"Give --out a file that can be written, in a folder that is there.");
	f->old = json_array();
	err = fstat(f->fd, &st) < 0 ? refuse(-errno, path, NULL) : check_kind(f, &st, resume);
	if (err == 0 && f->old == NULL)
		err = refuse(-ENOMEM, path, NULL);
	if (err == 0)
		err = read_old(f, (size_t)st.st_size);
	if (err < 0)
		trial_file_close(f);
	return err;
}

// --- writing -----------------------------------------------------------------------------------

static int
write_all(int fd, const char *text, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, text, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
		at += n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

// The line between newlines as needed; owned by the caller, NULL without memory.
static char *
whole_line(const struct trial_file *f, const json_t *trial, size_t *ret_len)
{
	char *text = json_dumps(trial, JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII), *line;
	int n;

	if (text == NULL)
		return NULL;
	n = asprintf(&line, "%s%s\n", f->wants_newline ? "\n" : "", text);
	free(text);
	*ret_len = n > 0 ? (size_t)n : 0;
	return n > 0 ? line : NULL;
}

int
trial_file_append(struct trial_file *f, const json_t *trial)
{
	size_t len;
	char *line = whole_line(f, trial, &len);
	int err = line == NULL ? -ENOMEM : 0;

	if (err == 0 && ftruncate(f->fd, f->end) < 0)
		err = -errno;
	if (err == 0)
		err = write_all(f->fd, line, len, f->end);
	free(line);
	if (err < 0) {
		(void)!ftruncate(f->fd, f->end); // else it is a torn line, which is dropped later
		return refuse(err, f->path,
			"Make room; what was measured so far is kept, --resume goes on.");
	}
	f->end += (off_t)len;
	f->wants_newline = false;
	return 0;
}

void
trial_file_close(struct trial_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	json_decref(f->old);
	*f = (struct trial_file){ .fd = -1 };
}
