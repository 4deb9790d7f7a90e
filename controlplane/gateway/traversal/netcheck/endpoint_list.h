/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list of our endpoints, put together in the order in which peers are to try them, and the
 * memory of those that were seen lately.
 *
 * Source: ../shared/protocol/peer.md 5.4.
 * Owner:  embedded in own_endpoints.  Thread: its.  Pure.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_ENDPOINT_LIST_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_ENDPOINT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "lib/base/clock.h"
#include "lib/tailnet/map_request.h"

#define ENDPOINT_LIST_MAX    64
#define ENDPOINT_KEPT_NS     (310 * NS_PER_S) /* after it was seen for the last time */
#define ENDPOINT_KEPT_PER_IP 6                /* ports of one address in the whole list */

struct endpoint_list {
	struct own_endpoint entries[ENDPOINT_LIST_MAX];
	size_t n;
};

struct kept_endpoint {
	struct own_endpoint endpoint;
	struct mono seen;
};

struct endpoint_memory { /* zeros: begin */
	struct kept_endpoint entries[ENDPOINT_LIST_MAX];
	size_t n;
};

struct endpoint_sources {
	const struct netcheck_report *report;
	struct endpoint mapped; /* ADDR_NONE: none */
	uint16_t local_port;
	const struct endpoint *explicit_endpoints;
	size_t n_explicit;
	const struct addr *local;
	size_t n_local;
};

/* Build the list, and remember what is new in it. */
void endpoint_list_build(struct endpoint_list *ret_list,
	struct endpoint_memory *memory,
	const struct endpoint_sources *from,
	struct mono now);
/* The same endpoints, of the same kinds; the order does not count. */
bool endpoint_list_is_same_set(const struct endpoint_list *a, const struct endpoint_list *b);

#endif
