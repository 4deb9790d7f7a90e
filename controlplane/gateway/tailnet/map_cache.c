/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "tailnet"

#include "controlplane/gateway/tailnet/map_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <zstd.h>

#include "controlplane/gateway/durable_file.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/tailnet/json_span.h"
#include "lib/tailnet/netmap_write.h"

#define BEFORE_MAP "{\"version\":1,\"map\":"
#define AFTER_MAP  "}"
#define VERSION    1

#define LEVEL          1                    // of compression: the map's time counts, not its size
#define WINDOW_LOG_MAX 23                   // 8 MiB of memory to read it
#define MAX_TEXT       (MAP_MAX_LEN + 4096) // bytes of JSON
#define SHARE          100                  // of the time, at most one part goes into writing
#define RETRY_NS       (60 * NS_PER_S)      // after the disk has refused

struct map_cache {
	char path[DURABLE_FILE_PATH_LEN];
	bool is_dirty;
	bool has_failed; // was said in the log
	struct mono due;
	struct mono not_before; // because of what the last time has cost; never: at once
};

int
map_cache_create(const char *state_dir, struct map_cache **ret_cache)
{
	struct map_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	if ((size_t)snprintf(c->path, sizeof(c->path), "%s/" MAP_CACHE_FILE_NAME, state_dir) >=
		sizeof(c->path)) {
		free(c);
		return -ENAMETOOLONG;
	}
	*ret_cache = c;
	return 0;
}

void
map_cache_destroy(struct map_cache *cache)
{
	free(cache);
}

/* --- reading --- */

struct bytes { // on the heap
	uint8_t *at;
	size_t len, room;
};

static int
read_file(const char *path, struct bytes *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (st.st_size > MAP_CACHE_MAX_FILE)
		err = -E2BIG;
	if (err == 0) {
		ret->at = malloc((size_t)st.st_size + 1);
		err = ret->at == NULL ? -ENOMEM : 0;
	}
	while (err == 0 && ret->len < (size_t)st.st_size) {
		n = read(fd, ret->at + ret->len, (size_t)st.st_size - ret->len);
		if (n <= 0)
			err = n < 0 ? -errno : ERR_BAD_FORMAT;
		else
			ret->len += (size_t)n;
	}
	close(fd);
	return err;
}

static int
grow(struct bytes *b)
{
	size_t room = b->room == 0 ? 1 << 16 : 2 * b->room;
	uint8_t *bigger;

	if (room > MAX_TEXT)
		room = MAX_TEXT;
	if (room == b->room)
		return -E2BIG;
	bigger = realloc(b->at, room);
	if (bigger == NULL)
		return -ENOMEM;
	b->at = bigger;
	b->room = room;
	return 0;
}

// One frame, and nothing behind it.
static int
decompress_by(ZSTD_DCtx *z, const struct bytes *file, struct bytes *text)
{
	ZSTD_inBuffer in = { file->at, file->len, 0 };
	size_t left = 1;
	int err = 0;

	if (ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		return ERR_BAD_FORMAT;
	while (left > 0) {
		ZSTD_outBuffer out;
		size_t taken = in.pos;

		if (text->len == text->room)
			err = grow(text);
		if (err < 0)
			return err;
		out = (ZSTD_outBuffer){ text->at, text->room, text->len };
		left = ZSTD_decompressStream(z, &out, &in);
		if (ZSTD_isError(left) || (in.pos == taken && out.pos == text->len))
			return ERR_BAD_FORMAT;
		text->len = out.pos;
	}
	return in.pos == file->len ? 0 : ERR_BAD_FORMAT;
}

static int
decompress(const struct bytes *file, struct bytes *text)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	int err = z == NULL ? -ENOMEM : decompress_by(z, file, text);

	ZSTD_freeDCtx(z);
	return err;
}

static bool
is_version(const struct json_span *span)
{
	json_t *value;
	bool right;

	if (json_span_load(span, &value) < 0)
		return false;
	right = json_integer_value(value) == VERSION;
	json_decref(value);
	return right;
}

// Members we do not know are passed over: what they say is not needed to go on.
static int
find_map(const struct json_span *whole, struct json_span *ret_map)
{
	struct json_span name, value, map = {};
	bool has_version = false;
	struct json_walk w;
	int more = json_walk_begin(&w, whole);

	if (more < 0 || !w.is_object)
		return ERR_BAD_FORMAT;
	for (more = json_walk_next(&w, &name, &value); more == 1;
		more = json_walk_next(&w, &name, &value)) {
		if (name.len == 9 && memcmp(name.text, "\"version\"", 9) == 0)
			has_version = is_version(&value);
		if (name.len == 5 && memcmp(name.text, "\"map\"", 5) == 0)
			map = value;
	}
	if (more < 0 || !has_version || map.text == NULL)
		return ERR_BAD_FORMAT;
	*ret_map = map;
	return 0;
}

static int
apply(struct map_response *r, const struct node_key *self, struct instant now, struct netmap *map)
{
	struct netmap_changes changes = {};
	int err;

	if (r->node == NULL)
		return ERR_BAD_FORMAT;
	if (!node_key_equal(&r->node->key, self))
		return -ENOENT;
	netmap_begin_stream(map);
	err = netmap_apply(map, r, now, &changes);
	netmap_changes_fini(&changes);
	netmap_begin_stream(map);
	return err;
}

static int
load(const char *path, const struct node_key *self, struct instant now, struct netmap *map)
{
	struct bytes file = {}, text = {};
	struct map_response response;
	struct json_span span;
	int err = read_file(path, &file);

	if (err == 0)
		err = decompress(&file, &text);
	free(file.at);
	if (err == 0)
		err = find_map(&(struct json_span){ (const char *)text.at, text.len }, &span);
	if (err == 0)
		err = map_response_parse(span.text, span.len, &response);
	free(text.at);
	if (err < 0)
		return err;
	err = apply(&response, self, now, map);
	map_response_fini(&response);
	return err;
}

int
map_cache_load(struct map_cache *cache,
	const struct node_key *self,
	struct instant now,
	struct netmap *map)
{
	int err = load(cache->path, self, now, map);

	if (err < 0 && err != -ENOENT)
		log_warning("the last map is of no use, we wait for the server's: %s: %s",
			cache->path, err_str(err));
	return err;
}

/* --- writing --- */

// Text on its way: compressed, and to the file in pieces of `out`.
struct writing {
	struct durable_file file;
	ZSTD_CCtx *z;
	uint8_t out[1 << 16];
};

static int
compress(struct writing *w, const char *text, size_t len, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = { text, len, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { w->out, sizeof(w->out), 0 };
		int err;

		left = ZSTD_compressStream2(w->z, &out, &in, end);
		if (ZSTD_isError(left))
			return -ENOMEM;
		err = durable_file_write(&w->file, w->out, out.pos);
		if (err < 0)
			return err;
	} while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
	return 0;
}

static int
take_text(void *context, const char *text, size_t len)
{
	return compress(context, text, len, ZSTD_e_continue);
}

static int
write_map(struct writing *w, const struct netmap *map)
{
	int err;

	ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1);
	err = take_text(w, BEFORE_MAP, strlen(BEFORE_MAP));
	if (err == 0)
		err = netmap_write(map, take_text, w);
	if (err == 0)
		err = compress(w, AFTER_MAP, strlen(AFTER_MAP), ZSTD_e_end);
	return err;
}

static int
save(const char *path, const struct netmap *map)
{
	struct writing *w = malloc(sizeof(*w));
	int err;

	if (w == NULL)
		return -ENOMEM;
	w->z = ZSTD_createCCtx();
	err = w->z == NULL ? -ENOMEM : 0;
	w->file.fd = -1;
	if (err == 0)
		err = durable_file_begin(&w->file, path);
	if (err == 0)
		err = write_map(w, map);
	err = durable_file_end(&w->file, err);
	ZSTD_freeCCtx(w->z);
	free(w);
	return err;
}

static void
write_now(struct map_cache *cache, const struct netmap *map)
{
	struct mono begin = mono_now();
	int err = map->self != NULL ? save(cache->path, map) : 0;
	struct mono end = mono_now();

	cache->is_dirty = err < 0;
	cache->not_before = mono_add_ns(end, SHARE * mono_diff_ns(end, begin));
	cache->due = mono_add_ns(end, RETRY_NS);
	if (err < 0 && !cache->has_failed)
		log_warning("the map cannot be kept, a start without the server would know none: "
			    "%s: %s",
			cache->path, err_str(err));
	cache->has_failed = err < 0;
}

void
map_cache_changed(struct map_cache *cache, struct mono now)
{
	if (cache->is_dirty)
		return;
	cache->is_dirty = true;
	cache->due = mono_add_ns(now, MAP_CACHE_DELAY_NS);
	if (cache->due.ns < cache->not_before.ns)
		cache->due = cache->not_before;
}

struct mono
map_cache_tick(struct map_cache *cache, const struct netmap *map, struct mono now)
{
	if (cache->is_dirty && now.ns >= cache->due.ns)
		write_now(cache, map);
	return cache->is_dirty ? cache->due : (struct mono){};
}

void
map_cache_flush(struct map_cache *cache, const struct netmap *map)
{
	if (cache->is_dirty)
		write_now(cache, map);
}

void
map_cache_remove(struct map_cache *cache)
{
	cache->is_dirty = false;
	if (unlink(cache->path) < 0 && errno != ENOENT)
		log_warning("the last map stays behind: %s: %s", cache->path, err_str(-errno));
}
