/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The server's side of a control connection from the blank line of its HTTP answer on: handshake
 * reply, records, early payload; what comes out is the byte stream of HTTP/2.  And our side: the
 * upgrade request, and records.
 *
 * Source: ../shared/protocol/control.md 3.
 * Owner:  the caller embeds it, in secret memory: it holds keys.  channel_fini() wipes it.
 * Thread: any; no sockets, nothing is allocated.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_CHANNEL_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_CHANNEL_H

#include "controlplane/gateway/stream/http_head.h"
#include "lib/crypto/key.h"
#include "lib/noise/control_early.h"
#include "lib/noise/control_handshake.h"
#include "lib/noise/control_record.h"

#define CHANNEL_REQUEST_MAX_LEN 1024
#define CHANNEL_TEXT_LEN        128

enum channel_state {
	CHANNEL_UPGRADING, /* the HTTP answer */
	CHANNEL_REPLY,     /* the handshake's reply */
	CHANNEL_EARLY,     /* records; perhaps an early payload first */
	CHANNEL_OPEN,
};

struct channel {
	enum channel_state state;
	struct secret_key machine;
	struct control_handshake handshake;
	struct control_writer writer;
	struct control_reader reader;
	struct control_early early;
	unsigned status;             /* of the HTTP answer; 0: none yet */
	char text[CHANNEL_TEXT_LEN]; /* the server's words when it refused; printable */
};

struct channel_calls {
	/* The handshake is done: channel_seal() may be used.  NULL: not wanted. */
	void (*ready)(void *context);
	/* Bytes of HTTP/2.  An error ends channel_push(), which returns it. */
	int (*plaintext)(void *context, const uint8_t *data, size_t len);
	void *context;
};

/*
 * Begin.  version: the capability version; authority: "host:port"; ret_request: without a
 * terminating zero. 0, ERR_BAD_KEY (the server's), ERR_BAD_FORMAT (authority).
 */
[[nodiscard]] int channel_begin(struct channel *c,
	uint16_t version,
	const struct secret_key *machine,
	const struct public_key *server,
	const struct secret_key *ephemeral,
	const char *authority,
	char ret_request[static CHANNEL_REQUEST_MAX_LEN],
	size_t *ret_len);

/*
 * Bytes of the server, as many as can be used: ret_taken; the rest is to come again with more.
 * 0; ERR_BAD_FORMAT, ERR_BAD_MAC, ERR_BAD_KEY, -EOVERFLOW: the connection is to be ended;
 * -ECONNREFUSED: the server has refused, with `status` or `text`; what plaintext() returned.
 */
[[nodiscard]] int channel_push(struct channel *c,
	const uint8_t *data,
	size_t len,
	const struct channel_calls *calls,
	size_t *ret_taken);

/* The first bytes of data as one record, of ret_len bytes.  0 or -EOVERFLOW. */
[[nodiscard]] int channel_seal(struct channel *c,
	const uint8_t *data,
	size_t len,
	uint8_t record[static CONTROL_RECORD_MAX_LEN],
	size_t *ret_taken,
	size_t *ret_len);

void channel_fini(struct channel *c);

#endif
