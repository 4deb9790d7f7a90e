/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The answer to "flows": what the data plane's address translation has in its memory, which is
 * mapped for the moment, read-only, and not trusted.
 *
 * Source: lib/nat/nat.h; the keys are in gateway_api.h.
 * Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_API_FLOWS_JSON_H
#define CONTROLPLANE_GATEWAY_API_FLOWS_JSON_H

#include <jansson.h>

#include "lib/base/clock.h"

#define FLOWS_MAX_TOLD 1000 /* the others are counted */

/*
 * fd: the region; -1: there is no data plane, and so no flow.
 * Returns the object, or NULL: it cannot be read, and ret_why (static) says why.
 */
json_t *flows_json(int fd, struct mono now, const char **ret_why);

#endif
