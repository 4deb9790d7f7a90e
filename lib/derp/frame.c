/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/derp/frame.h"

#include <stdbool.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

static bool
is_known(uint8_t type)
{
	return (type >= DERP_SERVER_KEY && type <= DERP_FORWARD_PACKET) ||
	       (type >= DERP_WATCH_CONNS && type <= DERP_RESTARTING);
}

// Drop what is here of a frame that nobody wants.
static size_t
skip(struct derp_reader *reader, size_t len)
{
	size_t here = len < reader->skip ? len : reader->skip;

	reader->skip -= (uint32_t)here;
	return here;
}

int
derp_reader_next(struct derp_reader *reader,
	const uint8_t *data,
	size_t len,
	size_t *ret_used,
	struct derp_frame *ret_frame)
{
	size_t used = skip(reader, len);

	*ret_frame = (struct derp_frame){ .type = DERP_NONE };
	while (len - used >= DERP_HEADER_LEN) {
		const uint8_t *header = data + used;
		uint32_t payload_len = load_be32(header + 1);

		if (payload_len > DERP_SKIP_MAX_LEN)
			return ERR_BAD_FORMAT;
		if (is_known(header[0]) && payload_len <= DERP_PAYLOAD_MAX_LEN) {
			if (len - used - DERP_HEADER_LEN < payload_len)
				break;
			*ret_frame = (struct derp_frame){ .type = header[0],
				.len = payload_len,
				.payload = header + DERP_HEADER_LEN };
			used += DERP_HEADER_LEN + payload_len;
			break;
		}
		reader->n_skipped++;
		reader->skip = payload_len;
		used += DERP_HEADER_LEN;
		used += skip(reader, len - used);
	}
	*ret_used = used;
	return 0;
}

void
derp_header_write(uint8_t out[static DERP_HEADER_LEN], enum derp_type type, uint32_t len)
{
	out[0] = (uint8_t)type;
	store_be32(out + 1, len);
}
