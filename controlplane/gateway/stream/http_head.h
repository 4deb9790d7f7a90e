/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers of HTTP/1.1 servers: the head, and how long the body is.
 *
 * Source: RFC 9112 sections 4 to 7.
 * Owner:  everything is borrowed from the bytes read; nothing is allocated.
 * Thread: any; no state but what is given.
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_HTTP_HEAD_H
#define CONTROLPLANE_GATEWAY_STREAM_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX (16u << 10) /* bytes of a head */

struct http_head {
	unsigned status;
	size_t len; /* of the head, its empty line included */
	const char *reason;
	size_t reason_len;
	const char *fields; /* the lines behind the first one */
	size_t fields_len;
};

/*
 * Look at all that has come so far.  0; ERR_TRUNCATED: read on; ERR_BAD_FORMAT: no HTTP/1.x, or a
 * longer head than HTTP_HEAD_MAX.
 */
[[nodiscard]] int http_head_read(const char *data, size_t len, struct http_head *ret_head);

/* The first field of that name (case does not count), without white space around; false: none. */
bool http_head_field(const struct http_head *head,
	const char *name,
	const char **ret_value,
	size_t *ret_len);

/* Whether a field of that name, which holds a list, has the token (case does not count). */
bool http_head_has_token(const struct http_head *head, const char *name, const char *token);

/* Seconds since 1970 of the field Date, in the form that all servers write; false: none. */
bool http_head_date(const struct http_head *head, int64_t *ret_unix_s);

enum http_body_state {
	HTTP_BODY_COUNTED,   /* `left` bytes follow */
	HTTP_BODY_CHUNK,     /* `left` bytes of a chunk, then its end of line */
	HTTP_BODY_CHUNK_END, /* the end of line behind a chunk */
	HTTP_BODY_SIZE,      /* the line with the next chunk's size */
	HTTP_BODY_TRAILER,   /* lines behind the last chunk */
	HTTP_BODY_OPEN,      /* as far as the connection goes */
	HTTP_BODY_DONE,
};

struct http_body {
	enum http_body_state state;
	uint64_t left;
	size_t line_len; /* of the line under way */
	bool in_extension;
};

/* How the answer's body ends.  0 or ERR_BAD_FORMAT. */
[[nodiscard]] int http_body_begin(struct http_body *body, const struct http_head *head);

/*
 * Take bytes up to the end of a piece of the body.  ret_taken: how many; the piece lies in data.
 * 0 or ERR_BAD_FORMAT.  Call until the state is HTTP_BODY_DONE or all is taken.
 */
[[nodiscard]] int http_body_push(struct http_body *body,
	const char *data,
	size_t len,
	size_t *ret_taken,
	const char **ret_piece,
	size_t *ret_piece_len);

#endif
