/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The body of a map answer: messages, each with its length in front (32 bits, little-endian).
 *
 * Source: ../shared/protocol/control.md 5.4.
 * Owner:  map_frame_fini() frees the message's memory.
 *
 * A message may be compressed, which is not this file's concern: it hands out whole messages.
 */
#ifndef LIB_TAILNET_MAP_FRAME_H
#define LIB_TAILNET_MAP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_FRAME_HEADER_LEN 4
#define MAP_FRAME_MAX_LEN    (64u << 20) /* bytes of one message, as sent */

struct map_frame { /* zeros: begin */
	uint8_t header[MAP_FRAME_HEADER_LEN];
	size_t header_len;
	uint8_t *message; /* `len` bytes of `message_len` are there */
	size_t message_len, len, room;
	bool is_whole;
};

/*
 * Take bytes of the body, until a message is whole or they are used up.  While a whole message
 * waits for map_frame_next() none are taken.  Memory grows with what has come, not with what the
 * header promises.
 *
 * 0; ERR_BAD_FORMAT: an empty message; -E2BIG: a longer one than MAP_FRAME_MAX_LEN; -ENOMEM.
 * After an error the stream is to be ended.
 */
[[nodiscard]] int
map_frame_push(struct map_frame *f, const uint8_t *data, size_t len, size_t *ret_taken);

/* The whole message, valid until the next call; NULL: not yet. */
const uint8_t *map_frame_message(const struct map_frame *f, size_t *ret_len);

/* Done with it.  Memory beyond that of a usual message is given back. */
void map_frame_next(struct map_frame *f);

void map_frame_fini(struct map_frame *f);

#endif
