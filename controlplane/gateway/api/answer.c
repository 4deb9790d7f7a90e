/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/answer.h"

void
answer_object(struct api *api, uint32_t client, json_t *object, struct mono now)
{
	api_answer(api, client, json_dumps(object, JSON_COMPACT), now);
	json_decref(object);
}

void
answer_error(struct api *api,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do,
	struct mono now)
{
	answer_object(api, client,
		json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "what", what, "why", why,
			"do", what_to_do),
		now);
}
