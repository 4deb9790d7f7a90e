/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The body of a map stream to messages: lengths, zstd, JSON.
 *
 * Source: ../shared/protocol/control.md 5.4; RFC 8878.
 * Owner:  the caller embeds it; map_reader_fini() frees what it holds.
 * Thread: any; no sockets.
 *
 * What is decompressed is bounded by MAP_MAX_LEN whatever the server says, and is given back to the
 * system once the message is parsed: a full map of 10,000 peers leaves nothing behind.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_MAP_READER_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_MAP_READER_H

#include "lib/tailnet/map_frame.h"
#include "lib/tailnet/map_response.h"

#define MAP_READER_KEEP_ALIVE_LEN 64

struct map_reader { /* zeros: begin */
	struct map_frame frame;
	struct ZSTD_DCtx_s *zstd; /* NULL: none yet */
	/* The first keep-alive as it was sent: the same bytes again are one too. */
	uint8_t keep_alive[MAP_READER_KEEP_ALIVE_LEN];
	size_t keep_alive_len;
};

struct map_reader_facts {
	size_t len;      /* of the message as it was sent */
	size_t text_len; /* of the JSON; 0: a keep-alive that was known by its bytes */
};

/* As map_frame_push(). */
[[nodiscard]] int
map_reader_push(struct map_reader *r, const uint8_t *data, size_t len, size_t *ret_taken);

/*
 * The message that has come whole.  0: ret_response is the caller's; -EAGAIN: none yet;
 * ERR_BAD_FORMAT, -E2BIG, -ENOMEM: the stream is to be ended.
 */
[[nodiscard]] int map_reader_next(struct map_reader *r,
	struct map_response *ret_response,
	struct map_reader_facts *ret_facts);

void map_reader_fini(struct map_reader *r);

#endif
