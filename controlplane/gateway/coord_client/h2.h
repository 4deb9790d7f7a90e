/* SPDX-License-Identifier: BSD-3-Clause
 *
 * HTTP/2 as a client with prior knowledge, between bytes in memory: several requests at once.
 *
 * Source: RFC 9113, done by nghttp2; ../shared/protocol/control.md 3.8.
 * Owner:  a control connection.  Thread: its; no sockets.
 *
 * Flow control is open wide, and replenished on both levels as answers are consumed.  Heads of
 * answers, frames that must be acknowledged and headers that go on for ever are bounded, by
 * nghttp2 or here.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_H2_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_MAX_HEAD     (64u << 10) /* bytes of an answer's names and values */
#define H2_MAX_REQUESTS 32          /* at once */

struct h2;

struct h2_calls {
	/* Bytes for the network.  0, or an error, which h2_push() and h2_flush() return. */
	int (*send)(void *context, const uint8_t *data, size_t len);
	void *context;
};

struct h2_answer_calls { /* of one request; made from inside h2_push() */
	/* retry_after: the field's value, or "". */
	void (*status)(void *context, unsigned status, const char *retry_after);
	/* 0, or an error: the request is cancelled, ended() follows. */
	int (*data)(void *context, const uint8_t *data, size_t len);
	/* No call follows.  0: ended in order; else an error.  Not after h2_cancel() and
	 * h2_destroy(). */
	void (*ended)(void *context, int err);
	void *context;
};

struct h2_request {
	const char *method, *authority, *path;
	const char *load_balancer; /* the field ts-lb; NULL: none */
	const void *body;          /* copied, and wiped afterwards */
	size_t body_len;
	struct h2_answer_calls calls; /* copied; any may be NULL */
};

/* 0 or -ENOMEM.  Nothing is sent before h2_flush(). */
[[nodiscard]] int h2_create(const struct h2_calls *calls, struct h2 **ret_h2);
/* Not from inside a call.  NULL is allowed. */
void h2_destroy(struct h2 *h2);

/* Bytes of the server.  0; ERR_PROTOCOL: it broke a rule; -ECONNRESET: it has said goodbye;
 * -ENOMEM; what send() returned.  Not from inside a call. */
[[nodiscard]] int h2_push(struct h2 *h2, const uint8_t *data, size_t len);
/* Send what is to be sent.  0 or an error as above.  From inside a call it waits for its end. */
[[nodiscard]] int h2_flush(struct h2 *h2);

/* 0; -ENOMEM; -EAGAIN: H2_MAX_REQUESTS are under way; -ENOTCONN: the server takes no more. */
[[nodiscard]] int h2_request(struct h2 *h2, const struct h2_request *request, int32_t *ret_id);
/* No call for it follows. */
void h2_cancel(struct h2 *h2, int32_t id);

/* No call for any request follows. */
void h2_silence(struct h2 *h2);

/* Whether anything at all has come from the server. */
bool h2_has_heard(const struct h2 *h2);

#endif
