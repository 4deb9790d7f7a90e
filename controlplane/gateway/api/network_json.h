/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of the status that tell of the network: ports, next hops, flows.  Their keys are
 * described in gateway_api.h.
 *
 * Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_API_NETWORK_JSON_H
#define CONTROLPLANE_GATEWAY_API_NETWORK_JSON_H

#include <jansson.h>

#include "controlplane/gateway/api/status_json.h"

/* Arrays; NULL: no memory. */
json_t *ports_json(const struct status_here *here, const struct snapshot *s);
json_t *next_hops_json(const struct status_here *here, const struct snapshot *s);

#endif
