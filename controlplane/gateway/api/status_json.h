/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The status as JSON; its keys are described in gateway_api.h.  Pure but for reading the host's
 * facts.
 */
#ifndef CONTROLPLANE_GATEWAY_API_STATUS_JSON_H
#define CONTROLPLANE_GATEWAY_API_STATUS_JSON_H

#include <stdbool.h>

#include <jansson.h>

#include "config/gateway.h"
#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/snapshot.h"
#include "controlplane/gateway/surroundings.h"
#include "lib/base/clock.h"

/* What the snapshot of the wire thread does not say. */
struct status_here {
	struct mono started;                 /* this process */
	const struct config_gateway *config; /* in force */
	struct host *host;                   /* NULL: none */
	const struct network *network;       /* NULL: not looked at yet */
	const struct surroundings *around;   /* NULL: none (tests) */
	bool state_failing;                  /* timestamps cannot be saved */
	json_t *tailnet;                     /* taken over; NULL: not in one */
	bool is_brief;                       /* without peers */
};

/* The whole answer as one line; malloc, the caller's.  NULL: no memory. */
char *status_json(const struct status_here *here, const struct snapshot *s);

#endif
