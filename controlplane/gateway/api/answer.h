/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers of the local API as JSON; what they look like is said in gateway_api.h.
 */
#ifndef CONTROLPLANE_GATEWAY_API_ANSWER_H
#define CONTROLPLANE_GATEWAY_API_ANSWER_H

#include <jansson.h>

#include "controlplane/gateway/api/listen.h"

/* Takes ownership of `object`. */
void answer_object(struct api *api, uint32_t client, json_t *object, struct mono now);
void answer_error(struct api *api,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do,
	struct mono now);

#endif
