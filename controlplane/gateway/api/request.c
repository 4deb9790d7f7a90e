/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/request.h"

#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/api/answer.h"

enum request_left
request_read(struct api *api,
	uint32_t client,
	const char *line,
	struct mono now,
	json_t **ret_request)
{
	json_error_t error;
	json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	enum request_left left = REQUEST_ANSWERED;

	if (cmd == NULL)
		answer_error(api, client, "the request is not understood",
			request == NULL ? "it is not JSON" : "it has no \"cmd\"",
			"send one object per line, such as {\"cmd\":\"status\"}", now);
	else if (strcmp(cmd, "status") == 0)
		left = json_is_false(json_object_get(request, "peers")) ? REQUEST_STATUS_BRIEF
		                                                        : REQUEST_STATUS;
	else if (strcmp(cmd, "reload") == 0)
		left = REQUEST_RELOAD;
	else if (strcmp(cmd, "flows") == 0)
		left = REQUEST_FLOWS;
	else if (strcmp(cmd, "capture") == 0)
		left = REQUEST_CAPTURE;
	else if (strcmp(cmd, "version") == 0)
		answer_object(api, client,
			json_pack("{s:b, s:s}", "ok", 1, "version", SLUICE_VERSION), now);
	else
		left = REQUEST_OTHER;
	*ret_request = left == REQUEST_OTHER || left == REQUEST_CAPTURE ? request : NULL;
	if (*ret_request == NULL)
		json_decref(request);
	return left;
}

void
request_refuse(struct api *api, uint32_t client, bool is_tailnet, struct mono now)
{
	if (is_tailnet)
		answer_error(api, client, "the command is not known",
			"this version of the daemon does not have it",
			"use the `sluice` of the same version", now);
	else
		answer_error(api, client, "this gateway is in no tailnet",
			"its configuration has a `wireguard:` section, whose peers are all it has",
			"use a configuration with `tailnet:` (or none) to join one", now);
}

bool
status_queue_add(struct status_queue *q, uint32_t client, bool is_brief)
{
	bool ask = !q->asked;

	if (q->n == API_MAX_CLIENTS) // clients that went away while they waited
		q->n = 0;
	q->is_brief[q->n] = is_brief;
	q->clients[q->n++] = client;
	q->asked = true;
	return ask;
}

bool
status_queue_wants(const struct status_queue *q, bool is_brief)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->is_brief[i] == is_brief)
			return true;
	return false;
}

void
status_queue_answer(struct status_queue *q,
	struct api *api,
	const char *whole,
	const char *brief,
	struct mono now)
{
	q->asked = false;
	for (size_t i = 0; i < q->n; i++) {
		const char *line = q->is_brief[i] ? brief : whole;

		api_answer(api, q->clients[i], line != NULL ? strdup(line) : NULL, now);
	}
	q->n = 0;
}
