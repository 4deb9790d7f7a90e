/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The socket of the local API: clients, their lines, their answers.  What the lines mean is the
 * caller's affair.
 *
 * Owner:  embedded in coord.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_API_LISTEN_H
#define CONTROLPLANE_GATEWAY_API_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/gateway_api.h"
#include "lib/base/clock.h"

#define API_MAX_CLIENTS 16
#define API_LIMIT_NS    (10 * NS_PER_S) /* for taking an answer */

struct api_client {
	int fd;          /* -1: free */
	uint32_t id;     /* of this connection: never used twice */
	bool asked;      /* its request is being worked on: no further one is read */
	bool ending;     /* it will not ask again: close after the answer */
	bool streams;    /* it gets lines until it leaves, and asks no more */
	bool may_change; /* it is root, or we ourselves; others may look */
	char in[GATEWAY_API_MAX_REQUEST + 1];
	size_t in_len;
	char *out; /* malloc; NULL: nothing to send */
	size_t out_len, out_at;
	struct mono out_since;
};

struct api {
	int fd, epoll; /* own epoll, which can be put into another */
	uint32_t last_id;
	struct api_client clients[API_MAX_CLIENTS];
	char path[108];

	/* One line without its end, terminated; answer with api_answer(), now or later. */
	void (*request)(void *context, uint32_t client, const char *line);
	void *context;
};

/* Listen on RUN_DIR/control.sock.  A socket that a dead one left is replaced.  0 or -errno. */
[[nodiscard]] int api_open(struct api *api, const char *run_dir);
void api_close(struct api *api);

/* `epoll` is readable, or a second has passed. */
void api_dispatch(struct api *api, struct mono now);

/* Whether this client may change things; false too when it is gone. */
bool api_may_change(const struct api *api, uint32_t client);

/* Takes ownership of `line` (malloc, without line end).  A client that is gone: it is freed. */
void api_answer(struct api *api, uint32_t client, char *line, struct mono now);

/*
 * The same, and more lines will follow until the client leaves: each when the one before was taken,
 * however long that lasts.
 */
void api_stream(struct api *api, uint32_t client, char *line, struct mono now);
bool api_is_ready(const struct api *api, uint32_t client); /* has taken the line before */
bool api_is_here(const struct api *api, uint32_t client);

#endif
