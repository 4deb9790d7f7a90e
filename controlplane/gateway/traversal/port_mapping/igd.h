/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is said to a UPnP router.  Every function blocks, for seconds.
 *
 * Source: UPnP IGD; miniupnpc's headers.
 * Thread: that of upnp.c.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_IGD_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_IGD_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/port_mapping/upnp.h"

#define IGD_TEXT_LEN 256

struct igd_mapping { /* what is needed to give it back */
	char control_url[IGD_TEXT_LEN], service[IGD_TEXT_LEN];
	uint16_t external_port; /* 0: there is none */
};

/* Find the router and make the mapping, or renew the one in `mapping`. */
struct upnp_answer igd_map(const struct upnp_question *q, struct igd_mapping *mapping);
void igd_delete(struct igd_mapping *mapping);

/* Whether a URL leads to this host by plain HTTP. */
bool igd_url_is_of(const char *url, const struct addr *host);

#endif
