/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/map_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "lib/base/err.h"

#define WINDOW_LOG_MAX 23         /* 8 MiB of window, where a frame does not say its size */
#define FIRST_ROOM     (1u << 16) /* then doubled */

static_assert(sizeof(MAP_KEEP_ALIVE) + 16 <= MAP_READER_KEEP_ALIVE_LEN, "and zstd's own bytes");

/* Pages of their own: what malloc() is given back may stay with the process. */
struct text {
	char *at;
	size_t len, room;
};

static int
text_make_room(struct text *t, size_t room)
{
	void *p = t->at == NULL ? mmap(NULL, room, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
	                        : mremap(t->at, t->room, room, MREMAP_MAYMOVE);

	if (p == MAP_FAILED)
		return -ENOMEM;
	t->at = p;
	t->room = room;
	return 0;
}

static void
text_fini(struct text *t)
{
	if (t->at != NULL)
		munmap(t->at, t->room);
}

int
map_reader_push(struct map_reader *r, const uint8_t *data, size_t len, size_t *ret_taken)
{
	return map_frame_push(&r->frame, data, len, ret_taken);
}

static int
decompress_known(struct map_reader *r, const uint8_t *src, size_t len, size_t size, struct text *t)
{
	size_t n;
	int err = text_make_room(t, size > 0 ? size : 1);

	if (err < 0)
		return err;
	n = ZSTD_decompressDCtx(r->zstd, t->at, size, src, len);
	if (ZSTD_isError(n))
		return ERR_BAD_FORMAT;
	t->len = n;
	return 0;
}

static int
decompress_unknown(struct map_reader *r, const uint8_t *src, size_t len, struct text *t)
{
	ZSTD_inBuffer in = { src, len, 0 };
	size_t left = 1;
	int err = text_make_room(t, FIRST_ROOM);

	ZSTD_DCtx_reset(r->zstd, ZSTD_reset_session_only);
	while (err == 0 && left != 0) {
		ZSTD_outBuffer out = { t->at, t->room, t->len };
		size_t in_before = in.pos;

		left = ZSTD_decompressStream(r->zstd, &out, &in);
		if (ZSTD_isError(left))
			return ERR_BAD_FORMAT;
		if (out.pos == t->len && in.pos == in_before)
			return ERR_BAD_FORMAT; // the frame is cut short
		t->len = out.pos;
		if (t->len == t->room && left != 0)
			err = t->room < MAP_MAX_LEN ? text_make_room(t, t->room * 2) : -E2BIG;
	}
	return err < 0 ? err : in.pos == len ? 0 : ERR_BAD_FORMAT;
}

static int
decompress(struct map_reader *r, const uint8_t *src, size_t len, struct text *t)
{
	unsigned long long size = ZSTD_getFrameContentSize(src, len);

	if (size == ZSTD_CONTENTSIZE_ERROR)
		return ERR_BAD_FORMAT;
	if (size != ZSTD_CONTENTSIZE_UNKNOWN && size > MAP_MAX_LEN)
		return -E2BIG;
	if (r->zstd == NULL) {
		r->zstd = ZSTD_createDCtx();
		if (r->zstd == NULL)
			return -ENOMEM;
		ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	}
	if (size != ZSTD_CONTENTSIZE_UNKNOWN)
		return decompress_known(r, src, len, (size_t)size, t);
	return decompress_unknown(r, src, len, t);
}

static int
parse(struct map_reader *r,
	const uint8_t *message,
	size_t len,
	struct map_response *ret_response,
	size_t *ret_text_len)
{
	struct text t = {};
	int err;

	if (message[0] == '{') { // a server that does not compress
		*ret_text_len = len;
		return map_response_parse((const char *)message, len, ret_response);
	}
	err = decompress(r, message, len, &t);
	if (err == 0)
		err = map_response_parse(t.at, t.len, ret_response);
	*ret_text_len = t.len;
	text_fini(&t);
	return err;
}

static bool
is_known_keep_alive(const struct map_reader *r, const uint8_t *message, size_t len)
{
	return len > 0 && len == r->keep_alive_len && memcmp(message, r->keep_alive, len) == 0;
}

// Only of a message that says nothing else, so its length is that of the plain one.
static void
note_keep_alive(struct map_reader *r, const uint8_t *message, size_t len, size_t text_len)
{
	if (text_len != sizeof(MAP_KEEP_ALIVE) - 1 || len > sizeof(r->keep_alive))
		return;
	memcpy(r->keep_alive, message, len);
	r->keep_alive_len = len;
}

int
map_reader_next(struct map_reader *r,
	struct map_response *ret_response,
	struct map_reader_facts *ret_facts)
{
	size_t len, text_len = 0;
	const uint8_t *message = map_frame_message(&r->frame, &len);
	int err = 0;

	if (message == NULL)
		return -EAGAIN;
	if (is_known_keep_alive(r, message, len)) {
		memset(ret_response, 0, sizeof(*ret_response));
		ret_response->is_keep_alive = true;
	} else {
		err = parse(r, message, len, ret_response, &text_len);
		if (err == 0 && ret_response->is_keep_alive)
			note_keep_alive(r, message, len, text_len);
	}
	*ret_facts = (struct map_reader_facts){ len, text_len };
	map_frame_next(&r->frame);
	return err;
}

void
map_reader_fini(struct map_reader *r)
{
	map_frame_fini(&r->frame);
	ZSTD_freeDCtx(r->zstd);
	memset(r, 0, sizeof(*r));
}
