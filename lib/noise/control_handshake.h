/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The handshake of the control connection, both roles: Noise_IK_25519_ChaChaPoly_BLAKE2s, with the
 * protocol version in clear and in the prologue.
 *
 *     node                                             coordination server
 *     control_initiation_create  -- initiation -->     control_initiation_open
 *     control_reply_find,        <-- response, or
 *     control_response_consume         an error --     control_response_create,
 *                                                      control_error_create
 *
 * Source: ../shared/protocol/control.md 3.1 to 3.3, 3.5; ../shared/vectors/control-noise.json.
 * Owner:  the caller.  Every structure here holds secrets: wipe it with its fini.
 * Thread: any; no hidden state.  Ephemeral secrets are given by the caller.
 *
 * A message that is refused changes nothing: no structure given by pointer is written then.
 */
#ifndef LIB_NOISE_CONTROL_HANDSHAKE_H
#define LIB_NOISE_CONTROL_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"
#include "lib/noise/symmetric.h"

#define CONTROL_INITIATION_LEN    101
#define CONTROL_RESPONSE_LEN      51
#define CONTROL_REPLY_HEADER_LEN  3    /* of response and error: type, 16-bit length */
#define CONTROL_ERROR_TEXT_MAX    1024 /* bytes that we look at of an error's text */
#define CONTROL_ERROR_MAX_LEN     64   /* room for control_error_create() */
#define CONTROL_HEADER_VALUE_SIZE 137  /* base64 of an initiation, and the terminating zero */

struct control_handshake { /* an initiation of ours that waits for its response */
	struct secret_key ephemeral;
	struct noise_symmetric noise;
};

/* An initiation that was authentic: its sender has the secret of `machine`. */
struct control_initiation {
	uint16_t version; /* protocol version, by convention the node's capability version */
	struct public_key machine;
	struct public_key ephemeral;
	struct noise_symmetric noise;
};

struct control_session_keys {
	uint8_t send[NOISE_KEY_LEN];
	uint8_t receive[NOISE_KEY_LEN];
	uint8_t handshake_hash[NOISE_HASH_LEN]; /* the same on both sides; no secret */
};

/*
 * Node: write an initiation to the server whose static key is `control`.
 * ephemeral: fresh from key_generate(), never used twice; copied.
 * 0, or ERR_BAD_KEY (a static key of small order).
 */
[[nodiscard]] int control_initiation_create(uint16_t version,
	const struct secret_key *machine,
	const struct public_key *control,
	const struct secret_key *ephemeral,
	uint8_t msg[static CONTROL_INITIATION_LEN],
	struct control_handshake *ret_handshake);

enum control_reply_kind {
	CONTROL_REPLY_RESPONSE, /* CONTROL_RESPONSE_LEN bytes for control_response_consume() */
	CONTROL_REPLY_ERROR,    /* the server refuses; its text comes from anybody on the path */
};

struct control_reply {
	enum control_reply_kind kind;
	size_t len;       /* bytes of the reply, header included */
	const char *text; /* of an error: not terminated, any bytes; borrowed from the stream */
	size_t text_len;  /* at most CONTROL_ERROR_TEXT_MAX; the rest is not waited for */
};

/*
 * Node: what does the server's stream begin with?  `data` is all that has come so far.
 * 0; -EAGAIN: not enough bytes yet; ERR_BAD_FORMAT: neither a response nor an error.
 */
[[nodiscard]] int
control_reply_find(const uint8_t *data, size_t len, struct control_reply *ret_reply);

/*
 * Node: the response to our initiation.  On success `handshake` is wiped.
 * 0; ERR_BAD_FORMAT (type or length); ERR_BAD_KEY; ERR_BAD_MAC.
 */
[[nodiscard]] int control_response_consume(struct control_handshake *handshake,
	const struct secret_key *machine,
	const uint8_t msg[static CONTROL_RESPONSE_LEN],
	struct control_session_keys *ret_keys);

/*
 * Server: 0; ERR_BAD_FORMAT (wrong size, type or length field: answer with
 * control_error_create()); ERR_BAD_KEY or ERR_BAD_MAC: just close, as the reference does.
 */
[[nodiscard]] int control_initiation_open(const struct secret_key *control,
	const uint8_t *msg,
	size_t len,
	struct control_initiation *ret_initiation);

/* Server: answer it.  `ephemeral` as above.  0, or ERR_BAD_KEY. */
[[nodiscard]] int control_response_create(const struct control_initiation *initiation,
	const struct secret_key *ephemeral,
	uint8_t msg[static CONTROL_RESPONSE_LEN],
	struct control_session_keys *ret_keys);

/*
 * Server: the error message for an initiation of wrong form.  Returns its length; 0 if the form is
 * right.
 */
size_t control_error_create(const uint8_t *msg,
	size_t len,
	uint8_t ret_error[static CONTROL_ERROR_MAX_LEN]);

/* The initiation as the value of X-Tailscale-Handshake: base64 with padding.  Returns `text`. */
char *control_initiation_to_header(const uint8_t msg[static CONTROL_INITIATION_LEN],
	char text[static CONTROL_HEADER_VALUE_SIZE]);

/*
 * The reverse, of text_len characters.  Only canonical base64 of at most CONTROL_INITIATION_LEN + 1
 * bytes (so that a size that is wrong by little gets its error message): 0 or ERR_BAD_FORMAT.
 */
#define CONTROL_HEADER_MAX_LEN (CONTROL_INITIATION_LEN + 1)
[[nodiscard]] int control_initiation_from_header(const char *text,
	size_t text_len,
	uint8_t ret_msg[static CONTROL_HEADER_MAX_LEN],
	size_t *ret_len);

void control_handshake_fini(struct control_handshake *handshake);
void control_initiation_fini(struct control_initiation *initiation);
void control_session_keys_fini(struct control_session_keys *keys);

#endif
