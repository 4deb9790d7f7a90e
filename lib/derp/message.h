/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the frames of a relay say.
 *
 * Source: ../shared/protocol/peer.md 4.2; vectors/derp.json.
 * Owner:  a message borrows its data from the frame that was read, or from the caller who sends it.
 * Thread: any; no hidden state.
 *
 * The part of variable length (a packet, a box, a text) is never copied: reading points into the
 * frame, and writing makes all that comes before it (the head); the caller sends the data behind.
 * Relaying a packet is: read it, change type and key, write the head, send the same data.
 */
#ifndef LIB_DERP_MESSAGE_H
#define LIB_DERP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"
#include "lib/derp/frame.h"
#include "lib/net/addr.h"

#define DERP_PING_LEN     8
#define DERP_HEAD_MAX_LEN (DERP_HEADER_LEN + 2 * KEY_LEN)

enum derp_gone_reason {
	DERP_GONE_DISCONNECTED = 0x00, /* it had sent to us, and has left the region */
	DERP_GONE_NOT_HERE = 0x01,     /* what we sent to it had nowhere to go */
};

enum derp_present_flag {
	DERP_PRESENT_REGULAR = 0x01,
	DERP_PRESENT_MESH = 0x02,
	DERP_PRESENT_PROBER = 0x04,
	DERP_PRESENT_NOT_IDEAL = 0x08, /* it would rather be connected to another node */
};

struct derp_message {
	enum derp_type type;
	/*
	 * SERVER_KEY: the server's.  CLIENT_INFO: the client's.  SEND_PACKET: destination.
	 * RECV_PACKET, FORWARD_PACKET: source, as the server says.  PEER_GONE, PEER_PRESENT,
	 * CLOSE_PEER: the peer's.
	 */
	struct public_key key;
	union {
		struct public_key destination; /* FORWARD_PACKET */
		struct {
			struct endpoint endpoint; /* ADDR_NONE: an old server does not say */
			uint8_t flags;            /* enum derp_present_flag, and unknown ones */
		} present;                        /* PEER_PRESENT */
		uint8_t gone_reason;              /* PEER_GONE: enum derp_gone_reason, or another */
		bool preferred;                   /* NOTE_PREFERRED */
		uint8_t ping[DERP_PING_LEN];      /* PING, PONG */
		struct {
			uint32_t reconnect_ms; /* do it so much later */
			uint32_t try_for_ms;   /* and try for so long */
		} restarting;                  /* RESTARTING */
	};
	/*
	 * SEND_PACKET, RECV_PACKET, FORWARD_PACKET: the packet.  CLIENT_INFO, SERVER_INFO: nonce
	 * and box (info.h).  HEALTH: text from the server, UTF-8 if it behaves; empty: all is well.
	 */
	const uint8_t *data;
	size_t data_len;
};

/*
 * Read a frame as clients do: what is longer than its type demands has its rest ignored.
 * 0, or
 *   ERR_TRUNCATED  shorter than its type demands: clients ignore it (not a SERVER_KEY), servers
 *                  end the connection;
 *   ERR_BAD_FORMAT a SERVER_KEY without the magic or of more than 1,024 bytes; an info whose box
 *                  can hold nothing; a packet of more than DERP_PACKET_MAX_LEN; type DERP_NONE.
 *                  End the connection.
 * The reference's server also insists on exact lengths: 1 of NOTE_PREFERRED, 0 of WATCH_CONNS, 32
 * of CLOSE_PEER, at most 1,000 of PING.
 */
[[nodiscard]] int derp_message_read(const struct derp_frame *frame,
	struct derp_message *ret_message);

/*
 * Write all of a frame that comes before message->data, whose length is in the header: the whole
 * frame if there is no data.  data_len is 0 for types that carry none.  Returns its length.
 */
size_t derp_head_write(uint8_t out[static DERP_HEAD_MAX_LEN], const struct derp_message *message);

#endif
