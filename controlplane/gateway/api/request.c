/* SPDX-License-Identifier: BSD-3-Clause */

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/api/status_json.h"
#include "controlplane/gateway/coord.h"
#include "controlplane/gateway/snapshot.h"

static void
answer(struct coord *c, uint32_t client, json_t *object)
{
	api_answer(&c->api, client, json_dumps(object, JSON_COMPACT), c->now);
	json_decref(object);
}

void
request_answer_error(struct coord *c,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do)
{
	answer(c, client,
		json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "what", what, "why", why,
			"do", what_to_do));
}

static void
ask_status(struct coord *c, uint32_t client)
{
	struct letter *letter;

	if (c->n_asking == API_MAX_CLIENTS) // clients that went away while they waited
		c->n_asking = 0;
	c->asking[c->n_asking++] = client;
	if (c->status_asked)
		return; // one answer serves all
	c->status_asked = true;
	letter = letter_create(LETTER_ASK_STATUS);
	letter->number = ++c->status_number;
	mailbox_post(c->to_wire, letter);
}

void
request_on_status(struct coord *c, const struct snapshot *snapshot)
{
	char *text = status_json(c, snapshot);

	c->status_asked = false;
	for (size_t i = 0; i < c->n_asking; i++)
		api_answer(&c->api, c->asking[i], text != NULL ? strdup(text) : NULL, c->now);
	c->n_asking = 0;
	free(text);
	(void)malloc_trim(0); // 10,000 peers are 20 MiB of objects that the allocator would keep
}

void
request_read(void *context, uint32_t client, const char *line)
{
	struct coord *c = context;
	json_error_t error;
	json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	const char *cmd = json_string_value(json_object_get(request, "cmd"));

	if (cmd == NULL)
		request_answer_error(c, client, "the request is not understood",
			request == NULL ? "it is not JSON" : "it has no \"cmd\"",
			"send one object per line, such as {\"cmd\":\"status\"}");
	else if (strcmp(cmd, "status") == 0)
		ask_status(c, client);
	else if (strcmp(cmd, "reload") == 0)
		reload_begin(c, client);
	else if (strcmp(cmd, "version") == 0)
		answer(c, client, json_pack("{s:b, s:s}", "ok", 1, "version", SLUICE_VERSION));
	else
		request_answer_error(c, client, "the command is not known",
			"this version knows status, reload and version",
			"use the `sluice` of the same version");
	json_decref(request);
}
