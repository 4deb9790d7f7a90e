/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The frames of a connection with a relay (DERP), cut out of a stream that arrives in pieces.
 *
 * Source: ../shared/protocol/peer.md 4.2; vectors/derp.json.
 * Owner:  the reader is the caller's, one per connection and direction; payloads are borrowed from
 *         the caller's buffer, nothing is copied.
 *
 * The caller keeps what it has received and not yet used in one buffer of DERP_FRAME_MAX_LEN bytes
 * or more:
 *
 *     receive behind what is there;
 *     while derp_reader_next() gives a frame: use it, then drop `used` bytes from the front;
 *     drop `used` bytes (of frames that were skipped); move the rest to the front if need be.
 *
 * A buffer that is full always gives a frame or bytes to drop.
 */
#ifndef LIB_DERP_FRAME_H
#define LIB_DERP_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"

#define DERP_HEADER_LEN      5     /* type, length of what follows */
#define DERP_PACKET_MAX_LEN  65536 /* that is relayed */
#define DERP_PAYLOAD_MAX_LEN (2 * KEY_LEN + DERP_PACKET_MAX_LEN)
#define DERP_FRAME_MAX_LEN   (DERP_HEADER_LEN + DERP_PAYLOAD_MAX_LEN)
#define DERP_SKIP_MAX_LEN    (1024 * 1024) /* payload of a frame that is skipped */

enum derp_type {
	DERP_NONE = 0x00,           /* not on the wire: no whole frame is there yet */
	DERP_SERVER_KEY = 0x01,     /* server to client */
	DERP_CLIENT_INFO = 0x02,    /* client to server */
	DERP_SERVER_INFO = 0x03,    /* server to client */
	DERP_SEND_PACKET = 0x04,    /* client to server */
	DERP_RECV_PACKET = 0x05,    /* server to client */
	DERP_KEEP_ALIVE = 0x06,     /* server to client */
	DERP_NOTE_PREFERRED = 0x07, /* client to server */
	DERP_PEER_GONE = 0x08,      /* server to client */
	DERP_PEER_PRESENT = 0x09,   /* server to mesh peer */
	DERP_FORWARD_PACKET = 0x0a, /* mesh peer to server, as the next two */
	DERP_WATCH_CONNS = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PING = 0x12,       /* both */
	DERP_PONG = 0x13,       /* both */
	DERP_HEALTH = 0x14,     /* server to client */
	DERP_RESTARTING = 0x15, /* server to client */
};

struct derp_frame {
	enum derp_type type;
	uint32_t len; /* of the payload */
	const uint8_t *payload;
};

struct derp_reader {        /* zeros: at the beginning of a frame */
	uint32_t skip;      /* bytes of a skipped frame that are still to come */
	uint64_t n_skipped; /* frames of unknown type, or longer than DERP_PAYLOAD_MAX_LEN */
};

/*
 * Look at the front of what was received (data may be NULL when len is 0).
 *
 * ret_used:  bytes to drop: before the next call, and after ret_frame was used.
 * ret_frame: the first whole frame of a known type, or type DERP_NONE.
 *
 * Frames of unknown type, and those of known type longer than DERP_PAYLOAD_MAX_LEN, are skipped.
 * 0, or ERR_BAD_FORMAT for a frame of more than DERP_SKIP_MAX_LEN: end the connection.
 */
[[nodiscard]] int derp_reader_next(struct derp_reader *reader,
	const uint8_t *data,
	size_t len,
	size_t *ret_used,
	struct derp_frame *ret_frame);

void derp_header_write(uint8_t out[static DERP_HEADER_LEN], enum derp_type type, uint32_t len);

#endif
