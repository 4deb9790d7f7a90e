/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The early payload: a piece of JSON that a coordination server may put before its HTTP/2 stream.
 * Its nine header bytes are such that no HTTP/2 frame begins like them.
 *
 * Source: ../shared/protocol/control.md 3.7; ../shared/vectors/control-noise.json, early_streams.
 * Owner:  the caller embeds it; nothing is allocated, and nothing in it is secret.
 *
 * No client uses what the JSON says, so only as much of it is kept as a sane server sends; the
 * caller may check it with early_payload_check() of lib/tailnet.
 */
#ifndef LIB_NOISE_CONTROL_EARLY_H
#define LIB_NOISE_CONTROL_EARLY_H

#include <stddef.h>
#include <stdint.h>

#define CONTROL_EARLY_HEADER_LEN 9
#define CONTROL_EARLY_MAX_LEN    (10u << 20) /* bytes of JSON; more is refused */
#define CONTROL_EARLY_KEPT_LEN   1024        /* longer JSON is passed over without being kept */
#define CONTROL_EARLY_VERSION    49 /* servers send it to no node below this protocol version */

enum control_early_state {
	CONTROL_EARLY_HEADER, /* bytes of the header are missing */
	CONTROL_EARLY_JSON,   /* bytes of the JSON are missing */
	CONTROL_EARLY_FOUND,  /* it was there; what follows is HTTP/2 */
	CONTROL_EARLY_ABSENT, /* none: `header` is where HTTP/2 begins */
};

struct control_early { /* zeros: begin */
	enum control_early_state state;
	uint8_t header[CONTROL_EARLY_HEADER_LEN];
	size_t header_len;
	uint32_t json_len;                 /* as announced */
	uint32_t json_at;                  /* as received */
	char json[CONTROL_EARLY_KEPT_LEN]; /* the first bytes; not terminated */
};

/*
 * Take plaintext of the server's stream until the state is FOUND or ABSENT, or all is used up.
 * ret_taken: bytes taken.  With ABSENT these are the nine of `header`: hand them to HTTP/2 first.
 * 0, or ERR_BAD_FORMAT: a length of 0 or beyond CONTROL_EARLY_MAX_LEN; end the connection.
 */
[[nodiscard]] int
control_early_push(struct control_early *e, const uint8_t *data, size_t len, size_t *ret_taken);

/* Server: the header of an early payload of json_len bytes. */
void control_early_create(uint32_t json_len, uint8_t ret_header[static CONTROL_EARLY_HEADER_LEN]);

#endif
