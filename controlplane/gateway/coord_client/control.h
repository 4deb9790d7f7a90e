/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A control connection: a stream, the upgrade, Noise, and HTTP/2 for requests.
 *
 * Source: ../shared/protocol/control.md 2.4, 2.6, 3.
 * Owner:  the caller; control_close() at any time, from inside calls too.
 * Thread: that of the stream set.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_CONTROL_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_CONTROL_H

#include "controlplane/gateway/coord_client/channel.h"
#include "controlplane/gateway/coord_client/h2.h"
#include "controlplane/gateway/coord_client/server_url.h"
#include "controlplane/gateway/stream/stream.h"

enum control_failure_kind {
	CONTROL_STREAM,    /* `stream` says what; before anything was said */
	CONTROL_ANSWER,    /* HTTP, but not 101: `status` */
	CONTROL_NO_HTTP,   /* something else, or a 101 for something else */
	CONTROL_HANDSHAKE, /* ended or refused before the handshake was done: perhaps another key */
	CONTROL_MUTE,      /* ended right after the handshake, without a word of HTTP/2 */
	CONTROL_LOST,      /* ended later */
	CONTROL_BROKEN,    /* it sent what nobody may send */
};

struct control_failure {
	enum control_failure_kind kind;
	const struct stream_failure *stream; /* or NULL */
	unsigned status;
	const char *text; /* a fragment for people */
};

struct control_calls {
	void (*ready)(void *context); /* requests may be made */
	/* The connection is gone when the call returns; no request of it is answered any more. */
	void (*failed)(void *context, const struct control_failure *failure);
	void *context;
};

struct control;

/* 0; -ENOMEM; -EINVAL; ERR_BAD_KEY: the server's. */
[[nodiscard]] int control_open(struct stream_set *set,
	const struct server_url *url,
	const struct secret_key *machine,
	const struct public_key *server,
	const struct control_calls *calls,
	struct mono now,
	struct control **ret_control);
/* No call follows.  NULL is allowed. */
void control_close(struct control *c);

/* As h2_request() and h2_cancel(), and sent at once. */
[[nodiscard]] int
control_request(struct control *c, const struct h2_request *request, int32_t *ret_id);
void control_cancel(struct control *c, int32_t id);

/* Gives up when it is not ready in time.  Returns when to come again, or never. */
struct mono control_tick(struct control *c, struct mono now);

#endif
