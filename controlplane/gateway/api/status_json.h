/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The status as JSON; its keys are described in gateway_api.h.  Pure but for reading the host's
 * facts.
 */
#ifndef CONTROLPLANE_GATEWAY_API_STATUS_JSON_H
#define CONTROLPLANE_GATEWAY_API_STATUS_JSON_H

struct coord;
struct snapshot;

/* The whole answer as one line; malloc, the caller's.  NULL: no memory. */
char *status_json(const struct coord *c, const struct snapshot *s);

#endif
