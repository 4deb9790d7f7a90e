/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the lines of clients mean, and the clients that wait for the status.
 *
 * Owner:  embedded in coord.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_API_REQUEST_H
#define CONTROLPLANE_GATEWAY_API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "controlplane/gateway/api/listen.h"

/* What is left for the caller to do, who answers the client then. */
enum request_left {
	REQUEST_ANSWERED, /* nothing: a question that needs nobody else, or an error */
	REQUEST_STATUS,
	REQUEST_STATUS_BRIEF, /* without peers */
	REQUEST_RELOAD,
	REQUEST_FLOWS,
	REQUEST_CAPTURE, /* with ret_request */
	REQUEST_OTHER,   /* about the tailnet, or not known */
};

/*
 * One line of a client.  ret_request: what it says, for REQUEST_CAPTURE and REQUEST_OTHER: an
 * object with a text "cmd"; the caller's, else NULL.
 */
enum request_left request_read(struct api *api,
	uint32_t client,
	const char *line,
	struct mono now,
	json_t **ret_request);
/* Nobody knows what to do with it. */
void request_refuse(struct api *api, uint32_t client, bool is_tailnet, struct mono now);

/* Clients that wait for the status; one answer of each kind serves all. */
struct status_queue {
	uint32_t clients[API_MAX_CLIENTS];
	bool is_brief[API_MAX_CLIENTS];
	size_t n;
	bool asked; /* the wire thread, which has not answered yet */
};

/* True: the wire thread is to be asked; else it has been asked already. */
[[nodiscard]] bool status_queue_add(struct status_queue *q, uint32_t client, bool is_brief);
/* Whether somebody waits for the brief answer, or for the whole one. */
bool status_queue_wants(const struct status_queue *q, bool is_brief);
/* Answers as one line each, borrowed; NULL: nobody waits for it, or no memory. */
void status_queue_answer(struct status_queue *q,
	struct api *api,
	const char *whole,
	const char *brief,
	struct mono now);

#endif
