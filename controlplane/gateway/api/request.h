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

#include "controlplane/gateway/api/listen.h"

/* What is left for the caller to do, who answers the client then. */
enum request_left {
	REQUEST_ANSWERED, /* nothing: a question that needs nobody else, or an error */
	REQUEST_STATUS,
	REQUEST_RELOAD,
};

/* One line of a client. */
enum request_left request_read(struct api *api, uint32_t client, const char *line, struct mono now);

/* Clients that wait for the status; one answer serves all. */
struct status_queue {
	uint32_t clients[API_MAX_CLIENTS];
	size_t n;
	bool asked; /* the wire thread, which has not answered yet */
};

/* True: the wire thread is to be asked; else it has been asked already. */
[[nodiscard]] bool status_queue_add(struct status_queue *q, uint32_t client);
/* Its answer as one line, borrowed; NULL: no memory.  All who waited get it. */
void
status_queue_answer(struct status_queue *q, struct api *api, const char *line, struct mono now);

#endif
