/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/state_file.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/durable_file.h"

#define FIRST_LINE "sluice-timestamps 1\n"
#define HEX_LEN    (2 * WG_TAI64N_LEN)
#define LINE_LEN   (KEY_TEXT_LEN - 1 + 1 + HEX_LEN + 1 + HEX_LEN + 1)

static int
compare(const void *a, const void *b)
{
	return memcmp(((const struct peer_stamps *)a)->key.bytes,
		((const struct peer_stamps *)b)->key.bytes, KEY_LEN);
}

const struct peer_stamps *
state_file_find(const struct state_file *file, const struct public_key *key)
{
	struct peer_stamps wanted = { .key = *key };

	if (file->n == 0)
		return NULL;
	return bsearch(&wanted, file->items, file->n, sizeof(wanted), compare);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_stamp(const char *text, struct wg_tai64n *ret_stamp)
{
	struct wg_tai64n stamp;

	for (size_t i = 0; i < WG_TAI64N_LEN; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		stamp.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret_stamp = stamp;
	return true;
}

static bool
parse_line(const char *line, size_t len, struct peer_stamps *ret)
{
	char key[KEY_TEXT_LEN];

	if (len != LINE_LEN || line[44] != ' ' || line[45 + HEX_LEN] != ' ')
		return false;
	memcpy(key, line, 44);
	key[44] = '\0';
	return public_key_parse(key, &ret->key) == 0 && parse_stamp(line + 45, &ret->rx) &&
	       parse_stamp(line + 46 + HEX_LEN, &ret->tx);
}

static int
take_line(struct state_file *file, const char *line, size_t len, size_t *skipped)
{
	struct peer_stamps item, *items;

	if (!parse_line(line, len, &item) || file->n == STATE_FILE_MAX) {
		(*skipped)++;
		return 0;
	}
	if ((file->n & (file->n - 1)) == 0) { // room doubles at each power of two
		items = realloc(file->items, (file->n == 0 ? 1 : 2 * file->n) * sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		file->items = items;
	}
	file->items[file->n++] = item;
	return 0;
}

// Sorted, and of lines with the same key the first: nobody but an editor writes two.
static void
sort(struct state_file *file)
{
	size_t kept = 0;

	if (file->n == 0)
		return;
	qsort(file->items, file->n, sizeof(file->items[0]), compare);
	for (size_t i = 1; i < file->n; i++)
		if (compare(&file->items[kept], &file->items[i]) != 0)
			file->items[++kept] = file->items[i];
	file->n = kept + 1;
}

int
state_file_load(struct state_file *file, const char *path, size_t *ret_skipped)
{
	char line[LINE_LEN + 2];
	FILE *f = fopen(path, "re");
	int err = 0;

	*ret_skipped = 0;
	if (f == NULL)
		return errno == ENOENT ? 0 : -errno;
	if (fgets(line, sizeof(line), f) == NULL || strcmp(line, FIRST_LINE) != 0)
		(*ret_skipped)++;
	while (err == 0 && fgets(line, sizeof(line), f) != NULL)
		err = take_line(file, line, strlen(line), ret_skipped);
	fclose(f);
	sort(file);
	return err;
}

static void
format_stamp(const struct wg_tai64n *stamp, char text[HEX_LEN + 1])
{
	for (size_t i = 0; i < WG_TAI64N_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", stamp->bytes[i]);
}

static int
write_all(const struct state_file *file, int fd)
{
	FILE *f = fdopen(dup(fd), "we");
	int err;

	if (f == NULL)
		return -errno;
	fputs(FIRST_LINE, f);
	for (size_t i = 0; i < file->n; i++) {
		char key[KEY_TEXT_LEN], rx[HEX_LEN + 1], tx[HEX_LEN + 1];

		public_key_format(&file->items[i].key, key);
		format_stamp(&file->items[i].rx, rx);
		format_stamp(&file->items[i].tx, tx);
		fprintf(f, "%s %s %s\n", key, rx, tx);
	}
	err = ferror(f) != 0 ? -EIO : 0;
	if (fclose(f) != 0 && err == 0)
		err = -errno;
	return err;
}

int
state_file_save(const struct state_file *file, const char *path)
{
	struct durable_file f;
	int err = durable_file_begin(&f, path);

	if (err == 0)
		err = write_all(file, f.fd);
	return durable_file_end(&f, err);
}

static bool
take_newer(struct wg_tai64n *have, const struct wg_tai64n *stamp)
{
	if (wg_tai64n_compare(stamp, have) <= 0)
		return false;
	*have = *stamp;
	return true;
}

bool
state_file_merge(struct state_file *file, const struct peer_stamps *stamps, size_t n)
{
	size_t known = file->n;
	bool changed = false;
	struct peer_stamps *items;

	items = n > 0 ? realloc(file->items, (file->n + n) * sizeof(*items)) : NULL;
	if (items == NULL)
		return false;
	file->items = items;
	for (size_t i = 0; i < n; i++) {
		struct peer_stamps *have =
			known == 0 ? NULL
				   : bsearch(&stamps[i], items, known, sizeof(*items), compare);

		if (have != NULL) {
			changed |= take_newer(&have->rx, &stamps[i].rx);
			changed |= take_newer(&have->tx, &stamps[i].tx);
		} else if (file->n < STATE_FILE_MAX) {
			items[file->n++] = stamps[i];
			changed = true;
		}
	}
	sort(file);
	return changed;
}

void
state_file_fini(struct state_file *file)
{
	free(file->items);
	*file = (struct state_file){};
}
