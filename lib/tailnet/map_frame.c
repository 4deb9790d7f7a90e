/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/map_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#define MIN_ROOM  4096
#define KEPT_ROOM (64u << 10) // not given back between messages

static size_t
min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int
push_header(struct map_frame *f, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t taken = min_of(len, sizeof(f->header) - f->header_len);

	memcpy(f->header + f->header_len, data, taken);
	f->header_len += taken;
	*ret_taken = taken;
	if (f->header_len < sizeof(f->header))
		return 0;
	f->message_len = load_le32(f->header);
	if (f->message_len > MAP_FRAME_MAX_LEN)
		return -E2BIG;
	return f->message_len > 0 ? 0 : ERR_BAD_FORMAT;
}

// Room for `len` bytes: doubled, so that small pieces do not copy it all each time.
static int
make_room(struct map_frame *f, size_t len)
{
	size_t room = f->room > 0 ? f->room : MIN_ROOM;
	uint8_t *bigger;

	if (len <= f->room)
		return 0;
	while (room < len)
		room *= 2;
	bigger = realloc(f->message, room);
	if (bigger == NULL)
		return -ENOMEM;
	f->message = bigger;
	f->room = room;
	return 0;
}

int
map_frame_push(struct map_frame *f, const uint8_t *data, size_t len, size_t *ret_taken)
{
	size_t taken = 0, more;
	int err = 0;

	*ret_taken = 0;
	if (f->is_whole || len == 0)
		return 0;
	if (f->header_len < sizeof(f->header))
		err = push_header(f, data, len, &taken);
	*ret_taken = taken;
	if (err < 0 || taken == len)
		return err;
	more = min_of(len - taken, f->message_len - f->len);
	err = make_room(f, f->len + more);
	if (err < 0)
		return err;
	memcpy(f->message + f->len, data + taken, more);
	f->len += more;
	f->is_whole = f->len == f->message_len;
	*ret_taken = taken + more;
	return 0;
}

const uint8_t *
map_frame_message(const struct map_frame *f, size_t *ret_len)
{
	if (!f->is_whole)
		return NULL;
	*ret_len = f->message_len;
	return f->message;
}

void
map_frame_next(struct map_frame *f)
{
	if (f->room > KEPT_ROOM) {
		free(f->message);
		f->message = NULL;
		f->room = 0;
	}
	*f = (struct map_frame){ .message = f->message, .room = f->room };
}

void
map_frame_fini(struct map_frame *f)
{
	free(f->message);
	*f = (struct map_frame){};
}
